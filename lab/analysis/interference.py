"""Read A, then B: what did B do to what was kept of A?

Each text is read from W0; then each second text is read from the weights that the first
one left, with an empty window. A *gain* is what a text costs less than under W0 when
its chunks are read again with an empty window (`lab.analysis.rows`).

    before(A)    gain on A after A          after(A, B)    gain on A after A, then B
    alone(A, B)  gain on A after B only     second(A, B)   gain on B after A, then B

`alone` is the null: what any text teaches about A. `after - alone` is what is left of
having read A. Remedies stand side by side: a smaller rate, anchoring (each chunk takes
back a share of the change, `W <- W0 + (1 - share) (W - W0)`), and memories made apart
and then averaged or added.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab.analysis.walk import Subject, cut
from lab.measure.intervals import Interval, interval
from lab.measure.parts import Keep, fresh


PLAIN, SLOWER, ANCHORED = "one after the other", "smaller rate", "anchored"
AVERAGED, ADDED = "averaged", "added"
METHODS = (PLAIN, SLOWER, ANCHORED, AVERAGED, ADDED)


@dataclasses.dataclass(frozen=True)
class Remedy:
    """What one way of reading two texts keeps, in nats per token.

    `before [A]`, `after`, `alone`, `second [A][B]`. The intervals are over documents,
    of their means over the others: `kept` is `after - alone`, `lost` is `before -
    after`, and `new` is the gain on the second text.
    """

    before: tuple[float, ...]
    after: tuple[tuple[float, ...], ...]
    alone: tuple[tuple[float, ...], ...]
    second: tuple[tuple[float, ...], ...]
    first: Interval
    left: Interval
    kept: Interval
    lost: Interval
    new: Interval


@dataclasses.dataclass(frozen=True)
class Interference:
    """What a second text does to the memory of a first.

    `documents`: names. `anchor`: share of the change that each chunk takes back.
    `slower`: factor on the inner rate. `remedies`: by way of reading.
    """

    KIND: ClassVar[str] = "interference"
    subject: Subject
    documents: tuple[str, ...]
    anchor: float
    slower: float
    remedies: dict[str, Remedy]


def measure(
    model,
    texts: list[np.ndarray],
    *,
    anchor: float,
    slower: float,
    report: Callable[[int, int], None] = lambda done, total: None,
    keep: Keep = fresh,
    key: tuple = (),
) -> dict[str, Remedy]:
    """Every pair of texts, read in every way. Texts have one length, whole chunks.

    `report(done, total)`: counts of first texts.
    """
    import ttt_core as ttt
    from lab.analysis.rows import Rows
    from lab.analysis.walk import check_learns

    check_learns(model)
    origin, ids = ttt.split(model)[0], np.stack(texts)
    rows = [Rows(model, cut(text, model.config)) for text in texts]
    start = np.array([_cost(one, origin) for one in rows])
    bench = _Bench(model, origin, ids, rows, start, keep, (*key, ids))
    ways = {PLAIN: (1.0, 0.0), SLOWER: (slower, 0.0), ANCHORED: (1.0, anchor)}
    total, found = len(METHODS) * len(texts), {}
    tell = lambda done, many: report(len(found) * len(texts) + done, total)
    for name, way in ways.items():
        found[name] = bench.in_turn(*way, tell)
    found[AVERAGED] = bench.mixed(0.5, tell)
    found[ADDED] = bench.mixed(1.0, tell)
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class _Bench:
    """What all ways of reading share: `ids [texts, tokens]`, their rows, W0's cost."""

    model: object
    origin: object
    ids: np.ndarray
    rows: list
    start: np.ndarray
    keep: Keep
    key: tuple

    def in_turn(self, rate: float, share: float, report) -> Remedy:
        """Texts one after the other, at a rate, with a share taken back."""
        firsts = self._firsts(rate, share)
        gains = []
        for i, first in enumerate(firsts):
            again = lambda i=i, first=first: self._second(i, first, rate, share)
            gains.append(self.keep(again, *self.key, "in turn", i, rate, share))
            report(i + 1, len(firsts))
        return self._remedy([first.fast for first in firsts], gains)

    def mixed(self, share: float, report) -> Remedy:
        """Memories made apart; `share` of each is added to W0."""
        firsts = [first.fast for first in self._firsts(1.0, 0.0)]
        parts = [_part(self.origin, fast, share) for fast in firsts]
        gains = []
        for i in range(len(parts)):
            both = lambda i=i: self._gains(
                i, [_sum(self.origin, parts[i], b) for b in parts]
            )
            gains.append(self.keep(both, *self.key, "mixed", i, share))
            report(i + 1, len(parts))
        return self._remedy(firsts, gains, parts)

    def _firsts(self, rate: float, share: float) -> list:
        """The states after each text alone."""
        import ttt_core as ttt

        empty = ttt.init_state(self.model, capacity=self.ids.shape[1])
        starts = [empty] * len(self.ids)
        return self._read(starts, rate, share)

    def _second(self, i: int, first, rate: float, share: float) -> list[np.ndarray]:
        """Gains on text `i` and on each second text, after both."""
        import ttt_core as ttt

        empty = ttt.init_state(self.model, capacity=self.ids.shape[1])
        new = dataclasses.replace(empty, fast=first.fast, rule_state=first.rule_state)
        states = self._read([new] * len(self.ids), rate, share)
        return self._gains(i, [state.fast for state in states])

    def _read(self, states: list, rate: float, share: float) -> list:
        """The states after each text, all texts side by side."""
        import jax
        import jax.numpy as jnp

        chunk = self.model.config.chunk
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        for begin in range(0, self.ids.shape[1], chunk):
            piece = self.ids[:, begin : begin + chunk]
            stacked = _program()(self.model, self.origin, stacked, piece, rate, share)
        cut_out = lambda i: jax.tree.map(lambda leaf: leaf[i], stacked)
        return [cut_out(i) for i in range(len(states))]

    def _gains(self, i: int, weights: list) -> list[np.ndarray]:
        """`[on text i, on text b]` under the b-th weights, each `[texts]`."""
        first = [self.start[i] - _cost(self.rows[i], fast) for fast in weights]
        second = [
            self.start[b] - _cost(self.rows[b], fast) for b, fast in enumerate(weights)
        ]
        return [np.array(first), np.array(second)]

    def _remedy(self, firsts: list, gains: list, alone: list | None = None) -> Remedy:
        """The table of one way, from gains by first text.

        `firsts`: weights after each text. `alone`: those of a second text without the
        first (default: the same).
        """
        before = np.array([self._gain(i, fast) for i, fast in enumerate(firsts)])
        by_second = firsts if alone is None else alone
        null = np.array(
            [[self._gain(i, fast) for fast in by_second] for i in range(len(firsts))]
        )
        after, second = (np.stack(part) for part in zip(*gains, strict=True))
        return remedy(before, after, null, second)

    def _gain(self, i: int, fast) -> float:
        return self.start[i] - _cost(self.rows[i], fast)


