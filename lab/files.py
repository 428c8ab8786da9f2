"""Files that appear whole or not at all, even if a process is killed while writing.

A file is written beside its final place, under a temporary name that no other process
or thread uses, and moved there by one rename. A reader finds the old file or the new.
"""

import json
import os
import secrets
import sys
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


def read_json(path: Path, like=object):
    """The contents of a JSON file, which are as `like` says (`fits`).

    **Raises** `ValueError` naming the file, if it is damaged.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        if not fits(found, like):
            raise ValueError("it is JSON, but something in it is missing or of no use")
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); remove it, and the next start makes it anew."
        ) from error
    return found


def fits(value, like) -> bool:
    """Whether JSON data are as an example says, which has types for its values.

    A dictionary has at least the example's entries; all entries of a list, or of a
    dictionary whose one key is `str`, are like the example's.

    >>> fits([{"step": 1, "loss": 0.5}], [{"step": int}]), fits({"a": "b"}, {str: int})
    (True, False)
    """
    if isinstance(like, list):
        return isinstance(value, list) and all(fits(one, like[0]) for one in value)
    if not isinstance(like, dict):
        return isinstance(value, like)
    if not isinstance(value, dict):
        return False
    if str in like:
        return all(fits(one, like[str]) for one in value.values())
    return all(name in value and fits(value[name], like[name]) for name in like)


def user_cache() -> Path:
    """The lab's folder in the user's cache folder, `$XDG_CACHE_HOME` or `~/.cache`.

    Without a home, or where nothing can be written, a temporary folder stands in for
    the user's cache folder, and a sentence says so.
    """
    base = _cache_home()
    if base is None or not (Path(base, "ttt-lab").is_dir() or can_write(base)):
        base = _temporary_cache()
        # Other parts of the lab and its children find the same folder, and say nothing.
        os.environ["XDG_CACHE_HOME"] = str(base)
        print(
            f"ttt-lab: there is no home folder to write to; {base} keeps prepared data "
            "and compiled programs (XDG_CACHE_HOME names another folder).",
            file=sys.stderr,
        )
    return Path(base, "ttt-lab")


def can_write(place: Path) -> bool:
    """Whether files can be made in a folder, which need not exist yet."""
    place = _standing(place)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def check_writable(place: Path):
    """Check that files can be made in a folder, which need not exist yet.

    Permissions do not tell (of a full disk, of `/proc`), so a file is made and removed.

    **Raises** `OSError` naming the folder.
    """
    place = _standing(place)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OSError(
            f"Nothing can be written in {place} ({error.strerror}); name another place."
        ) from error


def _standing(place: Path) -> Path:
    """The folder itself, or else the nearest folder around it that exists."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def expanded(path: str | os.PathLike) -> Path:
    """A path with `~` replaced by the home, if there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # nobody of this name, or no home
        return Path(path)


def _cache_home() -> Path | None:
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given)
    home = expanded("~")
    return home / ".cache" if home.is_dir() else None


def _temporary_cache() -> Path:
    """The same folder for every process of this user, and for nobody else."""
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    place = Path(tempfile.gettempdir(), f"ttt-lab-{owner}")
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        facts = place.lstat()
        if place.is_symlink() or facts.st_mode & 0o077 or facts.st_uid != owner:
            raise PermissionError  # compiled programs of others are not to be run
    except OSError:
        return Path(tempfile.mkdtemp(prefix="ttt-lab-"))
    return place


def runs() -> Path:
    """The folder of all run folders: `$TTT_LAB_RUNS`, or `.runs` where one stands."""
    return expanded(os.environ.get("TTT_LAB_RUNS", ".runs")).absolute()


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
