"""Which chunks taught a model what it knew later? Chunk by chunk, and token by token.

The document is read again without learning from one chunk, whose tokens attention sees
all the same. What every later token then costs more is that chunk's *influence* on it.
Documents of more than `SPANS` chunks are divided into spans of several chunks, and long
documents are read again without some of the spans only, `left_out`.

The fast mode asks the stored updates instead (`lab.analysis.estimates`), for all spans
and in one reading. `Agreement` says how far both agree.

Two things stand beside the numbers. The frozen twin learns from no chunk, and its
influences are exactly zero; `gain` is what learning saved over the twin. The null is an
unrelated text, scored with the same weights: what a chunk teaches about any text.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab.analysis.walk import Subject, Walk, cut, room
from lab.measure.intervals import Curve, Interval, curve, interval
from lab.measure.parts import Keep, fresh


SPANS = 128  # at most
BESIDE = 16  # readings side by side, one of which learns from all chunks
READINGS = 9_000  # chunks that are read again, beyond which spans are sampled
TEACHERS = 3  # named for each token
TEXT = 160  # characters of a teacher that are shown
MILLI = 1_000


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A span that taught a token: its first chunk, and a piece of its text.

    `nats`: the span's influence on the token, NaN where the span was not left out.
    `estimate`: the same to first order. `says_it`: whether the token is in the span.
    """

    chunk: int
    nats: float
    estimate: float
    says_it: bool
    text: str


