"""A document read several times side by side, each time at other rates.

A *variant* is a reading with a rate for each chunk, a factor on the model's own inner
rate: 1 is the model as it is, 0 learns nothing from the chunk, whose tokens attention
sees all the same. Blocks below the first fast one know nothing of rates and so run once
for all variants (`prepare`); `read_on` runs the others, stretch by stretch.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import ttt_core as ttt
from ttt_core.chunks import chunk_loss, reading_step
from ttt_core.model import init_states, run_slow
from ttt_core.shapes import PyTree


STRETCH = 16  # chunks that one compiled program reads
EVERY = 4  # one chunk aside in so many is scored


class Prepared(NamedTuple):
    """What the blocks below the first fast one make of whole chunks.

    `hidden [chunks, chunk, d_model]`, `targets [chunks, chunk]`.
    """

    hidden: Float[Array, "n_chunks chunk d_model"]
    targets: Int[Array, "n_chunks chunk"]

    def cut(self, start: int, stop: int) -> "Prepared":
        """The chunks from `start` to `stop`."""
        return Prepared(self.hidden[start:stop], self.targets[start:stop])


def prepare(model, rows: np.ndarray) -> Prepared:
    """A document for variants; `rows [chunks, chunk + 1]` as `walk.cut` gives them."""
    states = init_states(model, rows.size).slow_blocks
    found = []
    for start in range(0, len(rows), STRETCH):
        piece = _padded(rows[start : start + STRETCH])
        hidden, states = _slow(model, states, piece)
        found.append(hidden[: len(rows) - start])
    return Prepared(jnp.concatenate(found), jnp.asarray(rows[:, 1:]))


def prepare_alone(model, rows: np.ndarray) -> Prepared:
    """The same for chunks that are read each for itself, with an empty window."""
    found = [
        _slow_alone(model, _padded(rows[start : start + STRETCH]))[: len(rows) - start]
        for start in range(0, len(rows), STRETCH)
    ]
    return Prepared(jnp.concatenate(found), jnp.asarray(rows[:, 1:]))


def first_learner(model, chunks: int) -> ttt.Learner:
    """The learner before the first of `chunks` chunks: W0 and an empty window."""
    fast, _ = ttt.split(model)
    states = init_states(model, (chunks + STRETCH) * model.config.chunk).fast_blocks
    return ttt.Learner(fast, model.rule.init(fast), states)


def copies(learner: ttt.Learner, variants: int) -> ttt.Learner:
    """A learner as often as there are variants, on a leading axis."""
    repeat = lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], variants, 0)
    return jax.tree.map(repeat, learner)


def read_on(
    model,
    learners: ttt.Learner,
    text: Prepared,
    rates: np.ndarray,
    aside: Prepared | None = None,
    report: Callable[[int], None] = lambda chunks: None,
) -> tuple[ttt.Learner, np.ndarray, np.ndarray]:
    """Read on by all variants: `(learners, nats, nats aside)`.

    `learners`: with a leading axis `[variants]`. `rates [variants, chunks]` for the
    chunks of `text`. `aside`: chunks as `prepare_alone` gives them, one beside each
    chunk of the text. Each fourth is scored before the chunk beside it is learned from,
    and is never learned. Nats are `[variants, chunks, chunk]`, NaN for chunks aside
    that were not scored. `report(chunks)`: after each stretch.
    """
    found, beside = [], []
    chunks = len(text.targets)
    for start in range(0, chunks, STRETCH):
        stop = min(start + STRETCH, chunks)
        pieces = [padded_stretch(one, start, stop) for one in (text, aside)]
        real = np.arange(STRETCH) < stop - start
        rate = np.zeros((len(rates), STRETCH), np.float32)
        rate[:, : stop - start] = rates[:, start:stop]
        learners, nll, other = _program()(model, learners, *pieces, real, rate)
        found.append(np.asarray(nll)[:, : stop - start])
        beside.append(np.asarray(other)[:, : stop - start])
        report(stop)
    return learners, np.concatenate(found, 1), np.concatenate(beside, 1)


def padded_stretch(text: Prepared | None, start: int, stop: int) -> Prepared | None:
    """A full stretch of chunks; those behind `stop` repeat others."""
    if text is None:
        return None
    place = np.minimum(np.arange(start, start + STRETCH), stop - 1)
    return Prepared(text.hidden[place], text.targets[place])


def _padded(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, np.repeat(rows[-1:], STRETCH - len(rows), 0)])


@eqx.filter_jit
def _slow(model, states: PyTree, rows: Int[Array, "stretch length"]):
    inputs = rows[:, :-1].reshape(-1)  # [stretch * chunk]
    hidden, states = run_slow(model, inputs, states)  # [stretch * chunk, d_model]
    return hidden.reshape(*rows[:, :-1].shape, -1), states


@eqx.filter_jit
def _slow_alone(model, rows: Int[Array, "stretch length"]):
    states = init_states(model, rows.shape[1]).slow_blocks
    return jax.vmap(lambda row: run_slow(model, row[:-1], states)[0])(rows)


@functools.cache
def _program():
    """The compiled reading of one stretch by all variants."""

    @eqx.filter_jit
    def program(model, learners, text, aside, real, rates):
        loss, inner = chunk_loss(model), model.config.inner
        empty = init_states(model, model.config.chunk).fast_blocks

        def step(learner, piece):
            (hidden, targets, beside), is_due, real, rate = piece
            mask = jnp.broadcast_to(real, targets.shape)
            other = _score_aside(loss, learner.fast, beside, empty, is_due)
            lr = rate * jnp.asarray(inner.lr, rate.dtype)
            read = reading_step(model, loss, lr=lr, clip=inner.clip)
            learner, found = read(learner, ttt.Chunk(hidden, targets, mask))
            return learner, (found.nll, other)

        def one(learner, rates):
            is_due = jnp.arange(STRETCH) % EVERY == 0
            chunks = ((text.hidden, text.targets, aside), is_due, real, rates)
            return jax.lax.scan(step, learner, chunks)

        learners, (nll, other) = jax.vmap(one)(learners, rates)
        return learners, nll, other  # nats: [variants, stretch, chunk]

    return program


def _score_aside(loss, fast: PyTree, aside: Prepared | None, empty: PyTree, is_due):
    """Nats of one chunk aside, NaN where it is not due."""
    if aside is None:
        return jnp.zeros(0)
    chunk = ttt.Chunk(aside.hidden, aside.targets, jnp.ones(aside.targets.shape, bool))
    score = lambda: loss(fast, chunk, empty)[1][0]
    unknown = jnp.full(jax.eval_shape(score).shape, jnp.nan)
    return jax.lax.cond(is_due, score, lambda: unknown)
