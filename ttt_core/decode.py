"""Decoding: a model that learns from what it is given and from what it writes.

One token at a time against the keys carried so far, and one inner step whenever a chunk
has filled (paper, section 2.3.2). Between two tokens a *fork* of the reader runs ahead
with the open tokens in its mixers; the reader itself moves on by whole chunks, so that
what is written leaves exactly the state that reading it would have left.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ttt_core.fast import merge, split
from ttt_core.model import MixerStates, Transformer
from ttt_core.shapes import Count, DType, PyTree, Scalar, TokenRow, on_host
from ttt_core.stacks import roll, unroll
from ttt_core.stream import (
    StreamState,
    hold_open,
    make_room,
    read,
    read_rows,
    run_blocks,
    take_knobs,
)
from ttt_core.tokens import as_tokens


@on_host
def generate(
    model: Transformer,
    state: StreamState,
    prompt: TokenRow,
    length: int,
    *,
    key: PRNGKeyArray,
    temperature: Scalar = 1.0,
    top_p: Scalar = 1.0,
    top_k: Count | int = 0,
    repetition_penalty: Scalar = 1.0,
    stop: Callable[[list[int]], bool] | None = None,
    rate: Scalar = 1.0,
) -> tuple[Int[Array, " length"], StreamState]:
    """Read `prompt`, then write `length` tokens, learning from all of it by chunks.

    Decoding is one token at a time against carried keys, and one inner step when a
    chunk has filled (paper, section 2.3.2). Leaves exactly the state of `read(model,
    state, [*prompt, *tokens])`. `temperature=0` is greedy; `top_p` keeps the most
    likely tokens that together hold that probability, `top_k` the so many most likely
    ones (0 = all). `repetition_penalty` above 1 makes tokens of the prompt and of what
    was written less likely (1909.05858, section 4.1). `stop` sees the tokens written so
    far after each one, and writing ends when it says so: with a tokenizer at hand,
    `stop=lambda ids: decode(ids).endswith(".")`.

    **Raises** `ValueError` for a negative length, temperature or `top_k`, `top_p`
    outside (0, 1], or a penalty that is not positive.

    >>> tokens, state = generate(model, state, prompt, 100, key=jax.random.key(0))
    """
    if length < 0:
        raise ValueError(f"`length` must be >= 0: got {length}.")
    dials = Dials(temperature, top_p, top_k, repetition_penalty)
    check_dials(dials)
    prompt = as_tokens(prompt, model.config.vocab)
    state = make_room(state, len(prompt) + length + 2 * model.config.chunk)
    state, _ = read(model, state, prompt, rate=rate)
    endless = write(model, state, key=key, dials=dials, seen=prompt, rate=rate)
    tokens = []
    for token, state in islice(endless, length):  # noqa: B007, the last is returned
        tokens.append(token)
        if stop is not None and stop(tokens):
            break
    return jax.device_put(np.asarray(tokens, np.int32)), state


BLOCK = 16  # tokens that one call of the program writes, at most
RANKED = 1024  # tokens that are sorted, unless that leaves a doubt
_NONE = np.full(BLOCK, -1, np.int32)


class Dials(NamedTuple):
    """How a token is drawn; `generate` says what each of them does."""

    temperature: Scalar = 1.0
    top_p: Scalar = 1.0
    top_k: Count | int = 0
    repetition_penalty: Scalar = 1.0


def write(
    model: Transformer,
    state: StreamState,
    *,
    key: PRNGKeyArray,
    dials: Dials,
    seen: TokenRow = (),
    rate: Scalar = 1.0,
) -> Iterator[tuple[int, StreamState]]:
    """Write without end, from where `state` is: each token, and the state after it.

    `seen`: tokens that the repetition penalty counts besides those written here.

    **Raises** `ValueError` as `generate` does.

    >>> endless = write(model, state, key=key, dials=Dials(top_k=40))
    >>> tokens = [token for token, _ in islice(endless, 100)]
    """
    check_dials(dials)
    knobs, chunk = take_knobs(model, rate), model.config.chunk
    dials = _as_data(dials, knobs[1].dtype)
    met = np.zeros(model.config.vocab, bool)
    met[np.asarray(seen, np.int32)] = True
    fork, written = _live(knobs[0], make_room(state, 2 * chunk), key, met, dials), 0
    while True:
        many = min(BLOCK, chunk - int(state.n_open))
        fork, tokens = _block_program(
            knobs[0],
            fork,
            key,
            np.asarray(written, np.int32),
            np.asarray(many, np.int32),
            _NONE,
            dials,
        )
        for token in np.asarray(tokens)[:many].tolist():
            opened = np.asarray(state.open)[1 : int(state.n_open) + 1]
            pending = np.append(opened, np.int32(token))
            if len(pending) == chunk:
                ready = make_room(state, 2 * chunk)
                state, *_ = read_rows(knobs, ready, pending[None])
                room = make_room(state, 2 * chunk)
                fork = dataclasses.replace(fork, fast=room.fast, mixers=room.mixers)
            else:
                state = hold_open(state, pending)
            yield token, state
        written += many


def sample(
    logits: Float[Array, " vocab"],
    key: PRNGKeyArray,
    temperature: Scalar,
    top_p: Scalar,
    top_k: Count | int = 0,
) -> Count:
    """Draw a token: greedy at temperature 0, else from the nucleus of the `top_k`."""
    greedy = lambda: jnp.argmax(logits).astype(jnp.int32)
    drawn = lambda: _draw(logits, key, temperature, top_p, top_k)
    return jax.lax.cond(jnp.asarray(temperature) > 0, drawn, greedy)


def _draw(
    logits: Float[Array, " vocab"],
    key: PRNGKeyArray,
    temperature: Scalar,
    top_p: Scalar,
    top_k: Count | int,
) -> Count:
    """A token from the nucleus, by Gumbel noise that belongs to places in the order.

    A sort of the whole vocabulary costs more than the model. Nearly always the
    `RANKED` likeliest tokens hold the winner: it is certain if no noise could lift any
    other above it. Where it is not, all are sorted.
    """
    heated = logits / jnp.maximum(temperature, 1e-6).astype(logits.dtype)
    noise = jax.random.gumbel(key, logits.shape, logits.dtype)
    vocab, total = len(logits), jax.nn.logsumexp(heated)

    def among(many: int):
        """The winner among the `many` likeliest, its score, and the last's share."""
        likeliest, order = jax.lax.top_k(heated, many)
        likely = (jnp.arange(many, dtype=jnp.int32) < top_k) | jnp.asarray(top_k <= 0)
        likeliest = jnp.where(likely, likeliest, -jnp.inf)
        held = jnp.where(jnp.asarray(top_k > 0), jax.nn.logsumexp(likeliest), total)
        ranked = likeliest - held
        before = jnp.cumsum(jnp.exp(ranked)) - jnp.exp(ranked)
        kept = (before < top_p).at[0].set(True)
        score = jnp.where(kept, ranked, -jnp.inf) + noise[:many]
        best = jnp.argmax(score)
        return order[best].astype(jnp.int32), score[best], ranked[-1]

    if vocab <= RANKED:
        return among(vocab)[0]
    token, best, last = among(RANKED)
    is_certain = (best >= last + jnp.max(noise[RANKED:])) & jnp.asarray(top_k <= RANKED)
    return jax.lax.cond(is_certain, lambda: token, lambda: among(vocab)[0])


