"""How much of a memory is best: none, half, all, or more than all of it?

What a document left in the fast weights is a change of W0. It is added `alpha` times:
0 is the model before reading, 1 the model after it. Each time passages are read with an
empty window and nothing is learned from them (`lab.analysis.walk.reread`), so the
weights alone answer. Three kinds of passages tell memory from manner:

    read        passages of the document that were learned from
    unread      what follows in the document: the same hand, never read
    unrelated   another document
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np

from lab.analysis.walk import Subject, Walk, reread, spread
from lab.measure.intervals import Interval, batch_means


ALPHAS = tuple(step / 8 for step in range(13))  # 0 to 1.5
PASSAGES = 64  # chunks of each kind, evenly spread over those that are read


@dataclasses.dataclass(frozen=True)
class Passages:
    """One kind of passages at each alpha.

    `chunks`: how many. `costs [alphas]`: nats a token. `saved [alphas]`: nats a token
    saved against alpha 0, over chunks.
    """

    chunks: int
    costs: tuple[float, ...]
    saved: tuple[Interval, ...]


@dataclasses.dataclass(frozen=True)
class Strength:
    """What a part of the memory, or more than all of it, is worth.

    `passages`: the three kinds by name, or those of them that there are.
    """

    KIND: ClassVar[str] = "strength"
    subject: Subject
    alphas: tuple[float, ...]
    passages: dict[str, Passages]

    def best(self, kind: str = "read") -> float:
        """The alpha at which passages of a kind cost least."""
        return self.alphas[int(np.argmin(self.passages[kind].costs))]

    def at(self, alpha: float) -> int:
        """The index of the alpha that is nearest."""
        return int(np.argmin(np.abs(np.subtract(self.alphas, alpha))))


def measure(
    model,
    walk: Walk,
    *,
    subject: Subject,
    unread: np.ndarray,
    unrelated: np.ndarray,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Strength:
    """The costs of passages at each alpha.

    Args:
        model: the model that read.
        walk: its reading, with the weights at the end.
        subject: for the result.
        unread, unrelated: chunks with the token before each, `[chunks, chunk + 1]`;
            may be empty.
        report: is told how many alphas are done, of how many.
    """
    rows = {"read": walk.rows, "unread": unread, "unrelated": unrelated}
    rows = {kind: _some(found) for kind, found in rows.items() if len(found)}
    costs: dict[str, list[np.ndarray]] = {kind: [] for kind in rows}
    for done, fast in enumerate(_scaled(walk), 1):
        for kind, found in rows.items():
            nats = np.asarray(reread(model, fast, found), np.float64)
            costs[kind].append(nats.mean(axis=1))  # [chunks]
        report(done, len(ALPHAS))
    return Strength(subject, ALPHAS, {kind: _of(c) for kind, c in costs.items()})


def _scaled(walk: Walk) -> Iterator:
    """W0 and the change of the whole reading, `alpha` times, for each alpha."""
    import jax

    before, after = walk.weights[0], walk.weights[len(walk.rows)]
    for alpha in ALPHAS:
        yield jax.tree.map(lambda w, v, a=alpha: w + a * (v - w), before, after)


def _some(rows: np.ndarray) -> np.ndarray:
    return rows[spread(0, len(rows) - 1, PASSAGES)]


def _of(costs: list[np.ndarray]) -> Passages:
    """`costs`: for each alpha `[chunks]`."""
    table = np.stack(costs)  # [alphas, chunks]
    saved = tuple(batch_means(table[0] - row) for row in table)
    means = tuple(table.mean(axis=1).tolist())
    return Passages(table.shape[1], means, saved)
