"""What did each chunk leave in the weights, and for how long?

After `t` chunks, chunk `s` is read again with an empty window and the fast weights of
that time. Its *gain* is what it costs less than under W0:

    gain(s, t) = nats(chunk s | W0) - nats(chunk s | W_t)

For `s < t` the chunk was read: memory is in the gain. For `s >= t` the chunk was not
yet read: the gain is what the document's manner alone gives. So each age has its null
in the mirror: the chunk `a` behind the reader against the chunk as far ahead, under the
same weights. The unrelated document says what reading any text does.

    memory(a) = mean over t of  gain(t - a, t) - gain(t + a - 1, t)
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab.analysis.walk import Subject, spread
from lab.measure.intervals import Curve, Interval, batch_means, curve_of, share
from lab.measure.parts import Keep, fresh
from lab.measure.positions import doublings


SIDE = 128  # chunks and times of the map, at most
TOKENS = SIDE * SIDE * 64  # read again for the map, at most
NEVER = 16  # chunks of each null: what follows in the document, the unrelated one
RARE = 0.975  # a step that this share of unread chunks stays below is not by chance


@dataclasses.dataclass(frozen=True)
class Retention:
    """What each chunk left in the weights, at each time.

    `rows [n]`: chunks that were read again. `times [m]`: chunks that had been read.
    `gain [n][m]`: nats per token. `words [n]`: how each chunk begins. `other [m]`: mean
    gain of the unrelated document, NaN without one.

    By age in chunks: `own`, chunks that were read so long ago; `ahead`, chunks that
    will be read so much later; `memory`, the difference under the same weights.

    `step`: gain from reading a chunk, of this chunk; `others`: of chunks that were not
    read. `entered`: share of chunks that the step taught more than chance. `kept`:
    share of those with half of the step left at the end, beyond what never-read chunks
    gained; `control`: "later" in the document, or the "other" document.
    """

    KIND: ClassVar[str] = "retention"
    subject: Subject
    rows: tuple[int, ...]
    times: tuple[int, ...]
    gain: tuple[tuple[float, ...], ...]
    words: tuple[str, ...]
    other: tuple[float, ...]
    own: Curve
    ahead: Curve
    memory: Curve
    step: Interval
    others: Interval
    entered: Interval
    kept: Interval
    control: str

    @property
    def best_kept(self) -> list[tuple[int, str, float]]:
        """Chunks by what they gain at the end, most first: token, beginning, gain."""
        token = lambda row: row * self.subject.chunk
        rows = zip(self.rows, self.words, self.gain, strict=False)
        found = [(token(row), words, gain[-1]) for row, words, gain in rows]
        return sorted(found, key=lambda one: -one[2])


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which chunks are read again, and when: `rows [n]`, `times [m]`, ascending.

    `later`: chunks of the document behind what was read.
    """

    rows: tuple[int, ...]
    times: tuple[int, ...]
    later: tuple[int, ...]


def plan(chunks: int, chunk: int, later: int = 0, side: int = SIDE) -> Plan:
    """The map's rows and times: all if they fit, else spread over the text.

    Where not all fit, times come in pairs, before and after a chunk was read.

    >>> plan(3, 64)
    Plan(rows=(0, 1, 2), times=(1, 2, 3), later=())
    """
    side = max(2, min(side, int((TOKENS / chunk) ** 0.5)))
    rows = spread(0, chunks - 1, side)
    read = rows if chunks <= side else rows[::2]
    times = {time for row in read for time in (row, row + 1)} - {0}
    behind = spread(0, min(later, chunks) - 1, NEVER) if later else []
    return Plan(
        tuple(rows),
        tuple(sorted(times | {chunks})),
        tuple(chunks + row for row in behind),
    )


