"""Which system reads better, by how much, at which position, and does that last?

The same passages (or whole novels) are read by every system, and by the frozen twin of
each that learns. A gap is `loss(other) - loss(reference)`, token by token, so positive
means that the reference is better; it is averaged by novel and given with a 95 %
t-interval over novels. Where one of the two read less (full attention), only what both
have read counts.

Does a gap shrink as the text grows longer? Its slope against log2(position) says so, as
does the last doubling against the first from `start` on.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from lab.measure import positions
from lab.measure.intervals import Curve, Interval, curve, interval, rounded, slope
from lab.measure.nats import Readings
from lab.measure.readers import System


SLOPE_FROM = 2048
PAPER_END = 131_072
LINEAR_WIDTH = 8192


@dataclasses.dataclass(frozen=True, eq=False)
class Slope:
    """Change of a gap per doubling of the position between two positions, in nats."""

    start: int
    stop: int
    change: Interval

    @property
    def verdict(self) -> str:
        """What the interval allows to say, in words."""
        if not np.isfinite(self.change.low):
            return "too few novels or positions to say"
        words = {1: "grows with position", -1: "shrinks with position"}
        return words.get(self.change.sign, "no change with position shown")


@dataclasses.dataclass(frozen=True, eq=False)
class Gap:
    """How much better `better` reads than `than`, in nats per token.

    `to`: tokens of the longest passage that both have read. `trained_to`: the longest
    position that both were trained at (None: unknown). `by_novel [novels]`: mean gaps.
    `curves`: by position, under the names of `grids`. `first_chunk`: before anything
    was learned. `growth`: the gap in doubling `late` minus that in doubling `early`
    (edges in tokens), None where there are no two whole doublings from 2 K on.
    """

    better: str
    than: str
    to: int
    trained_to: int | None
    overall: Interval
    by_novel: np.ndarray
    curves: dict[str, Curve]
    first_chunk: Interval
    slopes: tuple[Slope, ...]
    growth: Interval | None
    early: tuple[int, int] | None
    late: tuple[int, int] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """All that was compared: losses by label and novel, and the gaps.

    `loss[label] [novels]`: mean nats per token as far as that label read.
    `loss_curves[label]`: by position, under the names of `grids`.
    """

    systems: tuple[System, ...]
    novels: tuple[str, ...]
    lengths: tuple[int, ...]
    loss: dict[str, np.ndarray]
    loss_curves: dict[str, dict[str, Curve]]
    gaps: tuple[Gap, ...]


def grids(length: int, chunk: int) -> dict[str, np.ndarray]:
    """The positions at which curves are given, as edges in tokens.

    `doublings` and `half_doublings` begin with the first chunk, before which nothing is
    learned; `linear` is sixteenths, or 8,192 tokens each beyond 131,072.
    """
    wide = length > 16 * LINEAR_WIDTH
    parts = {"grain": LINEAR_WIDTH} if wide else {"parts": 16, "grain": chunk}
    linear = positions.equal_parts(length, **{"parts": 10**9} | parts)
    return {
        "doublings": positions.doublings(length, chunk),
        "half_doublings": positions.doublings(length, chunk, per_doubling=2),
        "linear": linear,
    }


def compare(systems: list[System], readings: Readings) -> Comparison:
    """Every system against the first, and each that learns against its frozen twin.

    `readings` has every label of every system's `readers`.
    """
    chunk = systems[0].chunk
    longest = max(len(passage.tokens) for passage in readings.passages)
    by_label = {label: one for one in systems for label in one.readers}
    rivals = [(systems[0].name, other.name) for other in systems[1:]]
    twins = [(one.name, one.frozen_label) for one in systems if one.learning]
    gaps = tuple(
        measure_gap(readings, better, than, chunk, (by_label[better], by_label[than]))
        for better, than in rivals + twins
    )
    edges = grids(longest, chunk)
    return Comparison(
        systems=tuple(systems),
        novels=readings.novels,
        lengths=tuple(len(passage.tokens) for passage in readings.passages),
        loss={x: readings.by_novel(readings.nll[x], positions.mean) for x in by_label},
        loss_curves={
            x: {name: _curve(readings, readings.nll[x], e) for name, e in edges.items()}
            for x in by_label
        },
        gaps=gaps,
    )


def measure_gap(
    readings: Readings,
    better: str,
    than: str,
    chunk: int,
    systems: tuple[System, ...] = (),
) -> Gap:
    """The gap between two labels; `systems` only say which lengths were trained."""
    values = readings.gap(than, better)
    to = max(map(len, values))
    by_novel = readings.by_novel(values, positions.mean)
    edges = grids(to, chunk)
    rows = {name: _rows(readings, values, e) for name, e in edges.items()}
    growth = _growth(rows["doublings"], edges["doublings"])
    trained = [one.trained_to for one in systems if one.trained_to]
    return Gap(
        better=better,
        than=than,
        to=to,
        trained_to=min(trained, default=None),
        overall=interval(by_novel),
        by_novel=by_novel,
        curves={name: curve(rows[name], edges[name]) for name in edges},
        first_chunk=interval(_rows(readings, values, edges["doublings"][:2])[:, 0]),
        slopes=_slopes(rows["half_doublings"], edges["half_doublings"], to),
        **dict(zip(("growth", "early", "late"), growth, strict=True)),
    )


def _rows(readings: Readings, values: list[np.ndarray], edges: np.ndarray):
    return readings.by_novel(values, lambda group: positions.bin_means(group, edges))


def _curve(readings: Readings, values: list[np.ndarray], edges: np.ndarray) -> Curve:
    return curve(_rows(readings, values, edges), edges)


def _slopes(rows: np.ndarray, edges: np.ndarray, to: int) -> tuple[Slope, ...]:
    """From 2 K (an eighth of shorter texts) up to 128 K, and up to the end."""
    start = min(SLOPE_FROM, to // 8)
    stops = sorted({min(to, PAPER_END), to})
    return tuple(Slope(start, stop, slope(rows, edges, start, stop)) for stop in stops)


def _growth(rows: np.ndarray, edges: np.ndarray):
    """Last whole doubling that every novel reaches, minus the first from 2 K on."""
    start = min(SLOPE_FROM, edges[-1] // 8)
    whole = (edges[:-1] >= start) & (edges[1:] == 2 * edges[:-1])
    found = np.flatnonzero(whole & np.isfinite(rows).all(axis=0))
    if len(found) < 2:
        return None, None, None
    first, last = found[0], found[-1]
    span = lambda i: (int(edges[i]), int(edges[i + 1]))
    return interval(rows[:, last] - rows[:, first]), span(first), span(last)


def notes(systems: Iterable[System], longest: int, novels: int) -> list[str]:
    """What a reader of the numbers must know: sentences, most important first.

    `longest`: tokens of the longest text read. `novels`: how many documents.
    """
    said, systems = [], tuple(systems)
    seen = {one.tokens_seen for one in systems}
    if len(seen) > 1:
        each = (f"{s.name} {_count(s.tokens_seen)}" for s in systems)
        said.append(f"Not at equal tokens: trained on {', '.join(each)}.")
    if len({one.data_hash for one in systems}) > 1:
        said.append("These models were not trained on the same text.")
    trained: dict[int | None, list[str]] = {}
    for one in systems:
        limit = one.frozen.limit
        if limit and limit < longest:
            said.append(f"{one.name} (full attention) reads {limit:,} tokens, no more.")
        else:
            trained.setdefault(one.trained_to, []).append(one.name)
    for to, names in trained.items():
        if to is None:
            said.append(f"No card says at which length {', '.join(names)} trained.")
        elif to < longest:
            said.append(
                f"{', '.join(names)} trained on sequences of up to {to:,} tokens: "
                "positions beyond are extrapolated (*)."
            )
    if novels < 2:
        said.append("One document gives no interval.")
    return said


def as_json(comparison: Comparison) -> dict:
    """The comparison as plain data, rounded: what is published and drawn."""
    longest = max(comparison.lengths)
    return {
        "novels": list(comparison.novels),
        "passages": len(comparison.lengths),
        "longest": longest,
        "notes": notes(comparison.systems, longest, len(comparison.novels)),
        "systems": {one.name: system_json(one) for one in comparison.systems},
        "losses": {
            label: {
                **interval(loss).as_json(),
                "by_novel": rounded(loss),
                "curves": _curves_json(comparison.loss_curves[label]),
            }
            for label, loss in comparison.loss.items()
        },
        "gaps": [gap_json(gap) for gap in comparison.gaps],
    }


def gap_json(gap: Gap) -> dict:
    """A gap as plain data, rounded."""
    slopes = [
        {"from": s.start, "to": s.stop, **s.change.as_json(), "verdict": s.verdict}
        for s in gap.slopes
    ]
    growth = None
    if gap.growth:
        ends = {"from": list(gap.early), "to": list(gap.late)}
        growth = ends | gap.growth.as_json()
    return {
        "better": gap.better,
        "than": gap.than,
        "to": gap.to,
        "trained_to": gap.trained_to,
        "overall": gap.overall.as_json(),
        "by_novel": rounded(gap.by_novel),
        "first_chunk": gap.first_chunk.as_json(),
        "slope_per_doubling": slopes,
        "growth": growth,
        "curves": _curves_json(gap.curves),
    }


def _curves_json(curves: dict[str, Curve]) -> dict:
    return {name: one.as_json() for name, one in curves.items()}


def system_json(one: System) -> dict:
    """What a result says of a system."""
    return {
        "learns": one.learning is not None,
        "chunk": one.chunk,
        "trained_to": one.trained_to,
        "tokens_seen": one.tokens_seen,
        "reads_to": one.frozen.limit,
        "sha256": one.sha256,
    }


def _count(tokens: int | None) -> str:
    return "an unknown number" if tokens is None else f"{tokens:,}"