def remedy(
    before: np.ndarray, after: np.ndarray, alone: np.ndarray, second: np.ndarray
) -> Remedy:
    """A way of reading with its intervals over documents: `[A]`, then `[A, B]` each."""
    others = ~np.eye(len(before), dtype=bool)
    mean = lambda values: np.where(others, values, 0).sum(1) / others.sum(1)
    rounded = lambda values: tuple(round(float(one), 4) for one in values)
    table = lambda values: tuple(map(rounded, values))
    return Remedy(
        before=rounded(before),
        after=table(after),
        alone=table(alone),
        second=table(second),
        first=interval(before),
        left=interval(mean(after)),
        kept=interval(mean(after - alone)),
        lost=interval(before - mean(after)),
        new=interval(mean(second.T)),
    )


def _cost(rows, fast) -> float:
    """Nats per token of a text that is read again."""
    return float(rows.nats(fast).mean(dtype=np.float64))


def _part(origin, fast, share: float):
    """A share of a memory, on W0."""
    import jax

    return jax.tree.map(lambda w, new: w + share * (new - w), origin, fast)


def _sum(origin, one, other):
    """Two memories on one W0."""
    import jax

    return jax.tree.map(lambda w, a, b: w + (a - w) + (b - w), origin, one, other)


@functools.cache
def _program():
    """The compiled reading of a chunk of every text, then the anchor's pull."""
    import equinox as eqx
    import jax

    from ttt_core.stream import read_chunk

    def read(model, origin, state, tokens, rate, share):
        state, _ = read_chunk(model, state, tokens, rate=rate)
        pull = lambda w, new: (1 - share) * new + share * w
        return dataclasses.replace(state, fast=jax.tree.map(pull, origin, state.fast))

    @eqx.filter_jit
    def program(model, origin, states, tokens, rate, share):
        one = lambda state, row: read(model, origin, state, row, rate, share)
        return jax.vmap(one)(states, tokens)  # every leaf [texts, ...]

    def call(model, origin, states, tokens, rate, share):
        dtype = model.final_norm.weight.dtype
        dials = (np.asarray(dial, dtype) for dial in (rate, share))
        return program(model, origin, states, tokens, *dials)

    return call
