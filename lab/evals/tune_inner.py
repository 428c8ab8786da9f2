"""Which inner rate and clip suit a model that was not trained to learn?

A naive model (plainly trained, learning at test time only) deserves its best rate, and
the rate must be chosen on text that no result is reported on: the train split, or
another corpus. The same passages are read at every rate and clip; the lowest mean over
novels wins. Too high a rate shows as a large loss, not as an error.
"""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from lab.measure import positions
from lab.measure.intervals import Interval, interval
from lab.measure.nats import Readings
from lab.measure.readers import Reader
from lab.measure.texts import TextRead


REPORTED = "eltec-eng"
FROZEN = "frozen"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One rate and clip: mean nats per token, and the gain over the frozen twin."""

    lr: float
    clip: float
    loss: float
    gain: Interval


@dataclasses.dataclass(frozen=True)
class Tuning:
    """All trials in their given order, the frozen twin's loss, and the best trial.

    `best`: None if no trial beats the frozen twin. `edges`: "lr" or "clip" where the
    best value is the smallest or largest tried, so that a wider grid may do better.
    `sha256`: of the weights.
    """

    KIND: ClassVar[str] = "tune-inner"
    text: TextRead
    model: str
    sha256: str
    trials: tuple[Trial, ...]
    frozen: float
    best: Trial | None
    edges: tuple[str, ...]


def check_text(corpus: str, split: str):
    """Check that a rate may be chosen on a text.

    **Raises** `ValueError` if results are reported on that text.
    """
    if split == "val" or (corpus == REPORTED and split != "train"):
        raise ValueError(
            f"Results are reported on text of {corpus}/{split}: an inner rate chosen "
            "there would flatter the model; use --split train, or another corpus."
        )


def readers(
    model: str, rates: tuple[float, ...], clips: tuple[float, ...]
) -> dict[str, Reader]:
    """A reader for each rate and clip, and the frozen twin.

    **Raises** `ValueError` for rates or clips that are not positive.
    """
    for name, values in (("rates", rates), ("clips", clips)):
        wrong = [value for value in values if not value > 0]
        if wrong or not values:
            raise ValueError(f"`{name}` must be numbers above 0: got {values}.")
    found = {FROZEN: Reader(model, learning=False)}
    for lr in dict.fromkeys(rates):
        for clip in dict.fromkeys(clips):
            found[_label(lr, clip)] = Reader(model, lr=lr, clip=clip)
    return found


def tune(
    readings: Readings,
    readers: dict[str, Reader],
    text: TextRead,
    model: str,
    sha256: str,
) -> Tuning:
    """The trials of `readers` on `text`, from their readings."""
    by_novel = lambda values: readings.by_novel(values, positions.mean)
    trials = tuple(
        Trial(
            lr=reader.lr,
            clip=reader.clip,
            loss=float(by_novel(readings.nll[label]).mean()),
            gain=interval(by_novel(readings.gap(FROZEN, label))),
        )
        for label, reader in readers.items()
        if label != FROZEN
    )
    frozen = float(by_novel(readings.nll[FROZEN]).mean())
    best = min(trials, key=lambda t: t.loss if np.isfinite(t.loss) else np.inf)
    found = best if best.loss < frozen else None
    edges = _edges(trials, best) if found else ()
    return Tuning(text, model, sha256, trials, frozen, found, edges)


def _edges(trials: tuple[Trial, ...], best: Trial) -> tuple[str, ...]:
    found = []
    for name in ("lr", "clip"):
        tried = sorted({getattr(trial, name) for trial in trials})
        value = getattr(best, name)
        if len(tried) > 1 and value in (tried[0], tried[-1]) and math.isfinite(value):
            found.append(name)
    return tuple(found)


def _label(lr: float, clip: float) -> str:
    return f"lr={lr:g} clip={clip:g}"
