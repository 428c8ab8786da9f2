"""What is in the window, and what is in the weights?

At some places of a document, a reader has two memories: the window (keys and values of
the last tokens) and the fast weights. Either can be taken away, and so there are four
readers of what follows:

    window, weights      window, W0      empty window, weights      empty window, W0

The window of a reader with W0 is that of the frozen twin, which read the same text. An
empty window still has the last token, and fills with what follows. Nothing is learned
from what follows. The null is a continuation from an unrelated document, read from the
same four states: weights that help there hold no memory of this document.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np

from lab.analysis.walk import Subject, spread
from lab.measure.intervals import Curve, Interval, curve, interval
from lab.measure.parts import Keep, fresh


COLUMNS = (
    "window, weights",
    "empty window, weights",
    "window, W0",
    "empty window, W0",
)
# What one memory is worth, with and without the other: better column, worse column.
WORTH = {
    "weights, beside the window": (COLUMNS[0], COLUMNS[2]),
    "weights, with an empty window": (COLUMNS[1], COLUMNS[3]),
    "window, beside the weights": (COLUMNS[0], COLUMNS[1]),
    "window, with W0": (COLUMNS[2], COLUMNS[3]),
}
PLACES = 24  # of the document, where readers are forked
AFTER = 4  # chunks that are read on from each


@dataclasses.dataclass(frozen=True)
class Text:
    """What each column writes after `read` tokens: column -> text.

    `before`: the last words that were read. `after`: how the document goes on.
    """

    read: int
    before: str
    after: str
    written: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Asked:
    """A question after all that was read, by column.

    `nats`: per token of the answer. `first`: share of its tokens that are the first
    choice. `written`: what is likeliest after the question.
    """

    question: str
    answer: str
    nats: dict[str, float]
    first: dict[str, float]
    written: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Forgetting:
    """Nats of what follows, from four states at the same places.

    `places`: tokens read at each. `nats`: column -> nats per token, by tokens read on.
    `overall`: column -> all of it. `worth`: nats per token that a memory saves. `null`:
    the same on an unrelated continuation. Intervals are over places.
    """

    KIND: ClassVar[str] = "forgetting"
    subject: Subject
    places: tuple[int, ...]
    nats: dict[str, Curve]
    overall: dict[str, Interval]
    worth: dict[str, Interval]
    null: dict[str, Interval]
    texts: tuple[Text, ...] = ()
    asked: Asked | None = None


def places(chunks: int, later: int, most: int = PLACES) -> list[int]:
    """Where readers are forked, in chunks: `AFTER` chunks must follow, read or not."""
    last = max(1, min(chunks, chunks + later - AFTER))
    return spread(min(last, max(1, chunks // 8)), last, most)


def visit(
    model,
    ids: np.ndarray,
    stops: list[int],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[int, dict]]:
    """Each stop, in chunks, with the four states there: column -> `StreamState`."""
    import ttt_core as ttt

    chunk, twin = model.config.chunk, ttt.without_learning(model)
    readers = (model, twin)
    states = [ttt.init_state(one) for one in readers]
    for before, stop in itertools.pairwise([0, *stops]):
        piece = ids[before * chunk : stop * chunk]
        states = [
            ttt.read(one, state, piece)[0]
            for one, state in zip(readers, states, strict=True)
        ]
        yield stop, fork(model, *states)
        report(stop * chunk, stops[-1] * chunk)


def fork(model, learned, frozen) -> dict:
    """The four states, by column, of a learner and its twin at a chunk's end."""
    import ttt_core as ttt

    empty = ttt.init_state(model)
    without = lambda state: dataclasses.replace(
        empty, fast=state.fast, open=learned.open
    )
    states = (learned, without(learned), frozen, without(frozen))
    return dict(zip(COLUMNS, states, strict=True))


def score(model, states: dict, tokens: np.ndarray) -> np.ndarray:
    """Nats of what follows, from each state, `[columns, tokens]`, without learning."""
    import ttt_core as ttt

    none = tokens[:0]
    nats = (ttt.score(model, state, none, tokens) for state in states.values())
    return np.stack([np.asarray(one) for one in nats])


def measure(
    model,
    document: np.ndarray,
    other: np.ndarray,
    stops: list[int],
    report: Callable[[int, int], None] = lambda done, total: None,
    keep: Keep = fresh,
    key: tuple = (),
    see: Callable[[int, dict], None] = lambda stop, states: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Nats of what follows each stop, of the document and of an unrelated text.

    Two arrays `[stops, columns, tokens]`. `see(stop, states)`: called at each stop.
    """
    chunk = model.config.chunk
    length = min(AFTER * chunk, len(document) - stops[-1] * chunk)
    found = []
    for i, (stop, states) in enumerate(visit(model, document, stops, report)):
        begin = i * chunk % max(1, len(other) - length)
        rows = (document[stop * chunk :][:length], other[begin:][:length])
        both = lambda rows=rows, states=states: [score(model, states, r) for r in rows]
        found.append(keep(both, *key, *rows, stop))
        see(stop, states)
    own, null = zip(*found, strict=True)
    return np.stack(own), np.stack(null)


def summary(
    subject: Subject,
    stops: list[int],
    own: np.ndarray,
    null: np.ndarray,
    texts: tuple[Text, ...] = (),
    asked: Asked | None = None,
) -> Forgetting:
    """The result, from nats `[places, columns, tokens]` of document and null."""
    edges = _edges(own.shape[2], subject.chunk)
    return Forgetting(
        subject=subject,
        places=tuple(stop * subject.chunk for stop in stops),
        nats={
            name: curve(_means(own[:, i], edges), edges)
            for i, name in enumerate(COLUMNS)
        },
        overall={
            name: interval(own[:, i].mean(axis=1)) for i, name in enumerate(COLUMNS)
        },
        worth=_worth(own),
        null=_worth(null),
        texts=texts,
        asked=asked,
    )


def _worth(nats: np.ndarray) -> dict[str, Interval]:
    """What each memory saves, paired by place, `nats [places, columns, tokens]`."""
    means = nats.mean(axis=2, dtype=np.float64)  # [places, columns]
    at = COLUMNS.index
    return {
        name: interval(means[:, at(worse)] - means[:, at(better)])
        for name, (better, worse) in WORTH.items()
    }


def _edges(length: int, chunk: int) -> np.ndarray:
    """Bins of tokens read on: an eighth of a chunk, then doublings."""
    first = max(1, chunk // 8)
    steps = first * 2 ** np.arange(int(np.log2(max(1, length // first))) + 1)
    return np.unique([0, *steps[steps < length], length])


def _means(nats: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean nats in each bin, `[places, bins]`."""
    parts = [nats[:, a:b].mean(axis=1) for a, b in itertools.pairwise(edges)]
    return np.stack(parts, axis=1)
