"""Which inner rule suits a model? Each at its best rate, on the same text.

A rule is given every chance first: rates around its usual one are tried on text that no
result is reported on, and the best is taken. With it the rule reads the reported text
and is asked for a needle that attention cannot reach any more.

The model was trained for one rule (`tiny-e2e`) or for none (`tiny-naive`), and no
weight is trained here: what a rule could become by meta-training with it is another
question.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from lab.evals import needles
from lab.measure.intervals import Interval, interval
from lab.measure.parts import Keep, fresh
from lab.measure.readers import Reader, load, with_inner
from lab.measure.texts import Passage, TextRead
from lab.reading.changes import Changes


PAPERS = "sgd"
# Rates to try. A rule that scales its step itself needs rates of another size. Rules
# that are the paper's until they are trained (block-rates, tilted) tell nothing here.
RATES: dict[str, tuple[float, ...]] = {
    "sgd": (0.1, 0.3, 1.0, 3.0, 10.0),
    "momentum": (0.01, 0.03, 0.1, 0.3, 1.0),
    "anchored": (0.1, 0.3, 1.0, 3.0, 10.0),
    "normalised": (0.03, 0.1, 0.3, 1.0, 3.0),
    "muon": (0.001, 0.003, 0.01, 0.03, 0.1),
    "factored": (0.0001, 0.0003, 0.001, 0.003, 0.01),
    "adam": (0.0001, 0.0003, 0.001, 0.003, 0.01),
}
TASK = "s-niah-2"


@dataclasses.dataclass(frozen=True)
class Tried:
    """One rate on the tuning text: nats per token gained over the frozen twin."""

    rate: float
    gain: float


@dataclasses.dataclass(frozen=True)
class Row:
    """One rule at its best rate.

    `edge`: the best rate is the least or the largest tried. `loss`: nats per token.
    `gain`: over the frozen twin; `over_sgd`: over the paper's rule; both paired over
    documents. `drift`: `|W - W0| / |W0|` at the end of a passage, of the block that
    moved furthest. `refused`: share of steps that were not finite. `ms`: milliseconds
    a chunk. `recall`: nats that a needle out of reach saves on a token of its answer;
    `exact`: share of answers that would be written right.
    """

    rule: str
    rate: float
    edge: bool
    tried: tuple[Tried, ...]
    loss: float
    gain: Interval
    over_sgd: Interval
    drift: float
    refused: float
    ms: float
    recall: Interval
    exact: Interval

    @property
    def forgives(self) -> float:
        """Gain on the tuning text at three times the best rate; nan if not tried.

        What is far below the best gain, or negative, is a rule that breaks easily.
        """
        above = [one.gain for one in self.tried if one.rate > self.rate]
        return above[0] if above else math.nan


@dataclasses.dataclass(frozen=True)
class Rules:
    """All rules, the best first. `tuned`: the text that rates were chosen on."""

    KIND: ClassVar[str] = "rules"
    text: TextRead
    tuned: TextRead
    model: str
    sha256: str
    frozen: float
    rows: tuple[Row, ...]


@dataclasses.dataclass(frozen=True)
class Stage:
    """What rules are measured on.

    `tuning`, `passages`: read to choose a rate, and to report; `stacks`: needles.
    """

    tuning: list[Passage]
    passages: list[Passage]
    stacks: object


def measure(
    model: str,
    rules: Mapping[str, tuple[float, ...]],
    stage: Stage,
    *,
    report: Callable[[int], None] | None = None,
    keep: Keep = fresh,
) -> tuple[float, list[Row]]:
    """The frozen twin's loss, and a row for each rule of `rules` (name -> rates).

    The paper's rule must be among them. `report(tokens)`: called with the tokens of
    each part. `keep`: keeps each part (`lab.measure.parts`).
    """
    tell = report or (lambda tokens: None)
    read = functools.partial(_read, keep=keep)
    still = load(Reader(model, learning=False))
    frozen = {
        name: [read(still, one, tell).nats for one in passages]
        for name, passages in (("tuning", stage.tuning), ("text", stage.passages))
    }
    found = {}
    for rule, rates in rules.items():
        changed = Changes(rule=rule).apply(load(Reader(model)), model)
        tried = []
        for rate in rates:
            at = with_inner(changed, lr=rate)
            nats = [read(at, one, tell).nats for one in stage.tuning]
            tried.append(Tried(rate, _gain(stage.tuning, frozen["tuning"], nats).mean))
        best = max(tried, key=lambda one: one.gain if np.isfinite(one.gain) else -1e9)
        at = with_inner(changed, lr=best.rate)
        readings = [read(at, one, tell) for one in stage.passages]
        (cell,), _ = needles.measure(
            needles.Subject(rule, at), stage.stacks, (TASK,), (), keep=keep
        )
        found[rule] = (tuple(tried), best, readings, cell)
    return _table(stage.passages, frozen["text"], found)


@dataclasses.dataclass(frozen=True)
class Reading:
    """One passage read: mean nats, drift at its end, steps refused, ms a chunk."""

    nats: float
    drift: float
    refused: float
    ms: float


def _read(model, passage: Passage, tell, *, keep: Keep) -> Reading:
    from lab import checkpoints

    marked = checkpoints.model_hash(model)
    measured = functools.partial(_walk, model, passage.tokens)
    found = keep(measured, "rules", marked, np.asarray(passage.tokens))[0]
    tell(len(passage.tokens))
    return Reading(*map(float, found))


def _walk(model, tokens: np.ndarray) -> list[np.ndarray]:
    """`[4]`: the numbers of a `Reading`. Compilation is not timed."""
    import ttt_core as ttt

    chunk = model.config.chunk
    fresh_state = lambda: ttt.init_state(model, capacity=len(tokens) + chunk)
    ttt.read(model, fresh_state(), tokens[:chunk])
    begun = time.perf_counter()
    _, found = ttt.read(model, fresh_state(), tokens)
    nll = np.asarray(found.nll, np.float64)
    seconds = time.perf_counter() - begun
    drift = np.asarray(found.drift)
    refused = np.asarray(found.refused)
    chunks = max(len(tokens) // chunk, 1)
    last = float(drift[-1].max()) if drift.size else 0.0
    numbers = (nll.mean(), last, refused.mean(), 1e3 * seconds / chunks)
    return [np.array(numbers, np.float64)]


def _gain(passages: list[Passage], worse: list[float], better: list[float]) -> Interval:
    """`worse - better`, averaged in each document, with an interval over documents."""
    by_document: dict[str, list[float]] = {}
    for passage, one, other in zip(passages, worse, better, strict=True):
        by_document.setdefault(passage.novel, []).append(one - other)
    return interval(np.array([np.mean(values) for values in by_document.values()]))


def _table(passages: list[Passage], frozen: list[float], found: dict):
    nats = {rule: [one.nats for one in row[2]] for rule, row in found.items()}
    rows = []
    for rule, (tried, best, readings, cell) in found.items():
        mean = lambda name, given=readings: float(
            np.mean([getattr(one, name) for one in given])
        )
        rows.append(
            Row(
                rule=rule,
                rate=best.rate,
                edge=len(tried) > 1 and best in (tried[0], tried[-1]),
                tried=tried,
                loss=mean("nats"),
                gain=_gain(passages, frozen, nats[rule]),
                over_sgd=_gain(passages, nats[PAPERS], nats[rule]),
                drift=mean("drift"),
                refused=mean("refused"),
                ms=float(np.min([one.ms for one in readings])),
                recall=cell.nats,
                exact=cell.exact,
            )
        )
    rows.sort(key=lambda row: -row.gain.mean if np.isfinite(row.gain.mean) else 1e9)
    return float(np.mean(frozen)), rows


def cost(stage: Stage, rules: Mapping[str, tuple[float, ...]]) -> int:
    """Tokens that `measure` reports."""
    tuning = sum(len(one.tokens) for one in stage.tuning)
    text = sum(len(one.tokens) for one in stage.passages)
    tries = sum(map(len, rules.values()))
    return tuning * (1 + tries) + text * (1 + len(rules))
