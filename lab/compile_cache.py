"""Compiled programs are kept on disk, so that the second start is quick.

The folder is the user's cache folder (`~/.cache/ttt-lab/compiled`); the environment
variable `TTT_LAB_COMPILE_CACHE` moves the folder. Importing `lab` switches the cache
on, before or after JAX is imported, and does not import JAX.

An entry may be damaged: JAX does not write entries whole or not at all, and a process
may be killed. JAX compiles the program again, but never writes over the entry, so the
entry is removed here. JAX's own limit of the size needs a lock that all processes wait
for, so the folder is trimmed here as well, once an hour.
"""

import contextlib
import logging
import os
import sys
import time
import warnings
from pathlib import Path

from lab import files


SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.3,
    "jax_persistent_cache_min_entry_size_bytes": 0,
}
MOST_BYTES = 2 * 1024**3
TRIM_EVERY_S = 3600
COMPILER = "jax._src.compiler"  # a logger, which says which entries are compiled
UNREADABLE = "Error reading persistent compilation cache entry"


def folder() -> Path:
    """The folder where compiled programs are kept."""
    if chosen := os.environ.get("TTT_LAB_COMPILE_CACHE"):
        return Path(chosen)
    return files.user_cache() / "compiled"


def enable():
    """Point JAX at the folder, unless the user has set JAX's own variable."""
    given = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    place = Path(given) if given is not None else folder()
    settings = {"jax_compilation_cache_dir": str(place), **SETTINGS}
    for name, value in settings.items():
        os.environ.setdefault(name.upper(), str(value))
    if "jax" in sys.modules:
        import jax

        if jax.config.jax_compilation_cache_dir is None:
            for name, value in settings.items():
                jax.config.update(name, value)
    if given is None:
        _mend(place)
        trim_now_and_then(place)


def trim_now_and_then(place: Path):
    """Trim a folder of compiled programs, unless that was done within the hour."""
    stamp = place / ".trimmed"
    with contextlib.suppress(OSError):  # no folder yet, or nothing can be written
        if not stamp.exists() or time.time() - stamp.stat().st_mtime > TRIM_EVERY_S:
            stamp.touch()
            trim(place)


def trim(place: Path, most: int = MOST_BYTES):
    """Remove the entries that were used longest ago, until `most` bytes are left."""
    entries = sorted(map(_facts, place.glob("*-cache")), reverse=True)
    total = 0
    for _, size, path in entries:
        total += size
        if total > most:
            _remove(path)


def _facts(path: Path) -> tuple[float, int, Path]:
    """When an entry was last used, as far as known, its size and its path."""
    try:
        found = path.stat()
    except OSError:  # another process has removed the entry
        return 0.0, 0, path
    return max(found.st_atime, found.st_mtime), found.st_size, path


def _mend(place: Path):
    """Remove an entry that JAX could not read, before JAX would write a new one.

    JAX tells its logger, for each program that it compiles, the entry that it did not
    find. If there is such an entry nevertheless, it is damaged.
    """
    logger = logging.getLogger(COMPILER)
    shown = logger.getEffectiveLevel()

    def see(record: logging.LogRecord) -> bool:
        if "CACHE MISS" in str(record.msg) and len(record.args) == 2:
            _remove(place / f"{record.args[1]}-cache")
        return record.levelno >= shown

    logger.setLevel(logging.DEBUG)
    logger.addFilter(see)
    warnings.filterwarnings("ignore", UNREADABLE, UserWarning)


def _remove(path: Path):
    with contextlib.suppress(OSError):
        path.unlink()
