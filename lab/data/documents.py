"""Documents: one text each, under a name, whatever corpus the text belongs to.

`load` takes a name of the catalogue (`sotu/1981-Carter-1`, `sotu-chronicle`,
`moby-dick`, `eltec-eng/ENG18480_Thackeray`) or the path of any UTF-8 text file, so
that a caller need not know where a document comes from.

Read next: `corpora.py` (documents to train on), `catalogue.py` (what is available).
"""

from dataclasses import dataclass
from pathlib import Path

from lab import files
from lab.data import addresses, eltec, moby_dick
from lab.names import closest


_CORPORA = {
    "sotu": "249 documents, such as sotu/1981-Carter-1; all in one: sotu-chronicle",
    "eltec-eng": "86 documents, such as eltec-eng/ENG18840_Lee",
}


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
    of a whole corpus and for a file that is empty or not UTF-8.

    >>> load("sotu/1790-Washington-1").title
    'George Washington, State of the Union, 1790-01-08'
    """
    key = str(name)
    if key in _CORPORA:
        raise ValueError(f"{key} is a corpus of {_CORPORA[key]}.")
    found = _address(key) or _novel(key) or _moby_dick(key)
    return found or from_file(files.expanded(key))


def from_file(path: Path) -> Document:
    """The UTF-8 text file at `path` as a document.

    **Raises** what `load` raises.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give one text file in it.")
    if not path.is_file():
        raise FileNotFoundError(_nowhere(str(path)))
    return Document(str(path), path.name, read_text(path), str(path), "yours")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with newlines as line ends and no byte-order mark.

    **Raises** `ValueError` for a file that is empty or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text: byte {error.start} is "
            f"0x{error.object[error.start]:02x}. If it is text in another encoding, "
            f"convert it: `iconv -f LATIN1 -t UTF-8 {path} > new.txt`."
        ) from error
    if not text.strip():
        raise ValueError(f"{path} holds no text: give a file with something to read.")
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
