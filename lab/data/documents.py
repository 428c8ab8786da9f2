"""Documents: one text each, under a name, whatever corpus the text belongs to.

`load` takes a name of the catalogue (`sotu/1981-Carter-1`, `sotu-chronicle`,
`moby-dick`, `eltec-eng/ENG18480_Thackeray`) or the path of any text file, so that a
caller need not know where a document comes from. Files are UTF-8; UTF-16 and UTF-32,
which some editors write, are recognised, with a byte-order mark or without.

Read next: `corpora.py` (documents to train on), `catalogue.py` (what is available).
"""

import codecs
import shlex
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from lab import files
from lab.data import addresses, eltec, moby_dick
from lab.names import closest


_CORPORA = {
    "sotu": "249 documents, such as sotu/1981-Carter-1; all in one: sotu-chronicle",
    "eltec-eng": "86 documents, such as eltec-eng/ENG18840_Lee",
}
# Byte-order marks. That of UTF-32 comes first, because it begins as UTF-16's does.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}
# What stands in every longer text, and what other encodings hardly ever show as UTF-16.
_EXPECTED = frozenset(" \n\r\u3000\u3001\u3002\uff0c\uff01")
_ODD = 0.2  # share of control characters that makes UTF-8 doubtful
_LOOK = 65_536  # bytes looked at


@dataclass(frozen=True)
class Document:
    """A text and where it comes from.

    Attributes:
        name: the name given to `load`.
        title: a title for people.
        text: the whole text, never empty.
        source: where the text comes from.
        licence: under what terms.
    """

    name: str
    title: str
    text: str
    source: str
    licence: str


def load(name: str | Path) -> Document:
    """The document called `name`, or the text file at that path.

    **Raises** `FileNotFoundError` if there is neither (with close names) or if the
    corpus is not prepared, `IsADirectoryError` for a folder, `ValueError` for the name
    of a whole corpus, for a web address and for a file that is empty or no text.

    >>> load("sotu/1790-Washington-1").title
    'George Washington, State of the Union, 1790-01-08'
    """
    key = str(name)
    if not key.strip():
        raise ValueError("The name of the document is empty.")
    if "://" in key:
        raise ValueError(
            f"{key} is an address, and nothing is downloaded: save the page as a text "
            "file, and give the file's path."
        )
    if key in _CORPORA:
        raise ValueError(f"{key} is a corpus of {_CORPORA[key]}.")
    found = _address(key) or _novel(key) or _moby_dick(key)
    return found or from_file(files.expanded(key))