def discourage(
    logits: Float[Array, " vocab"], seen: Bool[Array, " vocab"], penalty: Scalar
) -> Float[Array, " vocab"]:
    """Logits with those of `seen` tokens made worse by `penalty`; 1 changes no bit.

    A positive logit is divided and a negative one multiplied, so that both go down
    (1909.05858, section 4.1, as the sign was mended since).
    """
    worse = jnp.where(logits > 0, logits / penalty, logits * penalty)
    return jnp.where(seen, worse, logits)


class _Fork(eqx.Module):
    """A reader between two tokens: as much of it as decoding needs.

    `seen`: the tokens that the repetition penalty counts.
    """

    fast: PyTree
    mixers: MixerStates
    last: Count
    seen: Bool[Array, " vocab"]


@jax.jit
def _block_program(
    model: Transformer,
    fork: _Fork,
    key: PRNGKeyArray,
    written: Count,
    many: Count,
    given: Int[np.ndarray, " block"] | Int[Array, " block"],
    dials: Dials,
) -> tuple[_Fork, Int[Array, " block"]]:
    """`many` tokens, at most `BLOCK`: put the last one in, draw the next.

    `given`: tokens that are read instead of drawn, where they are not negative.
    `written`: how many were drawn before, for the random numbers.
    """
    whole = merge(fork.fast, split(model)[1])
    slow_stacks, slow = unroll(whole.slow_stacks, fork.mixers.slow_blocks)
    fast_stacks, fast = unroll(whole.fast_stacks, fork.mixers.fast_blocks)
    flat = dataclasses.replace(whole, slow_stacks=slow_stacks, fast_stacks=fast_stacks)
    *sampling, penalty = dials

    def step(i, carry):
        mixers, last, seen, tokens = carry
        logits, mixers = run_blocks(flat, mixers, last[None])
        drawing = jax.random.fold_in(key, written + i)
        draw = lambda: sample(discourage(logits[0], seen, penalty), drawing, *sampling)
        is_given = given[i] >= 0
        token = jax.lax.cond(is_given, lambda: given[i], draw)
        seen = seen.at[token].set(seen[token] | ~is_given)
        return mixers, token, seen, tokens.at[i].set(token)

    start = (MixerStates(slow, fast), fork.last, fork.seen, jnp.zeros_like(given))
    mixers, last, seen, tokens = jax.lax.fori_loop(np.int32(0), many, step, start)
    slow = roll(whole.slow_stacks, mixers.slow_blocks)
    fast = roll(whole.fast_stacks, mixers.fast_blocks)
    return _Fork(fork.fast, MixerStates(slow, fast), last, seen), tokens


