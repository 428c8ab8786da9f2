"""Mamba 2 (state-space duality, arXiv 2405.21060): a decaying sum of keys and values.

Each head keeps one matrix, which every token fades and adds to:

    M_t = exp(decay_t) M_{t-1} + B_t (dt_t x_t)^T          [state_dim, head_dim]
    y_t = C_t M_t + skip * x_t

`x` are the values, `B` the keys and `C` the queries of linear attention; keys and
queries are shared by all heads. `x`, `B` and `C` pass a short convolution first; the
output is gated by `silu(z)`, then normed, then projected.

`recurrent` is that recurrence, which decodes; `chunked` is the same sum by chunks, all
in matrix products: attention inside each chunk, and one matrix handed from chunk to
chunk. Tests compare the two.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import RMSNorm, at_least_float32, build_norm, linear, normal
from ttt_core.mixers.convolution import (
    FILTER_CUTS,
    ShortConvolution,
    build_convolution,
    convolve,
)
from ttt_core.mixers.decay import CHUNK, DECAY_CUTS, draw_decay, fading, into_chunks
from ttt_core.mixers.kind import Cut, Kind, check_expand
from ttt_core.shapes import DType, Hidden


class Mamba2State(eqx.Module):
    """What is remembered: the matrices of all heads, and inputs of the convolutions.

    `recent`: of values, keys and queries, `[taps - 1, channels]` each. `memory`, a sum
    over all tokens, is at least float32.
    """

    memory: Float[Array, "*stack state_dim heads head_dim"]
    recent: tuple[Array, Array, Array]


class Mamba2(eqx.Module):
    """The Mamba 2 layer with one group of keys and queries."""

    w_x: Float[Array, "*stack d_model inner"]
    w_z: Float[Array, "*stack d_model inner"]
    w_b: Float[Array, "*stack d_model state_dim"]
    w_c: Float[Array, "*stack d_model state_dim"]
    w_dt: Float[Array, "*stack d_model heads"]
    w_out: Float[Array, "*stack inner d_model"]
    convolutions: tuple[ShortConvolution, ShortConvolution, ShortConvolution]
    decay_log: Float[Array, "*stack heads"]
    dt_bias: Float[Array, "*stack heads"]
    skip: Float[Array, "*stack heads"]
    norm: RMSNorm

    def init_state(self, capacity: int, dtype: DType) -> Mamba2State:
        """Nothing remembered. `capacity` is ignored: the state never grows."""
        del capacity
        (_, inner), (_, state_dim) = self.w_x.shape, self.w_b.shape
        heads = len(self.skip)
        memory = jnp.zeros((state_dim, heads, inner // heads), dtype)
        recent = tuple(c.init_recent(dtype) for c in self.convolutions)
        return Mamba2State(at_least_float32(memory), recent)

    def __call__(
        self, x: Hidden, state: Mamba2State | None
    ) -> tuple[Hidden, Mamba2State | None]:
        """Read `x` after all that `state` remembers; see `ttt_core.mixers`."""
        before = self.init_state(0, x.dtype) if state is None else state
        inputs = [linear(x, w) for w in (self.w_x, self.w_b, self.w_c)]
        filtered, recent = convolve(self.convolutions, inputs, before.recent)
        values, keys, queries = map(at_least_float32, filtered)
        values = values.reshape(len(x), len(self.skip), -1)  # [seq, heads, head_dim]

        steps = at_least_float32(linear(x, self.w_dt)) + self.dt_bias[None]
        steps = jax.nn.softplus(steps)  # [seq, heads]
        decay = -jnp.exp(self.decay_log)[None] * steps
        form = recurrent if len(x) == 1 else chunked
        weighted = values * steps[..., None]
        y, memory = form(weighted, decay, keys, queries, before.memory)

        y = (y + self.skip[None, :, None] * values).reshape(len(x), -1)
        gate = jax.nn.silu(at_least_float32(linear(x, self.w_z)))
        y = linear(self.norm(y * gate).astype(x.dtype), self.w_out)
        return y, None if state is None else Mamba2State(memory, recent)


def build_mamba2(config: ModelConfig, *, key: PRNGKeyArray) -> Mamba2:
    """A Mamba 2 mixer of the configuration's sizes.

    `expand * d_model` values in heads of `head_dim`, keys and queries of `state_dim`.
    """
    d, n, std = config.d_model, config.state_dim, config.init_std
    heads = round(config.expand * config.heads)
    inner = heads * config.head_dim
    k_decay, *k_filters = jax.random.split(key, 10)
    widths = {"x": inner, "z": inner, "b": n, "c": n, "dt": heads}
    draws = zip(widths.items(), k_filters[3:8], strict=True)
    weights = {f"w_{name}": normal(k, (d, width), std) for (name, width), k in draws}
    decay_log, dt_bias = draw_decay(heads, key=k_decay)
    return Mamba2(
        **weights,
        w_out=normal(k_filters[8], (inner, d), std),
        convolutions=tuple(
            build_convolution(config.taps, width, bias=True, key=k)
            for width, k in zip((inner, n, n), k_filters[:3], strict=True)
        ),
        decay_log=decay_log,
        dt_bias=dt_bias,
        skip=jnp.ones(heads),
        norm=build_norm(inner, config.norm_eps),
    )


def chunked(
    values: Float[Array, "seq heads head_dim"],
    decay: Float[Array, "seq heads"],
    keys: Float[Array, "seq state_dim"],
    queries: Float[Array, "seq state_dim"],
    memory: Float[Array, "state_dim heads head_dim"],
    *,
    chunk: int = CHUNK,
) -> tuple[
    Float[Array, "seq heads head_dim"], Float[Array, "state_dim heads head_dim"]
]:
    """`(y, memory)`: the recurrence, `chunk` tokens at a time.

    `decay` is the logarithm of what is left after each token. Chunks meet only in
    `memory`: a short scan hands the matrices from chunk to chunk, and everything else
    is done for all chunks at once.
    """
    seq, heads, _ = values.shape
    chunk = min(chunk, seq)
    values, decay, keys, queries = (
        into_chunks(a, chunk) for a in (values, decay, keys, queries)
    )  # [n, chunk, ...]
    total = jnp.cumsum(decay, axis=1)  # [n, chunk, heads]
    scores = jnp.einsum("nqk,nsk->nqs", queries, keys)  # [n, chunk, chunk]
    weights = fading(total.swapaxes(1, 2)) * scores[:, None]  # [n, heads, chunk, chunk]
    inside = jnp.einsum("nhqs,nshp->nqhp", weights, values)

    left = jnp.exp(total[:, -1:] - total)  # of each token at its chunk's end
    added = jnp.einsum("nsk,nshp->nkhp", keys, values * left[..., None])

    def step(memory, chunk):
        fade, added = chunk  # [heads], [state_dim, heads, head_dim]
        return memory * fade[None, :, None] + added, memory

    memory, starts = jax.lax.scan(step, memory, (jnp.exp(total[:, -1]), added))
    before = jnp.einsum("nqk,nkhp->nqhp", queries, starts) * jnp.exp(total)[..., None]
    # both [n, chunk, heads, head_dim]: what the chunk itself gives, and what was before
    return (inside + before).reshape(-1, heads, values.shape[-1])[:seq], memory


def recurrent(
    values: Float[Array, "seq heads head_dim"],
    decay: Float[Array, "seq heads"],
    keys: Float[Array, "seq state_dim"],
    queries: Float[Array, "seq state_dim"],
    memory: Float[Array, "state_dim heads head_dim"],
) -> tuple[
    Float[Array, "seq heads head_dim"], Float[Array, "state_dim heads head_dim"]
]:
    """`chunked` in its plain form: a scan, token by token."""

    def step(memory, token):
        value, decay, key, query = token
        memory = memory * jnp.exp(decay)[None, :, None] + jnp.einsum(
            "k,hp->khp", key, value
        )
        return memory, jnp.einsum("k,khp->hp", query, memory)

    memory, y = jax.lax.scan(step, memory, (values, decay, keys, queries))
    return y, memory


def _check(config: ModelConfig):
    # more heads than attention has, of the same width
    check_expand(config, config.heads, "heads")


def _weights(config: ModelConfig) -> int:
    d = config.d_model
    return d * (3 * round(config.expand * d) + 2 * config.state_dim)


def _projection_flops(config: ModelConfig) -> int:
    """Of a token: `2 d (3 v + 2 n + heads)`, `v = expand d, n = state_dim`."""
    steps = config.d_model * round(config.expand * config.heads)
    return 2 * (_weights(config) + steps)


def _recurrence_flops(config: ModelConfig) -> int:
    """Of a token, written into each head's matrix and read from there: `4 n v`."""
    return round(4 * config.expand * config.d_model * config.state_dim)


MAMBA2 = Kind(
    name="mamba2",
    title="Mamba 2",
    build=build_mamba2,
    check=_check,
    least={"state_dim": 1, "taps": 1},
    reach=lambda config: None,
    weights=_weights,
    flops=lambda config, tokens: (
        tokens * (_projection_flops(config) + _recurrence_flops(config))
    ),
    # both factors of each product of the recurrence belong to this chunk
    inner_flops=lambda config, tokens: (
        tokens * (_projection_flops(config) + 2 * _recurrence_flops(config))
    ),
    cuts=FILTER_CUTS
    | DECAY_CUTS
    | {
        "w_x": Cut(-1, "heads"),
        "w_z": Cut(-1, "heads"),
        "w_b": Cut(-1, "state_dim"),  # all heads share keys and queries
        "w_c": Cut(-1, "state_dim"),
        "w_out": Cut(-2, "heads"),
        "skip": None,
        "weight": None,
    },
    is_recurrent=True,
)