def from_file(path: Path) -> Document:
    """The text file at `path` as a document.

    **Raises** what `load` raises.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give one text file in it.")
    if not path.is_file():
        raise FileNotFoundError(_nowhere(str(path)))
    return Document(str(path), path.name, read_text(path), str(path), "yours")


def read_text(path: Path) -> str:
    """The text of a file, with newlines as line ends and no byte-order mark.

    **Raises** what `decode` raises.
    """
    return decode(path.read_bytes(), str(path))


def decode(data: bytes, name: str) -> str:
    """The text of a file called `name`, with newlines as line ends.

    The text is UTF-8, or UTF-16 or UTF-32 of either byte order. A byte-order mark
    decides if there is one.

    **Raises** `ValueError` for bytes in no such encoding, or that hold no text.
    """
    encoding = _marked(data) or _unmarked(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(_not_text(data, name, encoding, error)) from error
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.replace("\0", " ").strip():
        raise ValueError(f"{name} holds no text: give a file with something to read.")
    return text


def names(prepared: bool | None = None) -> list[str]:
    """Names that `load` takes, in the catalogue's order.

    Args:
        prepared: True for names that load now, False for names that need
            `ttt-lab data prepare` first, None for all.
    """
    groups = [
        (True, ["sotu-chronicle", *(f"sotu/{name}" for name in addresses.titles())]),
        (moby_dick.is_prepared(), ["moby-dick"]),
        (eltec.is_prepared(), [_name(novel) for novel in eltec.novels()]),
    ]
    return [
        name for ready, group in groups if prepared in (None, ready) for name in group
    ]


def _marked(data: bytes) -> str | None:
    """The encoding that a byte-order mark names."""
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)


def _unmarked(data: bytes) -> str:
    """The encoding of bytes without a byte-order mark.

    ASCII or Cyrillic in UTF-16 is valid UTF-8, in which every other character is a
    control. So where UTF-8 fails or is full of controls, the wider encodings are tried.
    """
    start = data[: _LOOK // 4 * 4]
    if _share(start.decode("utf-8", "replace"), _is_odd) < _ODD and _is_utf8(data):
        return "utf-8"
    wider = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
    return next((name for name in wider if _reads_well(data, start, name)), "utf-8")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _reads_well(data: bytes, start: bytes, encoding: str) -> bool:
    """Whether bytes are text in a wider encoding: hardly an odd character, and spaces
    or full stops, which no other encoding shows there."""
    if len(data) % (4 if "32" in encoding else 2):
        return False
    text = start.decode(encoding, "replace")
    return not _EXPECTED.isdisjoint(text) and _share(text, _is_odd) < 0.02


def _share(text: str, test) -> float:
    return sum(map(test, text)) / max(1, len(text))


def _is_odd(character: str) -> bool:
    """Whether a character is no text: a control, a code without meaning, U+FFFD."""
    if character in "\t\n\r\f\ufffd":
        return character == "\ufffd"
    return unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs")


def _not_text(data: bytes, name: str, encoding: str, error: UnicodeDecodeError) -> str:
    if encoding != "utf-8":
        return (
            f"{name} begins as {encoding.upper()} text does, but byte "
            f"{error.start:,} is none: {error.reason}. Is the file complete?"
        )
    path = shlex.quote(name)
    return (
        f"{name} is not UTF-8 text: byte {error.start:,} is 0x{data[error.start]:02x}. "
        "If it is text in another encoding, save it as UTF-8: "
        f"`iconv -f CP1252 -t UTF-8 {path} > new.txt`."
    )


def _address(key: str) -> Document | None:
    corpus, _, name = key.partition("/")
    if key == "sotu-chronicle":
        title, text = "All State of the Union addresses", addresses.chronicle()
    elif corpus == "sotu" and name in addresses.titles():
        title, text = addresses.titles()[name], addresses.text(name)
    else:
        return None
    return Document(key, title, text, addresses.SOURCE, addresses.LICENCE)


def _novel(key: str) -> Document | None:
    if not key.startswith("eltec-eng/"):
        return None
    wanted = key.rpartition("/")[2].removesuffix(".txt")
    for novel in eltec.novels():
        split_given = f"eltec-eng/{novel['split']}/{wanted}"
        if Path(novel["file"]).stem == wanted and key.removesuffix(".txt") in (
            _name(novel),
            split_given,
        ):
            title = f"{novel['title']}, {novel['author']}"
            text = eltec.text(novel)
            return Document(_name(novel), title, text, eltec.SOURCE, eltec.LICENCE)
    return None


def _moby_dick(key: str) -> Document | None:
    if key != "moby-dick":
        return None
    if not moby_dick.is_prepared():
        raise FileNotFoundError(
            "moby-dick is not prepared: run `ttt-lab data prepare moby-dick`."
        )
    text = moby_dick.place().read_bytes().decode("utf-8")
    title = "Moby Dick; or, The Whale, Herman Melville, 1851"
    return Document(key, title, text, moby_dick.SOURCE, moby_dick.LICENCE)


def _name(novel: dict) -> str:
    return f"eltec-eng/{Path(novel['file']).stem}"


def _nowhere(key: str) -> str:
    near = closest(key, [*names(), *_CORPORA], most=3)
    meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    return (
        f"There is no document {key!r}: it is neither a name that `ttt-lab data list` "
        f"shows nor a text file{meant}"
    )