def _live(
    model: Transformer,
    state: StreamState,
    key: PRNGKeyArray,
    seen: Bool[np.ndarray, " vocab"],
    dials: Dials,
) -> _Fork:
    """A fork that has read all open tokens, one by one."""
    opened = np.asarray(state.open)[: int(state.n_open) + 1]
    fork = _Fork(state.fast, state.mixers, *jax.device_put((opened[0], seen)))
    for start in range(1, len(opened), BLOCK):
        given = opened[start : start + BLOCK]
        row = np.append(given, _NONE)[:BLOCK]
        fork, _ = _block_program(
            model,
            fork,
            key,
            np.asarray(0, np.int32),
            np.asarray(len(given), np.int32),
            row,
            dials,
        )
    return fork


def _as_data(dials: Dials, dtype: DType) -> Dials:
    """The dials as arrays: turning one compiles nothing."""
    as_whole = lambda name: jnp.int32 if name == "top_k" else dtype
    pairs = dials._asdict().items()
    return Dials(*(jnp.asarray(dial, as_whole(name)) for name, dial in pairs))


def check_dials(dials: Dials):
    """**Raises** `ValueError` for a dial that means nothing."""
    temperature, top_p, top_k, penalty = (float(dial) for dial in dials)
    if not 0 <= temperature < math.inf:
        raise ValueError(
            f"`temperature` must be >= 0 (0 = greedy) and finite: got {temperature:g}."
        )
    if not 0 < top_p <= 1:
        raise ValueError(f"`top_p` must be in (0, 1]: got {top_p:g}; 1.0 keeps all.")
    if not (top_k >= 0 and top_k == int(top_k)):
        raise ValueError(
            f"`top_k` must be a whole number >= 0: got {top_k:g}; 0 keeps all."
        )
    if not 0 < penalty < math.inf:
        raise ValueError(
            f"`repetition_penalty` must be > 0 and finite: got {penalty:g}; 1.0 is off."
        )