def gains(
    model,
    ids: np.ndarray,
    rows: np.ndarray,
    times: tuple[int, ...],
    report: Callable[[int, int], None] = lambda done, total: None,
    keep: Keep = fresh,
    key: tuple = (),
) -> np.ndarray:
    """Mean gain of each row at each time while `ids` are read, `[rows, times]`.

    `rows [n, chunk + 1]`. Weights are used as they come, and not kept: those of a large
    model at all times would fill the memory. `report(done, total)`: counts of times.
    `keep`: keeps each time under `key`, what decides the weights (`lab.measure.parts`).
    """
    import ttt_core as ttt
    from lab.analysis.rows import Rows

    again, chunk = Rows(model, rows), model.config.chunk
    state, columns = ttt.init_state(model, capacity=len(ids)), []
    cost = lambda fast: [again.nats(fast).mean(axis=1, dtype=np.float64)]
    (start,) = cost(state.fast)
    for i, (since, time) in enumerate(itertools.pairwise((0, *times))):
        state, _ = ttt.read(model, state, ids[since * chunk : time * chunk])
        (found,) = keep(lambda fast=state.fast: cost(fast), *key, rows, time)
        columns.append(start - found)
        report(i + 1, len(times))
    return np.stack(columns, axis=1)


def summary(
    subject: Subject,
    planned: Plan,
    found: np.ndarray,
    words: tuple[str, ...] = (),
) -> Retention:
    """The result, from gains of planned rows, later rows and the other document's.

    `found [rows + later + other, times]`.
    """
    many = len(planned.rows), len(planned.later)
    own, later, other = np.split(found, [many[0], sum(many)])
    by_age = _by_age(planned, found[: sum(many)])
    control = later if len(later) else other
    return Retention(
        subject=subject,
        rows=planned.rows,
        times=planned.times,
        gain=tuple(tuple(round(float(one), 3) for one in row) for row in own),
        words=words,
        other=tuple(_means(other)),
        **by_age,
        **_steps(planned, own, control),
        control="later" if len(later) else "other",
    )


def _means(rows: np.ndarray) -> list[float]:
    """Mean of each column, NaN where there are no rows."""
    if not len(rows):
        return [float("nan")] * rows.shape[1]
    return [round(float(one), 4) for one in rows.mean(axis=0)]


def _by_age(planned: Plan, gain: np.ndarray) -> dict:
    """Curves by age, of `gain [rows + later, times]`.

    The first bin is as wide as rows lie apart, so that at each time one is in it.
    """
    places, times = np.array([*planned.rows, *planned.later]), np.array(planned.times)
    age = times - places[:, None]  # [rows, times], 1 = just read, 0 = next to be read
    apart = int(np.diff(places[: len(planned.rows)]).max(initial=1))
    edges = 1 + doublings(int(times.max()), apart)
    parts = {"own": age, "ahead": 1 - age}
    means = {
        name: _bins(away, gain, edges) for name, away in parts.items()
    }  # each [bins, times]
    means["memory"] = means["own"] - means["ahead"]
    return {
        name: curve_of([batch_means(row) for row in rows], edges)
        for name, rows in means.items()
    }


def _bins(away: np.ndarray, gain: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean gain of the rows in each bin of a distance, at each time `[bins, times]`."""
    found = []
    for low, high in zip(edges, edges[1:], strict=False):
        inside = (away >= low) & (away < high)
        total = np.where(inside, gain, 0).sum(axis=0)
        count = inside.sum(axis=0)
        found.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    return np.stack(found)


def _steps(planned: Plan, own: np.ndarray, control: np.ndarray) -> dict:
    """What the step after a chunk taught about this chunk, and what is left of it."""
    at = {time: i for i, time in enumerate(planned.times)}
    column = lambda gain, time: gain[:, at[time]] if time else np.zeros(len(gain))
    step, chance, left = [], [], []
    for i, row in enumerate(planned.rows):
        if row + 1 not in at or (row and row not in at):
            continue
        moved = column(own, row + 1) - column(own, row)  # [rows]
        unread = np.array(planned.rows) > row
        chance.append(moved[unread])
        step.append(moved[i])
        since = column(control, planned.times[-1]) - column(control, row)
        gained = since.mean() if len(since) else 0.0
        left.append(own[i, -1] - column(own, row)[i] - gained)
    step, left, pooled = np.array(step), np.array(left), np.concatenate(chance)
    pooled = pooled if len(pooled) else np.zeros(1)
    entered, taught = step > np.quantile(pooled, RARE), step - pooled.mean()
    known = share((left >= taught / 2)[entered]) if entered.any() else _NONE
    return {
        "step": batch_means(step),
        "others": batch_means([one.mean() for one in chance if len(one)]),
        "entered": share(entered),
        "kept": known,
    }


_NONE = Interval(float("nan"), float("nan"), float("nan"), 0)
