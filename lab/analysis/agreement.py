"""Do the gradients of different texts agree? What a training step's noise is made of.

The gradient of one passage is the sum of three parts: one that passages of all novels
share, one that passages of this novel share, and one of this passage alone. Inner
products separate the parts, with two passages of each of many novels:

    all novels   <g_a, g_b>                   of passages of different novels
    its novel    <g_a1, g_a2> - the above     of two passages of one novel
    it alone     |g|^2 - <g_a1, g_a2>         the rest

as shares of `|g|^2`. `passages` is the size of a batch (of passages of different
novels) whose mean gradient is half signal and half noise: the *simple noise scale* of
arXiv 1812.06162.

For a model that learns while reading the gradient is the meta-gradient, for its frozen
twin the plain gradient of the same weights.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab import checkpoints
from lab.measure.intervals import Interval, interval
from lab.measure.parts import Keep, fresh
from lab.measure.texts import Passage, TextRead


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Shares of a passage's squared gradient, with intervals over novels.

    `norm`: root of the mean squared norm. `shared + novel + passage = 1` up to
    rounding. `passages`: the noise scale, infinite if nothing is shared.
    """

    norm: float
    shared: Interval
    novel: Interval
    passage: Interval

    @property
    def passages(self) -> float:
        """Passages in a batch that is half signal, half noise."""
        shared = self.shared.mean
        return (1 - shared) / shared if shared > 0 else float("inf")


@dataclasses.dataclass(frozen=True)
class Agreements:
    """The agreement of gradients by label: models, and frozen twins of learners."""

    KIND: ClassVar[str] = "agreement"
    text: TextRead
    sha256: dict[str, str]
    found: dict[str, Agreement]


def pairs(passages: list[Passage], novels: int) -> list[Passage]:
    """Two passages of each of `novels` novels, evenly spread over those that have two.

    **Raises** `ValueError` if fewer than two novels have two passages.
    """
    by_novel: dict[str, list[Passage]] = {}
    for passage in passages:
        by_novel.setdefault(passage.novel, []).append(passage)
    both = [found[:2] for found in by_novel.values() if len(found) > 1]
    if len(both) < 2 or novels < 2:
        raise ValueError(
            f"{len(both)} documents have two passages of this length, but {novels} "
            "(at least two) are needed; use a smaller --length."
        )
    count = min(novels, len(both))
    chosen = [both[(2 * i + 1) * len(both) // (2 * count)] for i in range(count)]
    return [passage for pair in chosen for passage in pair]


def gram(
    model,
    passages: list[Passage],
    report: Callable[[int], None] | None = None,
    keep: Keep = fresh,
) -> np.ndarray:
    """Inner products of the passages' gradients, `[passages, passages]`.

    Gradients are meta-gradients if the model learns. `report(done)`: called with the
    number of passages done. `keep`: keeps each gradient
    (`lab.measure.parts`), which is as large as the model.
    """
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    import ttt_core as ttt

    @eqx.filter_jit
    def gradient(model, row):
        _, _, grads = ttt.meta_gradient(model, row[None])
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)])

    rows, marked = [], checkpoints.model_hash(model)
    for passage in passages:
        row = np.concatenate([[model.config.bos], passage.tokens]).astype(np.int32)
        one = lambda row=row: [np.asarray(gradient(model, row))]
        rows += keep(one, marked, row)
        if report:
            report(len(rows))
    stacked = np.stack(rows)
    return (stacked @ stacked.T).astype(np.float64)


def agreement(products: np.ndarray) -> Agreement:
    """Shares from inner products of pairs: rows `2i` and `2i + 1` are of one novel."""
    novels = len(products) // 2
    blocks = products.reshape(novels, 2, novels, 2)
    own = blocks[np.arange(novels), :, np.arange(novels)]  # [novels, 2, 2]
    square = (own[:, 0, 0] + own[:, 1, 1]) / 2
    same = own[:, 0, 1]
    means = blocks.mean(axis=(1, 3))
    others = (means.sum(axis=1) - np.diagonal(means)) / (novels - 1)
    scale = square.mean()
    share = lambda values: interval(values / scale)
    return Agreement(
        norm=float(np.sqrt(scale)),
        shared=share(others),
        novel=share(same - others),
        passage=share(square - same),
    )
