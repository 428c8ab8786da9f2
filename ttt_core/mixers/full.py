"""Full causal attention: each token sees every token before it.

The state is a buffer of `capacity` keys and values, and how many are filled. Keys are
stored rotated: absolute positions never change, so re-rotating a long cache for every
token would be waste. Positions are exact at any length (`layers.rotary_angles`).

Writing past the capacity is the caller's error; `ttt_core.stream` grows the buffer on
the host, which recompiles, and so doubles it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import rotate
from ttt_core.mixers.attention import Projections, attend, build_projections


class FullState(eqx.Module):
    """Rotated keys and values of all tokens so far, the first `count` of `capacity`."""

    keys: Float[Array, "*stack capacity kv_heads head_dim"]
    values: Float[Array, "*stack capacity kv_heads head_dim"]
    count: Int[Array, "*stack"]


class Full(eqx.Module):
    """Causal attention with QK norm and rotary positions."""

    projections: Projections
    rope_theta: float = eqx.field(static=True)

    def init_state(self, capacity: int, dtype) -> FullState:
        """An empty buffer for `capacity` tokens."""
        shape = (capacity, self.projections.kv_heads, self.projections.head_dim)
        empty = jnp.zeros(shape, dtype)
        return FullState(empty, empty, jnp.zeros((), jnp.int32))

    def __call__(
        self, x: Float[Array, "seq d_model"], state: FullState | None
    ) -> tuple[Float[Array, "seq d_model"], FullState | None]:
        """Attend from each of `x` to all tokens up to itself.

        `state=None`: `x` is a whole sequence, and no state is handed on.
        """
        q, k, v = self.projections(x)
        before = self.init_state(len(x), x.dtype) if state is None else state
        position = before.count + jnp.arange(len(x), dtype=jnp.int32)
        q, k = (rotate(a, position, self.rope_theta) for a in (q, k))
        keys = jax.lax.dynamic_update_slice_in_dim(before.keys, k, before.count, 0)
        values = jax.lax.dynamic_update_slice_in_dim(before.values, v, before.count, 0)
        y = self.projections.merge_heads(causal_attention(q, keys, values, position))
        if state is None:
            return y, None
        return y, FullState(keys, values, state.count + len(x))


def build_full(config: ModelConfig, *, key: PRNGKeyArray) -> Full:
    """A full-attention mixer of the configuration's sizes."""
    return Full(build_projections(config, key=key), config.rope_theta)


def causal_attention(
    q: Float[Array, "seq heads head_dim"],
    keys: Float[Array, "capacity kv_heads head_dim"],
    values: Float[Array, "capacity kv_heads head_dim"],
    position: Int[Array, " seq"],
    *,
    block: int = 512,
) -> Float[Array, "seq heads head_dim"]:
    """Attention over keys at or before each query's position, by blocks of queries.

    Blocks are rematerialised, so that memory grows with `block * capacity`.
    """
    index = jnp.arange(len(keys), dtype=position.dtype)
    q, keys, values = (a.swapaxes(0, 1) for a in (q, keys, values))
    one = lambda q, at: attend(q, keys, values, index[None, :] <= at[:, None])
    heads, seq, head_dim = q.shape
    if seq <= block:
        return one(q, position).swapaxes(0, 1)
    after = -seq % block
    q = jnp.pad(q, ((0, 0), (0, after), (0, 0)))
    q = q.reshape(heads, -1, block, head_dim).swapaxes(0, 1)
    at = jnp.pad(position, (0, after), mode="edge").reshape(-1, block)
    y = jax.lax.map(jax.checkpoint(lambda pair: one(*pair)), (q, at))
    return y.transpose(0, 2, 1, 3).reshape(-1, heads, head_dim)[:seq]


def grow(state: FullState, capacity: int) -> FullState:
    """The same state with room for `capacity` tokens (leading stack axes are kept)."""
    more = capacity - state.keys.shape[-3]
    pad = [(0, 0)] * (state.keys.ndim - 3) + [(0, more), (0, 0), (0, 0)]
    return FullState(jnp.pad(state.keys, pad), jnp.pad(state.values, pad), state.count)
