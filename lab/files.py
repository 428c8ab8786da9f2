"""Files that appear whole or not at all, even if a process is killed while writing.

A file is written beside its final place, under a temporary name that no other process
or thread uses, and moved there by one rename. A reader finds the old file or the new.
"""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: str | os.PathLike, content: str | bytes) -> Path:
    """Write `content` (text as UTF-8) to `path`, make missing folders, return `path`.

    The content is on the disk before the rename, so that a power failure does not leave
    an empty file either. After an exception the old file is unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}")
    try:
        with draft.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return path


def runs() -> Path:
    """The folder of all run folders: `$TTT_LAB_RUNS`, or `.runs` where one stands."""
    return Path(os.environ.get("TTT_LAB_RUNS", ".runs")).expanduser().absolute()


@contextmanager
def appearing(place: Path) -> Iterator[Path]:
    """A temporary path for a new folder, which is renamed to `place` at the end.

    After an exception nothing is left behind. If another process made `place` in the
    meantime, that folder stays: both processes prepare the same contents.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{place.name}-", dir=place.parent
    ) as passing:
        draft = Path(passing, place.name)
        yield draft
        if place.is_dir():
            return
        try:
            os.replace(draft, place)
        except OSError:
            if not place.exists():
                raise
