"""Full causal attention: each token sees every token before it.

The state is a buffer of `capacity` keys and values, and how many of them are filled.
Keys are stored rotated: absolute positions never change, so rotating a long cache again
for every token would be waste. Keys and values are stored heads first, as products want
them, or the whole cache would be transposed for every call. Positions are exact at any
length (`layers.rotary_angles`).

Writing past the capacity is the caller's error; `ttt_core.stream` grows the buffer on
the host, which recompiles, and so doubles it.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import Rope, rotate
from ttt_core.mixers.attention import (
    PROJECTION_CUTS,
    Projections,
    Recent,
    attend,
    build_projections,
    check_rotary,
)
from ttt_core.mixers.cost import attention_flops, count_weights, inner_attention_flops
from ttt_core.mixers.kind import Kind
from ttt_core.shapes import DType, Hidden, PyTree


class FullState(eqx.Module):
    """Rotated keys and values of all tokens so far, the first `count` of `capacity`.

    `recent`: the last inputs of the short convolutions, if there are any.
    """

    keys: Float[Array, "*stack kv_heads capacity head_dim"]
    values: Float[Array, "*stack kv_heads capacity head_dim"]
    count: Int[Array, "*stack"]
    recent: Recent = ()


class Full(eqx.Module):
    """Causal attention with QK norm and rotary positions."""

    projections: Projections
    rope_theta: Rope = eqx.field(static=True)

    def init_state(self, capacity: int, dtype: DType) -> FullState:
        """An empty buffer for `capacity` tokens."""
        shape = (self.projections.kv_heads, capacity, self.projections.head_dim)
        empty = jnp.zeros(shape, dtype)
        recent = self.projections.init_recent(dtype)
        return FullState(empty, empty, jnp.zeros((), jnp.int32), recent)

    def __call__(
        self, x: Hidden, state: FullState | None
    ) -> tuple[Hidden, FullState | None]:
        """Attend from each of `x` to all tokens up to itself.

        `state=None`: `x` is a whole sequence, and no state is handed on.
        """
        last = None if state is None else state.recent
        q, k, v, recent = self.projections(x, last)
        before = jnp.zeros((), jnp.int32) if state is None else state.count
        position = before + jnp.arange(len(x), dtype=jnp.int32)
        q, k = (rotate(a, position, self.rope_theta) for a in (q, k))
        k, v = _heads_first(k), _heads_first(v)  # [kv_heads, seq, head_dim]
        if state is None:
            return self.projections.merge_heads(self_attention(q, k, v)), None
        put = lambda buffer, new: jax.lax.dynamic_update_slice_in_dim(
            buffer, new, before, axis=1
        )
        keys, values = put(state.keys, k), put(state.values, v)  # [.., capacity, ..]
        y = self.projections.merge_heads(causal_attention(q, keys, values, position))
        return y, FullState(keys, values, before + len(x), recent)


def build_full(config: ModelConfig, *, key: PRNGKeyArray) -> Full:
    """A full-attention mixer of the configuration's sizes."""
    return Full(build_projections(config, key=key), config.rope)


def build_unplaced(config: ModelConfig, *, key: PRNGKeyArray) -> Full:
    """The same without positions: every frequency is zero, so that nothing turns."""
    still = (0.0,) * (config.head_dim // 2)
    return Full(build_projections(config, key=key), still)


def self_attention(
    q: Float[Array, "seq heads head_dim"],
    keys: Float[Array, "kv_heads seq head_dim"],
    values: Float[Array, "kv_heads seq head_dim"],
    *,
    block: int = 512,
    parts: int = 8,
) -> Float[Array, "seq heads head_dim"]:
    """Causal attention of a whole sequence to itself.

    The queries are cut into at most `parts` parts, and no part meets a key behind its
    own end: 8 parts do 9/16 of the work of all queries against all keys.
    """
    seq = len(q)
    size = -(-seq // (parts * block)) * block
    position = jnp.arange(seq, dtype=jnp.int32)
    y = []
    for start in range(0, seq, size):
        own, stop = slice(start, start + size), min(start + size, seq)
        seen = keys[:, :stop], values[:, :stop]
        y.append(causal_attention(q[own], *seen, position[own], block=block))
    return jnp.concatenate(y)


def causal_attention(
    q: Float[Array, "seq heads head_dim"],
    keys: Float[Array, "kv_heads capacity head_dim"],
    values: Float[Array, "kv_heads capacity head_dim"],
    position: Int[Array, " seq"],
    *,
    block: int = 512,
) -> Float[Array, "seq heads head_dim"]:
    """Attention over keys at or before each query's position, by blocks of queries.

    `jax.lax.map` goes from block to block, and the backward pass computes each block
    again, so that memory grows with `block * capacity`.
    """
    index, q = jnp.arange(keys.shape[1], dtype=position.dtype), _heads_first(q)
    one = lambda q, at: attend(q, keys, values, index[None, :] <= at[:, None])
    heads, seq, head_dim = q.shape
    if seq <= block:
        return one(q, position).swapaxes(0, 1)
    after = -seq % block
    q = jnp.pad(q, ((0, 0), (0, after), (0, 0)))
    q = q.reshape(heads, -1, block, head_dim)
    q = q.swapaxes(0, 1)  # [blocks, heads, block, head_dim]
    at = jnp.pad(position, (0, after), mode="edge")
    pairs = q, at.reshape(-1, block)  # [blocks, block]
    y = jax.lax.map(jax.checkpoint(lambda pair: one(*pair)), pairs)  # shaped as `q`
    return y.transpose(0, 2, 1, 3).reshape(-1, heads, head_dim)[:seq]


def grow(state: FullState, capacity: int) -> FullState:
    """The same state with room for `capacity` tokens (leading stack axes are kept)."""
    more = capacity - state.keys.shape[-2]
    pad = [(0, 0)] * (state.keys.ndim - 2) + [(0, more), (0, 0)]
    keys, values = jnp.pad(state.keys, pad), jnp.pad(state.values, pad)
    return FullState(keys, values, state.count, state.recent)


def capacity_of(states: PyTree) -> int | None:
    """How many tokens the buffers in a tree of mixer states hold; None without any."""
    nodes = jax.tree.leaves(states, is_leaf=_is_buffer)
    rooms = [node.keys.shape[-2] for node in nodes if _is_buffer(node)]
    return rooms[0] if rooms else None


def grow_to(states: PyTree, needed: int) -> PyTree:
    """The tree with its buffers doubled until `needed` tokens fit."""
    capacity = capacity_of(states)
    if capacity is None or needed <= capacity:
        return states
    while capacity < needed:
        capacity *= 2
    enlarge = lambda node: grow(node, capacity) if _is_buffer(node) else node
    return jax.tree.map(enlarge, states, is_leaf=_is_buffer)


def _is_buffer(node: PyTree) -> bool:
    return isinstance(node, FullState)


def _heads_first(
    a: Float[Array, "seq heads head_dim"],
) -> Float[Array, "heads seq head_dim"]:
    return a.swapaxes(0, 1)


FULL = Kind(
    name="full",
    title="full attention",
    build=build_full,
    check=check_rotary,
    least={},
    reach=lambda config: None,
    weights=count_weights,
    flops=attention_flops,
    inner_flops=inner_attention_flops,
    cuts=PROJECTION_CUTS,
    grows=True,
)
# SmolLM3 has one such layer in four (arXiv 2501.18795, "NoPE").
UNPLACED = dataclasses.replace(
    FULL,
    name="unplaced",
    title="full attention without positions",
    build=build_unplaced,
)
