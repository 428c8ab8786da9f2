"""What does a stopped measurement keep? Each part of it, measured once.

A part (a fact asked for, a passage looked at) is stored as it is made, under a hash of
everything that decides its numbers, in `.runs/readings/parts`. The same command finds
the part and measures the missing ones, to the same bits.

    with Kept("recall", "answers") as keep:
        measure_recall(model, questions, keep=keep)
"""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from lab import files, runs
from lab.stopping import Stopped


Measure: TypeAlias = Callable[[], list[np.ndarray]]
Keep: TypeAlias = Callable[..., list[np.ndarray]]


def fresh(measure: Measure, *key) -> list[np.ndarray]:
    """Measure, and keep nothing."""
    return measure()


class Kept:
    """A `keep(measure, *key)`: the arrays that `measure` returns, or has returned.

    Args:
        kind: the measurement, part of the key.
        unit: what a part is called, in the plural.

    A context that is interrupted inside ends with a sentence on what is kept.
    """

    def __init__(self, kind: str, unit: str):
        self.kind, self.unit = kind, unit
        self._paths: list[Path] = []
        self.folder = runs.folder("readings") / "parts"

    def __call__(self, measure: Measure, *key) -> list[np.ndarray]:
        """`key`: texts, numbers and arrays that decide the numbers."""
        path = self._path(key)
        found = _stored(path)
        if found is None:
            found = [np.asarray(array) for array in measure()]
            self._store(path, found)
        self._paths.append(path)
        return found

    def forget(self) -> None:
        """Remove the parts, once they are needed no longer, because they are large."""
        for path in self._paths:
            path.unlink(missing_ok=True)

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, kind, error, _):
        if not isinstance(error, KeyboardInterrupt) or isinstance(error, Stopped):
            return
        raise Stopped(self._sentence()) from error

    def _sentence(self) -> str:
        kept = sum(path.exists() for path in set(self._paths))
        if not kept:
            return f"stopped; there were no {self.unit} to keep yet"
        folder = runs.shown(self.folder)
        many = f"{kept:,} {self.unit} are" if kept > 1 else f"1 of the {self.unit} is"
        return (
            f"stopped; {many} kept in {folder}, and the same command goes on from there"
        )

    def _store(self, path: Path, found: list[np.ndarray]):
        content = io.BytesIO()
        np.savez(content, *found)
        try:
            files.write(path, content.getvalue())
        except OSError:  # a full disk: the measurement itself goes on
            pass

    def _path(self, key) -> Path:
        digest = hashlib.sha256(self.kind.encode())
        for part in key:
            array = np.asarray(part)
            digest.update(f" {array.dtype.str} {array.shape} ".encode())
            digest.update(array.tobytes())
        return self.folder / f"{digest.hexdigest()[:24]}.npz"


def _stored(path: Path) -> list[np.ndarray] | None:
    """The arrays in a file, None if there is none or it is damaged."""
    try:  # from memory, because `np.load` leaves a damaged file open
        with np.load(io.BytesIO(path.read_bytes())) as archive:
            return [archive[name] for name in archive.files]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
