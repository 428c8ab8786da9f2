"""ELTeC-eng: 86 British novels, 1840-1920, split by whole authors.

The public source holds each novel as TEI, an XML format for scholars. `text_of_tei` is
the whole rule that turns TEI into plain text. `datasets/eltec-eng/catalogue.json` holds
a checksum of each text, and a text that does not match is not kept.
"""

import hashlib
import re
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from lab import files
from lab.data import folders


SPLITS = ("train", "val")
LICENCE = "public domain (texts); CC BY 4.0 (source's markup)"
SOURCE = "COST-ELTeC/ELTeC-eng, level 1, doi 10.5281/zenodo.4662490"
URL = "https://raw.githubusercontent.com/COST-ELTeC/ELTeC-eng/master/level1/{}.xml"
COMMAND = "ttt-lab data prepare eltec-eng"

_BLOCKS = {"p", "head", "l", "label", "trailer"}
_DROPPED = {"ref", "note", "gap", "pb"}
_SKIPPED = {"note", "back"}


def novels(split: str | None = None) -> list[dict]:
    """The catalogue: `split file author title bytes sha256` of each novel, in order.

    **Raises** `ValueError` for a split that is neither None, "train" nor "val".
    """
    if split not in (None, *SPLITS):
        raise ValueError(f"eltec-eng has the splits train and val: got {split!r}.")
    found = folders.card_json("eltec-eng", "catalogue.json")
    return [novel for novel in found if split in (None, novel["split"])]


def place() -> Path:
    """The folder with the prepared novels, `SPLIT/NAME.txt`."""
    return folders.data() / "corpora" / "eltec-eng"


def is_prepared() -> bool:
    """Whether all novels are there, each of the length that the catalogue gives."""
    paths = ((place() / n["split"] / n["file"], n["bytes"]) for n in novels())
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


def text(novel: dict) -> str:
    """The text of a novel of the catalogue.

    **Raises** `FileNotFoundError`, with the command to run, if the novels are not
    prepared.
    """
    path = place() / novel["split"] / novel["file"]
    if not path.is_file():
        raise FileNotFoundError(
            f"The novels of eltec-eng are not prepared in {place()}: run `{COMMAND}` "
            f"(downloads them), or `{COMMAND} --from FOLDER` with a folder that has "
            "them."
        )
    return path.read_bytes().decode("utf-8")


def prepare(
    source: Path | None = None, report: Callable[[str], None] = lambda line: None
) -> Path:
    """Fetch the 86 novels, check each, and return the folder with their texts.

    Args:
        source: a folder with `train.tar.xz` and `val.tar.xz`, or one with the TEI
            files (`NAME.xml`, or `level1/NAME.xml`); None downloads the TEI.
        report: called with one line of progress per novel.

    **Raises** `FileNotFoundError` for a novel that `source` lacks, `ConnectionError` if
    the download fails, `ValueError` for a novel that differs from the catalogue.
    """
    if source is None and is_prepared():
        return place()
    bring = _bring_from(source)
    known = novels()
    with files.appearing(place()) as draft:
        for count, novel in enumerate(known, start=1):
            report(f"{count} of {len(known)}: {novel['title']} ({novel['author']})")
            path = draft / novel["split"] / novel["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_checked(bring(novel), novel))
        if not is_prepared():
            folders.forget(place())  # an incomplete folder would block the new one
    return place()


def text_of_tei(xml: bytes | str) -> str:
    """Plain text of a level 1 TEI file: its blocks, separated by blank lines.

    Under `text`, depth first, each of `p head l label trailer` is a block: its words
    without those inside `ref note gap pb`, white space collapsed. The contents of
    `note` and `back` are skipped, and so are blocks without words.

    **Raises** `ValueError` if `xml` is not XML or has no `text` element.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ValueError(f"This is not a TEI file: {error}.") from error
    body = next((node for node in root.iter() if _tag(node) == "text"), None)
    if body is None:
        raise ValueError("This XML file has no <text> element: it is not TEI.")
    blocks = (" ".join("".join(_words(node)).split()) for node in _blocks(body))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _blocks(node: ElementTree.Element) -> Iterator[ElementTree.Element]:
    for child in node:
        if _tag(child) in _SKIPPED:
            continue
        if _tag(child) in _BLOCKS:
            yield child  # whole: an element inside a block is not a block of its own
        else:
            yield from _blocks(child)


def _words(node: ElementTree.Element) -> Iterator[str]:
    yield node.text or ""
    for child in node:
        if _tag(child) not in _DROPPED:
            yield from _words(child)
        yield child.tail or ""


def _tag(node: ElementTree.Element) -> str:
    return re.sub(r"^\{.*\}", "", node.tag)


def _bring_from(source: Path | None) -> Callable[[dict], bytes]:
    if source is None:
        return _download
    if not source.is_dir():
        raise FileNotFoundError(
            f"There is no folder {source}: --from takes a folder with train.tar.xz "
            "and val.tar.xz, or one with the TEI files."
        )
    if all((source / f"{split}.tar.xz").is_file() for split in SPLITS):
        return _unpacked(source)
    if next(source.rglob("*.xml"), None) is None:
        raise FileNotFoundError(
            f"The folder {source} holds neither train.tar.xz and val.tar.xz nor TEI "
            "files (NAME.xml): give the folder that does."
        )
    return lambda novel: _converted(source, novel)


def _unpacked(source: Path) -> Callable[[dict], bytes]:
    found = {}
    for split in SPLITS:
        with tarfile.open(source / f"{split}.tar.xz") as members:
            for member in members:
                if member.isfile():
                    found[member.name] = members.extractfile(member).read()

    def bring(novel: dict) -> bytes:
        name = f"{novel['split']}/{novel['file']}"
        if name not in found:
            raise FileNotFoundError(
                f"{source / novel['split']}.tar.xz holds no {name}: it is not the "
                f"archive that the catalogue describes; run `{COMMAND}` to download."
            )
        return found[name]

    return bring


def _converted(source: Path, novel: dict) -> bytes:
    name = Path(novel["file"]).stem
    places = (source / f"{name}.xml", source / "level1" / f"{name}.xml")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"The folder {source} holds no {name}.xml: it needs the TEI of all "
            f"{len(novels())} novels of the catalogue."
        )
    return text_of_tei(path.read_bytes()).encode("utf-8")


def _download(novel: dict) -> bytes:
    address = URL.format(Path(novel["file"]).stem)
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return text_of_tei(answer.read()).encode("utf-8")
    except (urllib.error.URLError, TimeoutError) as error:
        raise ConnectionError(
            f"{address} could not be read ({getattr(error, 'reason', error)}): check "
            f"the connection, or run `{COMMAND} --from FOLDER` with a folder that has "
            "the novels."
        ) from error


def _checked(text: bytes, novel: dict) -> bytes:
    found = hashlib.sha256(text).hexdigest()
    if found != novel["sha256"]:
        raise ValueError(
            f"{novel['file']} ({novel['title']}) is not the text of the catalogue: "
            f"sha256 is {found}, expected {novel['sha256']}; the source has another "
            "edition of this novel, so nothing was kept."
        )
    return text
