"""Files that appear whole or not at all, whoever is killed while one is written.

Everything is written beside its place, under a passing name that no other process or
thread uses, and moved there by one rename. A reader finds the old file or the new one.
"""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: str | os.PathLike, content: str | bytes) -> Path:
    """Make `path` hold `content`, text as UTF-8, and return it; folders are made.

    The content is on the disk before the rename, so that a machine that loses power
    does not leave an empty file either. After an exception the old file is as it was.
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


@contextmanager
def appearing(place: Path) -> Iterator[Path]:
    """A passing path to make a folder at; it is renamed to `place` at the end.

    After an exception nothing is left behind. Where another process made `place` in the
    meantime, that folder stays: what is prepared is the same whoever prepares it.
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