@dataclasses.dataclass(frozen=True)
class Taught:
    """A token that learning helped, and who taught it.

    `place`: its number in the text that was read. `before`: the text before the token.
    `gain`: nats that learning saved. `common`: share of all earlier spans that hold the
    token. `teachers`: strongest first.
    """

    place: int
    before: str
    token: str
    gain: float
    common: float
    teachers: tuple[Teacher, ...]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far first-order estimates agree with readings without the span.

    `correlation` over all pairs of spans, `ranks` the same of their ranks. `rows`: mean
    and interval over the spans left out, of each span's correlation over later spans.
    `slope`: of the estimate against the readings. `mean`, `estimated`: means over all
    pairs, thousandths of a nat a token. Curvature is left out of the estimates, and so
    they may lie too low or too high on average.
    """

    correlation: float
    ranks: float
    slope: float
    rows: Interval
    mean: float
    estimated: float


@dataclasses.dataclass(frozen=True)
class Influence:
    """Which spans taught which later spans.

    `span`: chunks in a span. `left_out`: spans without which the text was read again.
    `exact`: for each of these, thousandths of a nat a token on every later span.
    `estimate`: the same to first order, for every span. `gain [spans]`: nats a token
    that learning saved over the frozen twin. `by_distance`, `null`, `estimated`: nats a
    token by distance in tokens, on the text, on an unrelated one, and to first order,
    with intervals over the spans of this document. `share`: mean influence of all spans
    together as a share of the gain, NaN where spans were sampled. `beyond`: share of
    pairs whose influence is larger than 95 % of the null's.
    """

    KIND: ClassVar[str] = "influence"
    subject: Subject
    span: int
    left_out: tuple[int, ...]
    exact: tuple[tuple[float, ...], ...]
    estimate: tuple[tuple[float, ...], ...]
    gain: tuple[float, ...]
    by_distance: Curve | None
    null: Curve | None
    estimated: Curve
    agreement: Agreement | None
    share: float
    beyond: float
    taught: tuple[Taught, ...]

    @property
    def spans(self) -> int:
        """Spans of the text."""
        return len(self.gain)

    def matrix(self, of: str = "exact") -> np.ndarray:
        """`[spans, spans]`: from the row's span to the column's, milli-nats or NaN.

        `of`: "exact" or "estimate".
        """
        found = np.full((self.spans, self.spans), math.nan)
        every = range(self.spans) if of == "estimate" else self.left_out
        for span, row in zip(every, getattr(self, of), strict=True):
            found[span, span + 1 :] = row
        return found


def plan(chunks: int, room: int, fast: bool = False) -> tuple[int, tuple[int, ...]]:
    """`(chunks a span, spans to leave out)`; `room`: spans there is memory for.

    >>> plan(4, 128)
    (1, (0, 1, 2))
    >>> plan(2048, 128)[0]
    16
    """
    span = -(-chunks // min(SPANS, room))
    last = -(-chunks // span) - 1  # nothing comes after the last span
    if fast:
        return span, ()
    many = last if last * chunks <= 2 * READINGS else 2 * READINGS // chunks
    many = max(1, min(last, many))
    return span, tuple(int((i + 0.5) * last / many) for i in range(many))


def choose(
    walk: Walk, span: int, most: int, allowed: np.ndarray | None = None
) -> list[tuple[int, int]]:
    """The tokens that learning saved most, at most one a chunk: `(chunk, place)`.

    `allowed [tokens]`: which tokens count. Without it, no token is named twice. The
    first span has no teacher.
    """
    gain = walk.gain.ravel().copy()
    gain[: span * walk.gain.shape[1]] = 0
    if allowed is not None:
        gain[~allowed] = 0
    found, named = {}, set()
    for at in np.argsort(-gain):
        chunk, place = divmod(int(at), walk.gain.shape[1])
        if len(found) >= most or gain[at] <= 0:
            break
        if chunk not in found and (allowed is not None or walk.ids[at] not in named):
            found[chunk] = place
            named.add(walk.ids[at])
    return list(found.items())


def measure(
    model,
    walk: Walk,
    other: np.ndarray,
    *,
    subject: Subject,
    decode: Callable[[list[int]], str],
    fast: bool = False,
    chosen: list[tuple[int, int]] | None = None,
    most: int = 12,
    keep: Keep = fresh,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Influence:
    """Who taught what: with `fast`, to first order only.

    Args:
        other: tokens of an unrelated text.
        decode: text of tokens.
        chosen: tokens whose teachers are named (default: the `most` that gained most).
        keep: keeps readings (`lab.measure.parts`).
        report: called with counts of chunks.

    **Raises** `ValueError` where the unrelated text has less than a chunk.
    """
    if len(other) < subject.chunk:
        raise ValueError(
            f"{subject.null} has {len(other):,} tokens: an unrelated text needs a "
            f"chunk of {subject.chunk:,}."
        )
    span, left_out = plan(len(walk.rows), room(model), fast)
    if chosen is None:
        chosen = choose(walk, span, most)
    groups = _groups(left_out, span)
    reading = _Reading(model, walk, other, span, chosen)
    beside = min(BESIDE, len(left_out) + 1)
    total = len(walk.rows) + sum(len(walk.rows) - start for _, start in groups)
    tell = lambda done: report(done, total)
    first = reading.collect({start for _, start in groups}, tell)
    count, done = len(first.updates), len(walk.rows)
    found = [np.full((count, n), np.nan) for n in (count, count, len(chosen))]
    for group, start in groups:
        again = lambda group=group, start=start, done=done: reading.leave_out(
            beside, first.learners[start], group, start, lambda part: tell(done + part)
        )
        key = (subject.sha256, walk.ids, other, span, group, np.array(chosen))
        for into, rows in zip(found, keep(again, *key), strict=True):
            into[list(group)] = rows
        done += len(walk.rows) - start
        tell(done)
    exact = dict(zip(("exact", "null", "token"), found, strict=True))
    return _result(walk, subject, decode, span, left_out, chosen, first, **exact)


def _groups(left_out: tuple[int, ...], span: int) -> list[tuple[tuple[int, ...], int]]:
    """Spans that are left out side by side, and the chunk from which they are read."""
    from lab.analysis.variants import STRETCH

    size = BESIDE - 1
    groups = [left_out[i : i + size] for i in range(0, len(left_out), size)]
    return [(group, group[0] * span // STRETCH * STRETCH) for group in groups]


class _Reading:
    """A document that is read several times, each time without some of its spans."""

    def __init__(self, model, walk: Walk, other: np.ndarray, span: int, chosen: list):
        from lab.analysis import variants

        rows = cut(other, model.config)
        beside = rows[np.arange(len(walk.rows)) % len(rows)]
        self.model, self.span, self.chosen = model, span, chosen
        self.text = variants.prepare(model, walk.rows)
        self.aside = variants.prepare_alone(model, beside)

    def collect(self, starts: set[int], tell):
        """Gradients and updates, and the learners before chunks `starts`."""
        from lab.analysis import estimates

        knobs = (self.span, self.chosen, starts, tell)
        return estimates.collect(self.model, self.text, *knobs)

    def leave_out(
        self, beside: int, learner, group, start: int, report
    ) -> list[np.ndarray]:
        """Influences of spans: on spans, on the unrelated text, on tokens.

        `beside`: readings side by side, the last of which learns from all chunks.
        """
        from lab.analysis import variants

        chunks, span = len(self.text.targets), self.span
        rates = np.ones((beside, chunks - start), np.float32)
        for i, one in enumerate(group):
            rates[i, max(one * span - start, 0) : (one + 1) * span - start] = 0
        text, aside = (one.cut(start, chunks) for one in (self.text, self.aside))
        learners = variants.copies(learner, beside)
        _, *nats = variants.read_on(self.model, learners, text, rates, aside, report)
        more = [(found - found[-1])[: len(group)] for found in nats]
        spans = [_by_span(one, start, span, chunks) for one in more]  # [group, spans]
        tokens = np.full((len(group), len(self.chosen)), np.nan)
        for i, (chunk, place) in enumerate(self.chosen):
            if chunk >= start:
                tokens[:, i] = more[0][:, chunk - start, place]
        return [*spans, tokens]


def _by_span(more: np.ndarray, start: int, span: int, chunks: int) -> np.ndarray:
    """Means of `more [group, chunks, chunk]` by span, NaN before `start`."""
    count = -(-chunks // span)
    found = np.full((len(more), count), np.nan)
    where = (start + np.arange(more.shape[1])) // span
    for one in range(where[0], count):
        found[:, one] = _mean(more[:, where == one].reshape(len(more), -1))
    return found


def _mean(rows: np.ndarray) -> np.ndarray:
    """Means of rows over the numbers that are there, NaN where there is none."""
    there = np.isfinite(rows)
    total = np.where(there, rows, 0).sum(-1, dtype=np.float64)
    return np.where(there.any(-1), total / np.maximum(there.sum(-1), 1), np.nan)


def _result(
    walk: Walk, subject, decode, span, left_out, chosen, first, *, exact, null, token
) -> Influence:
    """All that a result says, from matrices `[from span, to span or token]`."""
    count = len(first.updates)
    estimate = -first.updates @ first.gradients.T  # [from span, to span]
    by_token = -first.updates @ first.tokens.T  # [from span, token]
    later = np.triu(np.ones((count, count), bool), 1)
    estimate, exact, null = (
        np.where(later, one, np.nan) for one in (estimate, exact, null)
    )
    gain = np.array([part.mean() for part in _cut(walk.gain, span)])
    rows = np.array(left_out, int)
    width = span * subject.chunk
    some = bool(left_out)
    return Influence(
        subject=subject,
        span=span,
        left_out=left_out,
        exact=_triangle(exact, left_out),
        estimate=_triangle(estimate, range(count)),
        gain=tuple(round(float(one), 4) for one in gain),
        by_distance=_distances(exact[rows], left_out, width) if some else None,
        null=_distances(null[rows], left_out, width) if some else None,
        estimated=_distances(estimate[: count - 1], tuple(range(count - 1)), width),
        agreement=_agreement(exact[rows], estimate[rows]) if some else None,
        share=_share(exact, gain) if len(left_out) == count - 1 else math.nan,
        beyond=_beyond(exact, null) if some else math.nan,
        taught=tuple(
            _taught(walk, decode, span, where, by_token[:, i], token[:, i])
            for i, where in enumerate(chosen)
        ),
    )


def _cut(rows: np.ndarray, span: int) -> list[np.ndarray]:
    return [rows[i : i + span] for i in range(0, len(rows), span)]


def _triangle(found: np.ndarray, spans) -> tuple[tuple[float, ...], ...]:
    """Milli-nats on the spans after each of `spans`."""
    round_ = lambda row: tuple(round(MILLI * float(one), 2) for one in row)
    return tuple(round_(found[span, span + 1 :]) for span in spans)


def _distances(rows: np.ndarray, left_out: tuple[int, ...], width: int) -> Curve:
    """Nats by distance in tokens, with intervals over the spans left out."""
    count = rows.shape[1]
    edges = [1]
    while edges[-1] < count:
        edges.append(min(2 * edges[-1], count))
    away = np.arange(count) - np.array(left_out)[:, None]
    bins = [
        _mean(np.where((away >= a) & (away < b), rows, np.nan))
        for a, b in zip(edges, edges[1:], strict=False)
    ]
    return curve(np.array(bins).T, [edge * width for edge in edges])


def _agreement(exact: np.ndarray, estimate: np.ndarray) -> Agreement:
    there = np.isfinite(exact)
    a, b = exact[there], estimate[there]
    spread = float(np.var(a))
    rows = [
        correlation(x[np.isfinite(x)], y[np.isfinite(x)])
        for x, y in zip(exact, estimate, strict=True)
    ]
    return Agreement(
        correlation=correlation(a, b),
        ranks=correlation(_ranks(a), _ranks(b)),
        slope=float(np.cov(a, b, ddof=0)[0, 1]) / spread if spread else math.nan,
        rows=interval(rows),
        mean=round(MILLI * float(a.mean()), 3),
        estimated=round(MILLI * float(b.mean()), 3),
    )


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation, NaN for fewer than three pairs or for equal numbers."""
    if len(a) < 3 or not np.std(a) or not np.std(b):
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(float)


