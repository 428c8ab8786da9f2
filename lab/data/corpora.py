"""Corpora: documents to train on and documents held out, separated in one place.

A corpus is a name of the catalogue, a folder of text files, or one document. Each has
the splits `train` and `val`, and `all`:

* `eltec-eng`: split by whole authors, as its catalogue says;
* `sotu`: `val` is the last 20 addresses;
* a folder: its subfolders `train` and `val` if both exist, else `val` is the last tenth
  of its files by name;
* one document: `val` is its last tenth, cut between two paragraphs.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from lab import files
from lab.data import addresses, documents, eltec


SPLITS = ("train", "val", "all")
HELD_OUT_ADDRESSES = 20


class Text(NamedTuple):
    """A document whose text is read when needed: its name and how to get the text."""

    name: str
    read: Callable[[], str]


def texts(corpus: str, split: str) -> list[Text]:
    """The documents of one split, in order; the caller reads their texts.

    **Raises** `ValueError` for an unknown split or one that would be empty,
    `FileNotFoundError` for an unknown corpus or one that is not prepared.
    """
    if split not in SPLITS:
        raise ValueError(f"The splits are train, val and all: got {split!r}.")
    if corpus == "eltec-eng":
        return _novels(split)
    if corpus == "sotu":
        found = [
            Text(name, lambda name=name: addresses.text(name))
            for name in addresses.titles()
        ]
        return _last_held_out(found, HELD_OUT_ADDRESSES, split)
    folder = files.expanded(corpus)
    return _folder(folder, split) if folder.is_dir() else _one(corpus, split)


def stamp(corpus: str, split: str) -> str:
    """A sha256 (hex) that changes whenever the texts of a split may have changed.

    It is made of checksums and versions for the catalogue's corpora, of sizes and times
    for files; no text is read.
    """
    if corpus == "eltec-eng":
        marks = [novel["sha256"] for novel in eltec.novels()]
    elif corpus == "sotu-chronicle" or corpus.split("/")[0] == "sotu":
        marks = [addresses.version()]
    else:
        marks = [_file_mark(path) for path in _files(files.expanded(corpus))]
    told = "\n".join([corpus, split, *marks])
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()


def _novels(split: str) -> list[Text]:
    if not eltec.is_prepared():
        eltec.text(eltec.novels()[0])  # says which command prepares them
    return [
        Text(Path(novel["file"]).stem, lambda novel=novel: eltec.text(novel))
        for novel in eltec.novels(None if split == "all" else split)
    ]


def _folder(folder: Path, split: str) -> list[Text]:
    parts = [folder / "train", folder / "val"]
    if all(part.is_dir() for part in parts):
        roots = parts if split == "all" else [folder / split]
        found = [text for root in roots for text in _read_later(root)]
    else:
        found = _read_later(folder)
        found = _last_held_out(found, max(1, len(found) // 10), split)
    if not found:
        raise ValueError(
            f"The split {split} of {folder} has no text files: put files named *.txt "
            "there, or into subfolders train/ and val/; a folder without subfolders "
            "needs at least two files to hold one out."
        )
    return found


def _read_later(folder: Path) -> list[Text]:
    return [
        Text(
            path.relative_to(folder).as_posix().removesuffix(".txt"),
            lambda path=path: documents.read_text(path),
        )
        for path in _files(folder)
    ]


def _files(path: Path) -> Iterable[Path]:
    if path.is_dir():
        return sorted(path.rglob("*.txt"))
    return [path] if path.is_file() else []


def _file_mark(path: Path) -> str:
    facts = path.stat()
    return f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}"


def _one(corpus: str, split: str) -> list[Text]:
    document = documents.load(corpus)
    name = document.name.rpartition("/")[2]
    if split == "all":
        return [Text(name, lambda: document.text)]
    kept, held_out = _cut(document.text)
    part = kept if split == "train" else held_out
    if not part.strip():
        raise ValueError(
            f"{corpus} is too short to hold out a tenth of it: use the split all."
        )
    return [Text(name, lambda: part)]


def _cut(text: str) -> tuple[str, str]:
    """The first nine tenths and the rest, cut between paragraphs if there are any."""
    near = len(text) * 9 // 10
    before = max(text.rfind("\n\n", near // 2, near), text.rfind("\n", near, near + 1))
    at = before if before > 0 else near
    return text[:at], text[at:].lstrip("\n")


def _last_held_out(found: list[Text], count: int, split: str) -> list[Text]:
    if split == "all":
        return found
    return found[:-count] if split == "train" else found[-count:]
