"""From which context on is learning cheaper than looking back? (Fig. 1 right, Fig. 8)

Reading a prompt, writing after it, and training on sequences of that length, for all
systems in one run, by the clocks of `lab.bench`. Systems take turns and the best turn
counts, so ratios hold on a machine that others use too; how much slower a usual turn
was, and what the machine could do before and after, is kept beside the times.

Learning costs the same for every token, looking back costs more and more: their lines
cross somewhere, and where they do is measured.
"""

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar

import numpy as np

from lab import results
from lab.measure.parts import Keep, fresh


ACTS = ("prompt", "writing", "training")


@dataclasses.dataclass(frozen=True)
class Act:
    """What one act costs a system: milliseconds a token at each of `at` tokens.

    `spread`: the median turn's time over the best turn's, the largest of all.
    """

    at: tuple[int, ...]
    ms: tuple[float, ...]
    spread: float

    @property
    def late_over_early(self) -> float:
        """The cost at the longest context over the cost at the shortest."""
        return self.ms[-1] / self.ms[0]


@dataclasses.dataclass(frozen=True)
class Crossing:
    """Where `other` becomes dearer than the reference, in tokens.

    `at`: nan where it is not within what was measured; `always`: it is dearer at the
    shortest context already.
    """

    act: str
    other: str
    at: float
    always: bool


@dataclasses.dataclass(frozen=True)
class Row:
    """A system's costs. `prompt`: reading one, the mean token; `writing`: after it."""

    system: str
    prompt: Act
    writing: Act
    training: Act


@dataclasses.dataclass(frozen=True)
class Latency:
    """All systems, the reference first.

    `peaks`: operations per second of matrix products, in GFLOP/s, before, between and
    after the parts.
    """

    KIND: ClassVar[str] = "latency"
    cores: int
    repeats: int
    peaks: tuple[float, ...]
    rows: tuple[Row, ...]
    crossings: tuple[Crossing, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the numbers that a reader should know."""
        low, high = min(self.peaks), max(self.peaks)
        slow = max(getattr(row, act).spread for row in self.rows for act in ACTS)
        return (
            f"Best of {self.repeats} turns on {self.cores} cores. Matrix products "
            f"ran at {low:,.0f} to {high:,.0f} GFLOP/s in between, and the median turn "
            f"took up to {slow:.2f} times as long as the best.",
            "Systems that do not learn read wider pieces, which are faster for them. "
            "Full attention's buffers are copied at every call here, which slows down "
            "writing token by token.",
        )


def measure(
    models: Mapping[str, object],
    *,
    contexts: Sequence[int],
    seqs: Sequence[int],
    tokens: int,
    repeats: int,
    report: Callable[[str, int], None] | None = None,
    keep: Keep = fresh,
) -> tuple[tuple[float, ...], tuple[Row, ...]]:
    """The machine's peaks between the parts, and each system's costs.

    `contexts`: tokens read before, `seqs`: tokens of a training sequence, `tokens`: of
    a training step. `report(name, number)`: called before each turn. `keep`: keeps each
    part whole (`lab.measure.parts`), for turns only compare within a part.
    """
    from lab.bench.training import measure_training

    knobs = {"repeats": repeats, "report": report}
    configs = {name: model.config for name, model in models.items()}
    key = (*map(repr, configs.values()), *models, repeats)
    peaks, found = [_peak(keep, *key, "before")], {}
    for name, acts in _kept(
        keep, lambda: _read(models, contexts, knobs), *key, "read", *contexts
    ).items():
        found[name] = {act: results.from_json(Act, one) for act, one in acts.items()}
    peaks.append(_peak(keep, *key, "between"))
    trained = {name: [] for name in models}
    for seq in seqs:
        costs = lambda seq=seq: {
            one.system: (1e3 / one.tokens_per_second, one.spread)
            for one in measure_training(configs, seqs=(seq,), tokens=tokens, **knobs)
        }
        for name, cost in _kept(keep, costs, *key, "train", seq, tokens).items():
            trained[name].append(cost)
    peaks.append(_peak(keep, *key, "after"))
    for name, costs in trained.items():
        ms, spreads = zip(*costs, strict=True)
        found[name]["training"] = Act(tuple(seqs), ms, max(spreads))
    return tuple(peaks), tuple(Row(name, **acts) for name, acts in found.items())


def _read(models, contexts, knobs) -> dict[str, dict]:
    """Costs of reading a prompt and of writing after it, by system and act."""
    from lab.bench.reading import measure_reading

    found = {}
    for cost in measure_reading(dict(models), contexts=contexts, **knobs):
        at = tuple(cost.positions.tolist())
        act = lambda seconds, at=at, spread=cost.spread: results.to_json(
            Act(at, tuple((1e3 * seconds).tolist()), spread)
        )
        found[cost.system] = {
            "prompt": act(cost.prompt),
            "writing": act(cost.writing),
        }
    return found


def _peak(keep: Keep, *key) -> float:
    from lab.training.machine import measure_peak

    return _kept(keep, lambda: {"peak": measure_peak() / 1e9}, *key)["peak"]


def _kept(keep: Keep, measure: Callable[[], dict], *key) -> dict:
    """Plain data that `measure` returns, or has returned."""
    as_bytes = lambda: [np.frombuffer(json.dumps(measure()).encode(), np.uint8)]
    (found,) = keep(as_bytes, *key)
    return json.loads(bytes(found))


def crossings(rows: Sequence[Row], growing: Collection[str]) -> tuple[Crossing, ...]:
    """Where other systems become dearer than the first, act by act.

    `growing`: systems whose costs grow with the context. Lines of the others are
    parallel, and where they seem to cross is noise.
    """
    first, *others = rows
    others = [row for row in others if row.system in growing]
    return tuple(
        _crossing(act, row.system, getattr(first, act), getattr(row, act))
        for act in ACTS
        for row in others
    )


def _crossing(act: str, other: str, ours: Act, theirs: Act) -> Crossing:
    """The last place from which on theirs stays the dearer one.

    Costs are straight lines between the measured places, both axes logarithmic.
    """
    at = [a for a in theirs.at if min(ours.at) <= a <= max(ours.at)]
    x = np.log(sorted({*at, *(a for a in ours.at if a <= max(theirs.at))}))
    line = lambda act: np.interp(x, np.log(act.at), np.log(act.ms))
    gap = line(theirs) - line(ours)  # above zero: theirs is dearer
    below = np.flatnonzero(gap <= 0)
    if not len(below):
        return Crossing(act, other, float(np.exp(x[0])), always=True)
    i = int(below[-1])
    if i + 1 == len(x):
        return Crossing(act, other, float("nan"), always=False)
    share = -gap[i] / (gap[i + 1] - gap[i])
    return Crossing(act, other, float(np.exp(x[i] + share * (x[i + 1] - x[i]))), False)
