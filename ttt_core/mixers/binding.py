"""An MLP as a memory: how a head learns to answer keys with values, chunk by chunk.

Each head keeps a small gated MLP. Its weights move once a chunk, along the gradients of

    sum_t  rate_t <MLP(k_t), v_t>

taken at the weights from before the chunk, with a rate for each token and matrix. A
query is answered by the weights from before its own chunk. As published (LaCT, arXiv
2505.23884), gradients are gathered with momentum, and every unit keeps the norm of its
incoming weights.

Up to a chunk less one token are open: their keys and values wait in the state until the
chunk is full. So tokens, chunks and whole texts come to the same weights. The layer
around the memory is `ttt_core.mixers.kv_binding`.
"""

import functools
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ttt_core.layers import MLP, at_least_float32
from ttt_core.scans import cut_groups, scan_groups
from ttt_core.shapes import DType


Heads: TypeAlias = Float[Array, "seq heads head_dim"]


class Pairs(eqx.Module):
    """What a token asks the MLP to learn: one row a token.

    `rates`: of gate, down and up. `kept`: the share of the momentum that is kept.
    """

    keys: Float[Array, "*n tokens heads head_dim"]
    values: Float[Array, "*n tokens heads head_dim"]
    rates: Float[Array, "*n tokens heads three"]
    kept: Float[Array, "*n tokens heads"]


class Memory(eqx.Module):
    """The MLP of every head as it is now, and the momentum of its weights."""

    mlp: MLP
    momentum: MLP


class Bound(eqx.Module):
    """The memory, the open tokens, and how many tokens in all.

    The first `position % chunk` rows of `pairs` are open tokens.
    """

    memory: Memory
    pairs: Pairs
    position: Int[Array, "*stack"]


def blank_memory(start: MLP) -> Memory:
    """The trained start, before anything is bound."""
    return Memory(start, jax.tree.map(jnp.zeros_like, start))


def first_bound(start: MLP, chunk: int, dtype: DType) -> Bound:
    """The state before the first token, in at least float32."""
    heads, head_dim, _ = start.gate.shape
    empty = lambda *width: at_least_float32(jnp.zeros((chunk, heads, *width), dtype))
    pairs = Pairs(empty(head_dim), empty(head_dim), empty(3), empty())
    return Bound(blank_memory(start), pairs, jnp.zeros((), jnp.int32))


def to_length_one(x: Float[Array, "... width"]) -> Float[Array, "... width"]:
    """`x / |x|` along the last axis, differentiable at zero."""
    return x / (_length(x, -1) + 1e-5)


def _length(x: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    # the slope of a square root is not finite at zero: one part in 1e6 is added
    return jnp.sqrt(jnp.sum(x**2, axis=axis, keepdims=True) + 1e-12)


def answer(mlp: MLP, queries: Heads) -> Heads:
    """What each head's MLP says to each query."""
    return jax.vmap(MLP.__call__, (0, 1), 1)(mlp, queries)


def bind(memory: Memory, pairs: Pairs, start: MLP) -> Memory:
    """Learn one full chunk: the gradients by hand, momentum, and norms kept.

    The gradient of `<MLP(k), v>` has the value itself for its cotangent, and each
    matrix weighs tokens by a rate of its own.
    """
    first = lambda a: a.swapaxes(0, 1)  # [heads, tokens, ...]
    keys, values, rates = first(pairs.keys), first(pairs.values), first(pairs.rates)
    mlp, by = memory.mlp, rates[..., None, :]  # `by`: [heads, tokens, 1, three]
    gate, up = keys @ mlp.gate, keys @ mlp.up  # [heads, tokens, hidden]
    opened, slope = jax.nn.silu(gate), jax.nn.sigmoid(gate)
    slope = slope * (1 + gate * (1 - slope))  # of SiLU
    back = values @ mlp.down.swapaxes(1, 2)  # [heads, tokens, hidden]
    outer = lambda rows, columns: jnp.einsum("hta,htb->hab", rows, columns)
    grads = MLP(
        gate=outer(keys * by[..., 0], back * up * slope),
        up=outer(keys * by[..., 2], back * opened),
        down=outer(opened * up * by[..., 1], values),
    )
    kept = jnp.mean(pairs.kept, axis=0)[:, None, None]  # [heads, 1, 1]
    momentum = jax.tree.map(lambda g, m: g + kept * m, grads, memory.momentum)
    return Memory(jax.tree.map(_move, mlp, momentum, start), momentum)


def _move(
    weight: Float[Array, "heads rows units"],
    change: Float[Array, "heads rows units"],
    start: Float[Array, "heads rows units"],
) -> Float[Array, "heads rows units"]:
    """The new weights, each unit's incoming ones as long as they were at the start."""
    moved = weight + change
    return moved / (_length(moved, -2) + 1e-5) * _length(start, -2)


def read_whole(
    memory: Memory, queries: Heads, pairs: Pairs, start: MLP, chunk: int
) -> Heads:
    """Answers to a whole sequence that begins with `memory`: a scan over full chunks.

    The last chunk's update is never used, so it is skipped.
    """
    whole = (len(queries) - 1) // chunk * chunk
    head = jax.tree.map(lambda a: a[:whole], (queries, pairs))
    groups, _ = cut_groups(head, chunk)

    def step(memory, chunk):
        queries, pairs = chunk
        return bind(memory, pairs, start), answer(memory.mlp, queries)

    memory, y = jax.lax.scan(step, memory, groups)
    y = y.reshape(whole, *queries.shape[1:])
    return jnp.concatenate([y, answer(memory.mlp, queries[whole:])])


def read_on(
    state: Bound, queries: Heads, pairs: Pairs, start: MLP
) -> tuple[Heads, Bound]:
    """Answers to tokens that come after any number of others, and the state then.

    More than a chunk of tokens is read by a scan over pieces of a chunk, and what is
    left over as one piece more.
    """
    chunk = state.pairs.kept.shape[0]
    step = functools.partial(_read_piece, start=start)
    state, y = scan_groups(step, state, (queries, pairs), chunk)
    return y, state


def _read_piece(
    state: Bound, piece: tuple[Heads, Pairs], *, start: MLP
) -> tuple[Bound, Heads]:
    """At most a chunk: the open one fills at most once on the way."""
    queries, pairs = piece
    length, chunk = len(queries), state.pairs.kept.shape[0]
    n_open = state.position % chunk
    place = lambda old, new: jax.lax.dynamic_update_slice_in_dim(
        jnp.concatenate([old, jnp.zeros_like(old)]), new, n_open, 0
    )
    known = jax.tree.map(place, state.pairs, pairs)  # [2 * chunk, heads, ...]
    oldest = jax.tree.map(lambda a: a[:chunk], known)
    is_full = n_open + length >= chunk
    learn = lambda memory: bind(memory, oldest, start)
    memory = jax.lax.cond(is_full, learn, lambda memory: memory, state.memory)

    y = answer(state.memory.mlp, queries)
    if length > 1:  # tokens behind the full chunk are answered by the new weights
        is_behind = n_open + jnp.arange(length, dtype=n_open.dtype) >= chunk
        later = answer(memory.mlp, queries)
        y = jnp.where(is_behind[:, None, None], later, y)
    newest = jax.tree.map(lambda a: jnp.where(is_full, a[chunk:], a[:chunk]), known)
    return Bound(memory, newest, state.position + length), y
