"""Which system reads better, by how much, at which position, and does that last?

Every system reads the same passages (or whole novels), and so does the frozen twin of
each system that learns. A gap is `loss(other) - loss(reference)`, token by token, so
positive means that the reference is better. Gaps are averaged by novel and given with a
95 % t-interval over novels. If one of the two reads less (full attention), only the
tokens that both have read count.

Does a gap shrink as the text grows longer? The slope against log2(position) answers,
and so does the last doubling against the first from 2 K on.

How much of what a window loses does learning win back? A model that sees the whole text
(the ceiling) is ahead of a learner's frozen twin by what far text is worth to it; the
part of that lead by which the learner is ahead of its twin too is the share.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from lab.measure import positions
from lab.measure.intervals import Curve, Interval, curve, interval, part_of, slope
from lab.measure.nats import Readings
from lab.measure.readers import Facts, System
from lab.measure.texts import TextRead


SLOPE_FROM = 2048
PAPER_END = 131_072
LINEAR_WIDTH = 8192


@dataclasses.dataclass(frozen=True)
class Slope:
    """Change of a gap per doubling of the position between two positions, in nats."""

    start: int
    stop: int
    change: Interval

    @property
    def verdict(self) -> str:
        """The conclusion that the interval allows, in words."""
        if not self.change.is_known:
            return "too few novels or positions to say"
        words = {1: "grows with position", -1: "shrinks with position"}
        return words.get(self.change.sign, "no change with position shown")


@dataclasses.dataclass(frozen=True)
class Growth:
    """The gap in the doubling `late` minus the gap in the doubling `early`.

    Both doublings are given by their edges in tokens.
    """

    early: tuple[int, int]
    late: tuple[int, int]
    change: Interval


@dataclasses.dataclass(frozen=True)
class Gap:
    """How much better `better` reads than `than`, in nats per token.

    `to`: tokens of the longest passage that both have read. `trained_to`: the longest
    position that both were trained at (None: unknown). `by_novel [novels]`: mean gaps.
    `curves`: by position, under the names of `grids`. `first_chunk`: the gap before
    anything is learned. `growth`: None if there are no two whole doublings from 2 K on.
    """

    better: str
    than: str
    to: int
    trained_to: int | None
    overall: Interval
    by_novel: tuple[float, ...]
    first_chunk: Interval
    slopes: tuple[Slope, ...]
    growth: Growth | None
    curves: dict[str, Curve]

    @property
    def words(self) -> str:
        """`better against than`."""
        return f"{self.better} against {self.than}"


@dataclasses.dataclass(frozen=True)
class Loss:
    """The loss of one label, as far as it has read, in nats per token.

    `by_novel [novels]`: means. `curves`: by position, under the names of `grids`.
    """

    overall: Interval
    by_novel: tuple[float, ...]
    curves: dict[str, Curve]


@dataclasses.dataclass(frozen=True)
class Share:
    """What share of the lead of a model that sees the whole text learning wins back.

    `lead`: how far `ceiling` is ahead of the frozen twin of `learner` on the tokens
    from `start` to `stop` of each passage; `saved`: how far the learner is; `share`:
    saved over lead (NaN where there is no lead, or none that is told from zero).
    """

    learner: str
    ceiling: str
    start: int
    stop: int
    lead: Interval
    saved: Interval
    share: Interval


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Systems compared on one text: losses by label, and gaps.

    `longest`: tokens of the longest passage. `systems`, `losses`: by name and by label;
    the first system is the reference. `shares`: empty where no ceiling was named.
    """

    KIND: ClassVar[str] = "compare"
    text: TextRead
    longest: int
    notes: tuple[str, ...]
    systems: dict[str, Facts]
    losses: dict[str, Loss]
    gaps: tuple[Gap, ...]
    shares: tuple[Share, ...] = ()

    @property
    def reference(self) -> str:
        """The system that the others are compared with."""
        return next(iter(self.systems))


def grids(length: int, chunk: int) -> dict[str, np.ndarray]:
    """The positions at which curves are given, as edges in tokens.

    `doublings` and `half_doublings` begin with the first chunk, in which nothing has
    been learned yet; `linear` is sixteenths, or 8,192 tokens each beyond 131,072.
    """
    wide = length > 16 * LINEAR_WIDTH
    parts = {"grain": LINEAR_WIDTH} if wide else {"parts": 16, "grain": chunk}
    linear = positions.equal_parts(length, **{"parts": 10**9} | parts)
    return {
        "doublings": positions.doublings(length, chunk),
        "half_doublings": positions.doublings(length, chunk, per_doubling=2),
        "linear": linear,
    }


def compare(
    systems: list[System],
    readings: Readings,
    text: TextRead,
    ceiling: str | None = None,
) -> Comparison:
    """Every system against the first, and each learner against its frozen twin.

    `readings`: for every label of every system's `readers`. `text`: the text read.
    `ceiling`: the system that sees the whole text, None = shares are not asked for.

    **Raises** `ValueError` if the ceiling is none of the systems, or learns.
    """
    check_ceiling(systems, ceiling)
    chunk = systems[0].chunk
    longest = max(len(passage.tokens) for passage in readings.passages)
    by_label = {label: one for one in systems for label in one.readers}
    rivals = [(systems[0].name, other.name) for other in systems[1:]]
    twins = [(one.name, one.frozen_label) for one in systems if one.learning]
    return Comparison(
        text=text,
        longest=longest,
        notes=(*notes(systems, longest), *text.notes),
        systems={one.name: one.facts for one in systems},
        losses={x: measure_loss(readings, x, grids(longest, chunk)) for x in by_label},
        gaps=tuple(
            measure_gap(readings, *pair, chunk, tuple(by_label[x] for x in pair))
            for pair in rivals + twins
        ),
        shares=measure_shares(systems, readings, ceiling) if ceiling else (),
    )