def _share(exact: np.ndarray, gain: np.ndarray) -> float:
    """What all spans' influences add up to on later spans, as a share of the gain."""
    total, gain = np.nansum(exact[:, 1:]), gain[1:].sum()
    return float(total / gain) if gain else math.nan


def _beyond(exact: np.ndarray, null: np.ndarray) -> float:
    """Share of pairs whose influence is larger than 95 % of the null's."""
    null, exact = null[np.isfinite(null)], exact[np.isfinite(exact)]
    return float(np.mean(exact > np.quantile(null, 0.95))) if len(null) else math.nan


def _taught(walk: Walk, decode, span: int, where, estimate, exact) -> Taught:
    chunk, place = where
    size = walk.rows.shape[1] - 1
    at, earlier = chunk * size + place, chunk // span
    token = int(walk.ids[at])
    known = bool(np.isfinite(exact[:earlier]).all())
    strength = (exact if known else estimate)[:earlier]
    parts = [walk.ids[i : i + span * size] for i in range(0, at, span * size)][:earlier]
    says = [bool((part == token).any()) for part in parts]
    best = [int(i) for i in np.argsort(-strength) if strength[i] > 0][:TEACHERS]
    return Taught(
        place=at,
        before=_flat_text(decode(walk.ids[max(0, at - 24) : at].tolist())),
        token=_whole(walk.ids[at : at + 4], decode),
        gain=round(float(walk.gain[chunk, place]), 4),
        common=round(float(np.mean(says)), 4),
        teachers=tuple(
            Teacher(
                chunk=one * span,
                nats=round(float(exact[one]), 4),
                estimate=round(float(estimate[one]), 4),
                says_it=says[one],
                text=_snippet(parts[one], token, decode),
            )
            for one in best
        ),
    )


def _snippet(part: np.ndarray, token: int, decode) -> str:
    """A piece of a span: around the token if the span holds it, else the start."""
    places = np.flatnonzero(part == token)
    start = max(0, int(places[-1]) - 20) if len(places) else 0
    return _flat_text(decode(part[start : start + 40].tolist()))[:TEXT]


def _whole(ids: np.ndarray, decode) -> str:
    """The text of a token; one that is part of a character is shown with the rest."""
    texts = [decode(ids[:many].tolist()) for many in range(1, len(ids) + 1)]
    return next((text for text in texts if "\ufffd" not in text), texts[0])


def _flat_text(text: str) -> str:
    return " ".join(text.split())
