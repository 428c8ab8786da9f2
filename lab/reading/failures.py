"""A failure that was provoked, as a file: what each reader's losses and weights did.

Failures of `tiny-e2e` lie in `lab/published/failures`, so that the first visitor sees
them at once; those that were provoked on this machine lie in `.runs/.failures` and come
first. No JAX is needed to open them.
"""

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import files


PUBLISHED = Path(__file__).parents[1] / "published" / "failures"
LEARNER, FROZEN, REMEDY, BROKEN = "learner", "frozen", "remedy", "broken"
_NUMBERS = ("loss", "drift", "probe")
_LINE = {"name": str, "role": str, "ends": [int], "refused": [bool], "said": [str]}
_LINE |= {name: list for name in _NUMBERS}
_MARK = {"token": int, "label": str}
_FILE = {"name": str, "model": str, "document": str, "chunk": int, "seconds": float}
_FILE |= {"lines": [_LINE], "marks": [_MARK], "provenance": dict}


@dataclass(frozen=True)
class Line:
    """One reader of a failure; NaN = not measured, or no number.

    Attributes:
        name: the reader, for people.
        role: `LEARNER` (as it should be), `FROZEN`, `BROKEN` or `REMEDY`.
        ends: `[n]` tokens read after each chunk.
        loss: `[n]` nats per token of each chunk, before it is learned from.
        drift: `[n]` distance of the block that moved furthest, a share of its norm.
        refused: `[n]` whether the step was refused.
        probe: `[n]` nats per token of a passage held back, from the weights alone.
        said: pieces of text that it wrote, if it wrote any.
    """

    name: str
    role: str
    ends: tuple[int, ...]
    loss: tuple[float, ...]
    drift: tuple[float, ...]
    refused: tuple[bool, ...]
    probe: tuple[float, ...]
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mark:
    """A place in the text worth a line in a figure."""

    token: int
    label: str


@dataclass(frozen=True)
class Failure:
    """Several readers of one text, one of which goes wrong."""

    name: str
    model: str
    document: str
    chunk: int
    seconds: float
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    provenance: dict

    def line(self, role: str) -> Line:
        """The first reader in a role.

        **Raises** `ValueError` if there is none.
        """
        found = [line for line in self.lines if line.role == role]
        if not found:
            raise ValueError(f"The failure {self.name!r} has no reader {role!r}.")
        return found[0]


def save(failure: Failure, folder: Path | None = None) -> Path:
    """Write a failure among those of this machine, and return the path."""
    data = dataclasses.asdict(failure)
    for line in data["lines"]:
        for name in _NUMBERS:
            line[name] = [_written(value) for value in line[name]]
    path = (folder or own()) / _file_name(failure.name, failure.model)
    return files.write(path, json.dumps(data, ensure_ascii=False) + "\n")


def load(
    name: str, model: str, tell: Callable[[Failure], str] | None = None
) -> Failure | None:
    """A failure of a model: of this machine, else the published one, else None.

    `tell`: what is to be told of it, `verdicts.verdict`; a file of which that cannot
    be told, because readers or places lack, is damaged.
    """
    damage = OSError, ValueError, LookupError, ArithmeticError
    for folder in (own(), PUBLISHED):
        with contextlib.suppress(*damage):
            found = _read(folder / _file_name(name, model))
            if found.name == name and (tell is None or tell(found)):
                return found
    return None


def own() -> Path:
    """The folder of the failures that were provoked on this machine."""
    return files.runs() / ".failures"


def _read(path: Path) -> Failure:
    data = files.read_json(path, _FILE)
    lines = tuple(_line(line) for line in data["lines"])
    marks = tuple(Mark(mark["token"], mark["label"]) for mark in data["marks"])
    kept = {name: data[name] for name in _FILE}
    return Failure(**kept | {"lines": lines, "marks": marks})


def _line(data: dict) -> Line:
    fields = {name: tuple(data[name]) for name in _LINE if name not in ("name", "role")}
    for name in _NUMBERS:
        fields[name] = tuple(math.nan if v is None else float(v) for v in fields[name])
    sizes = {len(fields[name]) for name in ("ends", "refused", *_NUMBERS)}
    if len(sizes) > 1:
        raise ValueError(f"the columns of {data['name']!r} differ in length: {sizes}")
    if not data["ends"]:
        raise ValueError(f"the columns of {data['name']!r} are empty")
    return Line(data["name"], data["role"], **fields)


def _written(value: float) -> float | None:
    """A number for JSON, with as many digits as anybody looks at."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _file_name(name: str, model: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-." else "_" for c in model)
    return f"{kept}-{name}.json"