def check_ceiling(systems: list[System], ceiling: str | None):
    """Check that a ceiling can be one, before anything is read.

    **Raises** `ValueError` if it is none of the systems, or learns.
    """
    plain = [one.name for one in systems if not one.learning]
    if ceiling is not None and ceiling not in plain:
        among = f"one of {', '.join(plain)}" if plain else "here all models learn"
        raise ValueError(
            f"the ceiling must be a model compared that never learns ({among}): got "
            f"{ceiling}."
        )


def measure_shares(
    systems: list[System], readings: Readings, ceiling: str
) -> tuple[Share, ...]:
    """Each learner's share of the ceiling's lead: over all, and in the last quarter."""
    found = []
    for one in systems:
        if one.learning:
            leads = readings.gap(one.frozen_label, ceiling)
            to = max(map(len, leads))
            for start in (0, 3 * to // 4):
                found.append(_share(readings, one, ceiling, start, to))
    return tuple(found)


def _share(readings: Readings, one: System, ceiling: str, start: int, stop: int):
    names = {"lead": ceiling, "saved": one.name}
    rows = {
        what: readings.by_novel(
            [gap[start:stop] for gap in readings.gap(one.frozen_label, better)],
            positions.mean,
        )
        for what, better in names.items()
    }
    spans = {what: interval(values) for what, values in rows.items()}
    share = part_of(rows["saved"], rows["lead"])
    if spans["lead"].sign < 0:  # a model that is behind has no lead to be shared
        share = Interval(math.nan, math.nan, math.nan, share.novels)
    return Share(one.name, ceiling, start, stop, **spans, share=share)


def measure_loss(readings: Readings, label: str, edges: dict[str, np.ndarray]) -> Loss:
    """The loss of one label, over all and by position (`edges` by name)."""
    nll = readings.nll[label]
    by_novel = readings.by_novel(nll, positions.mean)
    curves = {name: curve(_rows(readings, nll, at), at) for name, at in edges.items()}
    return Loss(interval(by_novel), tuple(by_novel.tolist()), curves)


def measure_gap(
    readings: Readings,
    better: str,
    than: str,
    chunk: int,
    systems: tuple[System, ...] = (),
) -> Gap:
    """The gap between two labels; `systems` only supply the training lengths."""
    values = readings.gap(than, better)
    to = max(map(len, values))
    by_novel = readings.by_novel(values, positions.mean)
    edges = grids(to, chunk)
    rows = {name: _rows(readings, values, at) for name, at in edges.items()}
    trained = [one.trained_to for one in systems if one.trained_to]
    return Gap(
        better=better,
        than=than,
        to=to,
        trained_to=min(trained, default=None),
        overall=interval(by_novel),
        by_novel=tuple(by_novel.tolist()),
        first_chunk=interval(_rows(readings, values, edges["doublings"][:2])[:, 0]),
        slopes=_slopes(rows["half_doublings"], edges["half_doublings"], to),
        growth=_growth(rows["doublings"], edges["doublings"]),
        curves={name: curve(rows[name], at) for name, at in edges.items()},
    )


def _rows(readings: Readings, values: list[np.ndarray], edges: np.ndarray):
    return readings.by_novel(values, lambda group: positions.bin_means(group, edges))


def _slopes(rows: np.ndarray, edges: np.ndarray, to: int) -> tuple[Slope, ...]:
    """Slopes from 2 K (an eighth of shorter texts) up to 128 K, and up to the end."""
    start = min(SLOPE_FROM, to // 8)
    stops = sorted({min(to, PAPER_END), to})
    return tuple(Slope(start, stop, slope(rows, edges, start, stop)) for stop in stops)


def _growth(rows: np.ndarray, edges: np.ndarray) -> Growth | None:
    """The last whole doubling that every novel reaches, minus the first from 2 K on."""
    start = min(SLOPE_FROM, edges[-1] // 8)
    whole = (edges[:-1] >= start) & (edges[1:] == 2 * edges[:-1])
    found = np.flatnonzero(whole & np.isfinite(rows).all(axis=0))
    if len(found) < 2:
        return None
    first, last = found[0], found[-1]
    span = lambda i: (int(edges[i]), int(edges[i + 1]))
    change = interval(rows[:, last] - rows[:, first])
    return Growth(span(first), span(last), change)


def notes(systems: Iterable[System], longest: int) -> list[str]:
    """Sentences that a reader of the numbers should know, the most important first.

    `longest`: tokens of the longest text read.
    """
    said, systems = [], tuple(systems)
    seen = {one.tokens_seen for one in systems}
    if len(seen) > 1:
        each = (f"{s.name} {_count(s.tokens_seen)}" for s in systems)
        said.append(f"Trained on unequal numbers of tokens: {', '.join(each)}.")
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
            said.append(f"No card gives the training length of {', '.join(names)}.")
        elif to < longest:
            said.append(
                f"{', '.join(names)} trained on sequences of up to {to:,} tokens: "
                "positions beyond are extrapolated (*)."
            )
    return said


def _count(tokens: int | None) -> str:
    return "an unknown number" if tokens is None else f"{tokens:,}"
