"""Decoding: a model that learns from what it is given and from what it writes.

One token at a time against the keys carried so far, and one inner step whenever a chunk
has filled (paper, section 2.3.2). Between two tokens a *fork* of the reader runs ahead
with the open tokens in its mixers; the reader itself moves on by whole chunks, so that
what is written leaves exactly the state that reading it would have left.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ttt_core.model import MixerStates, Transformer
from ttt_core.shapes import Count, PyTree, Scalar, TokenRow
from ttt_core.stream import (
    StreamState,
    chunk_program,
    hold_open,
    make_room,
    read,
    run_all,
    take_knobs,
)


def generate(
    model: Transformer,
    state: StreamState,
    prompt: TokenRow,
    length: int,
    *,
    key: PRNGKeyArray,
    temperature: Scalar = 1.0,
    top_p: Scalar = 1.0,
    rate: Scalar = 1.0,
) -> tuple[Int[Array, " length"], StreamState]:
    """Read `prompt`, then write `length` tokens, learning from all of it by chunks.

    Decoding is one token at a time against carried keys, and one inner step when a
    chunk has filled (paper, section 2.3.2). Leaves exactly the state of `read(model,
    state, [*prompt, *tokens])`. `temperature=0` is greedy; `top_p` keeps the most
    likely tokens that together hold that probability.

    **Raises** `ValueError` for a negative length or temperature, or `top_p` outside
    (0, 1].

    >>> tokens, state = generate(model, state, prompt, 100, key=jax.random.key(0))
    """
    _check_sampling(length, temperature, top_p)
    state = make_room(state, len(prompt) + length + 2 * model.config.chunk)
    state, _ = read(model, state, prompt, rate=rate)
    knobs, chunk = take_knobs(model, rate), model.config.chunk
    dials = tuple(jnp.asarray(dial, knobs[1].dtype) for dial in (temperature, top_p))
    fork = _live(knobs[0], state, key, dials)
    tokens = []
    for i in range(length):
        fork, token = _token_program(knobs[0], fork, jax.random.fold_in(key, i), *dials)
        tokens.append(int(token))
        n_open = int(state.n_open) + 1
        pending = np.asarray(state.open)[1 : n_open + 1].copy()
        pending[-1] = tokens[-1]
        if n_open == chunk:
            state, _ = chunk_program(*knobs, state, pending)
            fork = _live(knobs[0], state, key, dials)
        else:
            state = hold_open(state, pending)
    return jax.device_put(np.asarray(tokens, np.int32)), state


def sample(
    logits: Float[Array, " vocab"],
    key: PRNGKeyArray,
    temperature: Scalar,
    top_p: Scalar,
) -> Count:
    """Draw a token; greedy at temperature 0, from the `top_p` nucleus otherwise."""
    heat = jnp.maximum(temperature, 1e-6).astype(logits.dtype)
    order = jnp.argsort(-logits)
    ranked = jax.nn.log_softmax(logits[order] / heat)
    before = jnp.cumsum(jnp.exp(ranked)) - jnp.exp(ranked)
    kept = (before < top_p).at[0].set(True)
    drawn = jax.random.categorical(key, jnp.where(kept, ranked, -jnp.inf))
    choice = jnp.where(jnp.asarray(temperature) > 0, drawn, 0)
    return order[choice].astype(jnp.int32)


class _Fork(eqx.Module):
    """A reader between two tokens: as much of it as decoding needs."""

    fast: PyTree
    mixers: MixerStates
    last: Count


@eqx.filter_jit
def _token_program(
    model: Transformer, fork: _Fork, key: PRNGKeyArray, *dials: Scalar
) -> tuple[_Fork, Count]:
    """One token: put the last one in, draw the next. `dials`: temperature, `top_p`."""
    logits, mixers = run_all(model, fork.fast, fork.mixers, fork.last[None])
    token = sample(logits[0], key, *dials)
    return _Fork(fork.fast, mixers, token), token


def _live(
    model: Transformer, state: StreamState, key: PRNGKeyArray, dials: tuple[Scalar, ...]
) -> _Fork:
    """A fork that has read all open tokens, one by one (its draws are not used)."""
    opened = np.asarray(state.open)[: int(state.n_open) + 1]
    fork = _Fork(state.fast, state.mixers, jnp.asarray(opened[0]))
    for token in opened[1:]:
        fork, _ = _token_program(model, fork, key, *dials)
        fork = dataclasses.replace(fork, last=jnp.asarray(token))
    return fork


def _check_sampling(length: int, temperature: Scalar, top_p: Scalar):
    if length < 0:
        raise ValueError(f"`length` must be >= 0: got {length}.")
    if not float(temperature) >= 0:
        raise ValueError(f"`temperature` must be >= 0 (0 = greedy): got {temperature}.")
    if not 0 < float(top_p) <= 1:
        raise ValueError(f"`top_p` must be in (0, 1]: got {top_p}; 1.0 keeps all.")
