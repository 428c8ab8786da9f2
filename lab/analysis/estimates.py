"""What would have been without a chunk, to first order: gradients and stored updates.

A step moves the weights by `D_s`. Without it, a later token costs about

    loss(W_t - D_s) - loss(W_t) = -<grad loss(W_t), D_s>

more, which is positive where the step has helped. `collect` reads a document once and
gives what such products need, as means over *spans* of chunks. What the estimate leaves
out: without the step, the steps after it would have been others.

This is the tensor code of `lab.analysis.influence`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import ttt_core as ttt
from lab.analysis.variants import STRETCH, Prepared, first_learner, padded_stretch
from ttt_core.chunks import chunk_loss, reading_step
from ttt_core.shapes import PyTree


class Collected(NamedTuple):
    """Rows of numbers, one for each fast weight.

    `gradients [spans, weights]` of a span's mean loss, each chunk's at the weights that
    it was read with. `updates [spans, weights]`: how far the span moved the weights.
    `tokens [tokens, weights]`: gradients of single tokens' losses. `learners`: chunk
    -> the learner before it.
    """

    gradients: np.ndarray
    updates: np.ndarray
    tokens: np.ndarray
    learners: dict[int, ttt.Learner]


def collect(
    model,
    text: Prepared,
    span: int,
    chosen: list[tuple[int, int]],
    starts: set[int],
    report: Callable[[int], None] = lambda chunks: None,
) -> Collected:
    """Read a document once, and keep gradients and updates.

    `span`: chunks a span. `chosen`: `(chunk, place)` of single tokens, at most one a
    chunk. `starts`: chunks before which learners are kept, each the first of a stretch.
    `report(chunks)`: after each stretch.
    """
    chunks = len(text.targets)
    wanted = np.zeros(text.targets.shape, np.float32)
    for chunk, place in chosen:
        wanted[chunk, place] = 1
    learner, alone, kept = first_learner(model, chunks), {}, {}
    sums = np.zeros((2, -(-chunks // span), flat(learner.fast).size), np.float32)
    for start in range(0, chunks, STRETCH):
        stop = min(start + STRETCH, chunks)
        if start in starts:
            kept[start] = learner
        real = np.arange(STRETCH) < stop - start
        weights = np.resize(wanted[start:stop], (STRETCH, wanted.shape[1]))
        piece = padded_stretch(text, start, stop)
        learner, found = _program()(model, learner, piece, weights, real)
        slopes, moves, single = (np.asarray(one) for one in found)
        for i in range(start, stop):
            sums[:, i // span] += slopes[i - start], moves[i - start]
            alone[i] = single[i - start] if wanted[i].any() else None
        report(stop)
    count = np.minimum(chunks - span * np.arange(sums.shape[1]), span)
    tokens = [alone[chunk] for chunk, _ in chosen]
    tokens = np.array(tokens, np.float32).reshape(len(chosen), sums.shape[2])
    return Collected(sums[0] / count[:, None], sums[1], tokens, kept)


def flat(tree: PyTree):
    """A fast tree as one row of numbers, `[weights]`."""
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(tree)])


@functools.cache
def _program():
    """The compiled reading of one stretch: per chunk, gradient and update."""

    @eqx.filter_jit
    def program(model, learner, text, weights, real):
        loss, inner = chunk_loss(model), model.config.inner
        dtype = model.final_norm.weight.dtype
        knobs = {"lr": jnp.asarray(inner.lr, dtype), "clip": inner.clip}
        read = reading_step(model, loss, **knobs)

        def step(learner, piece):
            hidden, targets, weights, real = piece
            mask = jnp.broadcast_to(real, targets.shape)
            chunk = ttt.Chunk(hidden, targets, mask)
            scored = lambda fast: loss(fast, chunk, learner.states)
            slope = lambda of: flat(jax.grad(of)(learner.fast))
            grads = slope(lambda fast: scored(fast)[0])
            single = lambda: slope(lambda fast: jnp.sum(weights * scored(fast)[1][0]))
            none = lambda: jnp.zeros_like(grads)
            alone = jax.lax.cond(jnp.any(weights > 0), single, none)
            after, _ = read(learner, chunk)
            moved = flat(jax.tree.map(jnp.subtract, after.fast, learner.fast))
            return after, (grads, moved, alone)

        pieces = (text.hidden, text.targets, weights, real)
        return jax.lax.scan(step, learner, pieces)

    return program
