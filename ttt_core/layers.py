"""The small parts every block is made of: RMSNorm, rotary positions, gated MLP.

Activations carry the compute dtype; a weight is cast to its input's dtype where they
meet, and whatever is sensitive (norms, angles, softmax) is done in at least float32.
"""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ttt_core.shapes import DType


Positions: TypeAlias = Int[Array, " seq"] | Int[np.ndarray, " seq"]
Rope: TypeAlias = float | tuple[float, ...]  # the base, or each pair's frequency
STATIC_POSITIONS = 8192  # more make constants that are slow to compile


def at_least_float32(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """`x` in float32, or in its own dtype where that is wider (float64 tests)."""
    return x if jnp.finfo(x.dtype).bits >= 32 else x.astype(jnp.float32)


def linear(
    x: Float[Array, "... d_in"], weight: Float[Array, "d_in d_out"]
) -> Float[Array, "... d_out"]:
    """`x @ weight` in the dtype of `x`."""
    return x @ weight.astype(x.dtype)


class RMSNorm(eqx.Module):
    """`x / sqrt(mean(x^2) + eps) * weight` over the last axis."""

    weight: Float[Array, " dim"]
    eps: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "... dim"]) -> Float[Array, "... dim"]:
        wide = at_least_float32(x)
        scale = jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + self.eps)
        weight = jnp.broadcast_to(self.weight, x.shape)
        return (wide * scale * weight).astype(x.dtype)


class MLP(eqx.Module):
    """Gated MLP (SwiGLU): `(silu(x gate) * (x up)) down`.

    Stacked over blocks, an `MLP` of three arrays is also what `fast` weights are.
    """

    gate: Float[Array, "*stack d_model d_ff"]
    up: Float[Array, "*stack d_model d_ff"]
    down: Float[Array, "*stack d_ff d_model"]

    def __call__(self, x: Float[Array, "seq d_model"]) -> Float[Array, "seq d_model"]:
        gated = jax.nn.silu(linear(x, self.gate)) * linear(x, self.up)  # [seq, d_ff]
        return linear(gated, self.down)


def normal(key: PRNGKeyArray, shape: tuple[int, ...], std: float) -> Array:
    """A parameter drawn from Normal(0, std), float32 (float64 where x64 is enabled)."""
    return std * jax.random.normal(key, shape)


def build_mlp(d_model: int, d_ff: int, std: float, *, key: PRNGKeyArray) -> MLP:
    """An `MLP` with all three matrices from Normal(0, std)."""
    gate, up, down = jax.random.split(key, 3)
    return MLP(
        normal(gate, (d_model, d_ff), std),
        normal(up, (d_model, d_ff), std),
        normal(down, (d_ff, d_model), std),
    )


def build_norm(dim: int, eps: float, gain: float = 1.0) -> RMSNorm:
    """An `RMSNorm` whose weights all start at `gain`."""
    return RMSNorm(gain * jnp.ones(dim), eps)  # `jnp.full` would be weakly typed


def rotary_frequencies(theta: Rope, head_dim: int) -> np.ndarray:
    """Radians a token of each pair, `[head_dim / 2]`.

    `theta`: the base, which gives `theta^(-2i / head_dim)`, or the frequencies.
    """
    if isinstance(theta, tuple):
        return np.asarray(theta)
    return theta ** (-np.arange(0, head_dim, 2) / head_dim)


def rotary_angles(
    positions: Int[Array, " seq"], head_dim: int, theta: Rope, dtype: DType
) -> Float[Array, "seq half"]:
    """Angles `position * theta^(-2i / head_dim)`, reduced to within half a turn.

    A float32 product of a position and a frequency is off by 1.5e-3 rad at 128 K and
    1.4e-2 at 1 M. Here the angle is a 32-bit fraction of a turn: integer products wrap
    around exactly as angles do, and what the 32 bits lose is added back as a float. The
    error stays below 4e-7 rad at any position below 2^31.
    """
    frequency = rotary_frequencies(theta, head_dim)[None, :]
    turns = frequency / (2 * np.pi) * 2.0**32
    column, whole = positions[:, None], np.round(turns)
    phase = column.astype(jnp.uint32) * jnp.asarray(whole, jnp.uint32)
    wrapped = jax.lax.bitcast_convert_type(phase, jnp.int32).astype(dtype)
    rest = jnp.asarray(turns - whole, dtype)
    return (wrapped + column.astype(dtype) * rest) * (2 * np.pi / 2.0**32)


def rotary_tables(
    positions: Positions, head_dim: int, theta: Rope, dtype: DType
) -> tuple[Float[Array, "seq half"], Float[Array, "seq half"]]:
    """Cosines and sines of the angles, each computed once.

    Positions that are known before compiling (NumPy's) make constants. The barrier
    keeps the compiler from computing a cosine again wherever one is used, for each head
    and each of a pair: half of the time of a window was cosines.
    """
    if isinstance(positions, np.ndarray) and positions.size <= STATIC_POSITIONS:
        frequency = rotary_frequencies(theta, head_dim)
        angle = positions[:, None] * frequency
        return jnp.asarray(np.cos(angle), dtype), jnp.asarray(np.sin(angle), dtype)
    angle = rotary_angles(jnp.asarray(positions), head_dim, theta, dtype)
    return jax.lax.optimization_barrier((jnp.cos(angle), jnp.sin(angle)))


def rotate(
    x: Float[Array, "seq heads head_dim"],
    positions: Positions,
    theta: Rope,
) -> Float[Array, "seq heads head_dim"]:
    """Rotary position embedding on interleaved pairs `(x[2i], x[2i + 1])`."""
    seq, heads, head_dim = x.shape
    wide = at_least_float32(x)
    tables = rotary_tables(positions, head_dim, theta, wide.dtype)
    cos, sin = (table[:, None, :] for table in tables)  # [seq, 1, half]
    even, odd = wide[..., 0::2], wide[..., 1::2]  # [seq, heads, half]
    pairs = jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
    return pairs.reshape(seq, heads, head_dim).astype(x.dtype)
