"""How a Transformer reads one chunk: the losses and the step that `inner` scans.

The slow blocks have already run when a chunk comes here: `chunk.inputs` are their
outputs `[chunk, d_model]`. What is left depends on the fast weights.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ttt_core.fast import merge, split
from ttt_core.inner import Chunk, Learner, Loss, Report, inner_step, score_step
from ttt_core.model import MixerStates, Transformer, run_fast, token_nll
from ttt_core.shapes import Scalar


def masked_mean(
    nll: Float[Array, "*n chunk"], mask: Bool[Array, "*n chunk"]
) -> Float[Array, "*n"]:
    """Mean over the unmasked tokens of the last axis, 0 where all are masked."""
    count = jnp.sum(mask, axis=-1).astype(nll.dtype)
    return jnp.sum(jnp.where(mask, nll, 0), axis=-1) / jnp.maximum(count, 1)


def chunk_loss(slow: Transformer) -> Loss:
    """The loss of a chunk as a function of the fast weights: what is learned from."""

    def loss(fast, chunk: Chunk, states):
        model = merge(fast, slow)
        hidden, states = run_fast(model, chunk.inputs, states)
        nll = token_nll(model, hidden, chunk.targets)
        return masked_mean(nll, chunk.mask), (nll, states)

    return loss


def head_loss(model: Transformer) -> Loss:
    """The loss of a chunk whose inputs have passed all blocks already."""

    def loss(fast, chunk: Chunk, states):
        del fast
        nll = token_nll(model, chunk.inputs, chunk.targets)
        return masked_mean(nll, chunk.mask), (nll, states)

    return loss


def reading_step(
    model: Transformer, rate: Scalar, clip: Scalar
) -> Callable[[Learner, Chunk], tuple[Learner, Report]]:
    """The step by which this model reads a chunk, its knobs bound.

    `rate` is the inner learning rate itself and `clip` the gradient's largest norm; a
    model that does not learn has no use for them, and computes no inner gradient.
    """
    origin, slow = split(model)
    loss = chunk_loss(slow)
    if not model.config.learns:
        return functools.partial(score_step, loss=loss, origin=origin)
    knobs = {"rule": model.rule, "rate": rate, "clip": clip, "origin": origin}
    return functools.partial(inner_step, loss=loss, **knobs)


def first_learner(model: Transformer, states: MixerStates) -> Learner:
    """Where reading starts: fast weights at W0."""
    fast, _ = split(model)
    rule_state = model.rule.init(fast) if model.config.learns else ()
    return Learner(fast, rule_state, states.fast_blocks)
