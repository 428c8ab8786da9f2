"""Gated DeltaNet (arXiv 2412.06464): a memory that corrects what it would have said.

Each head keeps one matrix. A token fades the matrix, asks it for the value of the
token's own key, and writes the difference:

    M' = exp(decay_t) M_{t-1}
    M_t = M' + k_t (beta_t (v_t - k_t M'))^T               [key_dim, value_dim]
    y_t = q_t M_t

Queries, keys and values pass a short convolution; queries and keys are brought to
length one. The output is normed head by head, gated by `silu(x wg)`, and projected.

`recurrent` is that recurrence, which decodes. `chunked` is the WY form: within a chunk,
all corrections solve one triangular system, so that a chunk is a few matrix products
and one matrix is handed from chunk to chunk. Tests compare the two.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import RMSNorm, at_least_float32, build_norm, linear, normal
from ttt_core.mixers.attention import PROJECTION_CUTS
from ttt_core.mixers.convolution import (
    FILTER_CUTS,
    ShortConvolution,
    build_convolution,
    convolve,
)
from ttt_core.mixers.decay import CHUNK, DECAY_CUTS, draw_decay, fading, into_chunks
from ttt_core.mixers.kind import Cut, Kind, check_expand
from ttt_core.mixers.triangular import solve_unit_lower
from ttt_core.shapes import DType, Hidden


class GatedDeltaState(eqx.Module):
    """What is remembered: the matrices of all heads, and inputs of the convolutions.

    `recent`: of queries, keys and values, `[taps - 1, channels]` each. `memory` is at
    least float32.
    """

    memory: Float[Array, "*stack heads key_dim value_dim"]
    recent: tuple[Array, Array, Array]


class GatedDelta(eqx.Module):
    """The Gated DeltaNet layer."""

    wq: Float[Array, "*stack d_model keys"]
    wk: Float[Array, "*stack d_model keys"]
    wv: Float[Array, "*stack d_model values"]
    wg: Float[Array, "*stack d_model values"]
    w_beta: Float[Array, "*stack d_model heads"]
    w_dt: Float[Array, "*stack d_model heads"]
    wo: Float[Array, "*stack values d_model"]
    convolutions: tuple[ShortConvolution, ShortConvolution, ShortConvolution]
    decay_log: Float[Array, "*stack heads"]
    dt_bias: Float[Array, "*stack heads"]
    norm: RMSNorm

    def init_state(self, capacity: int, dtype: DType) -> GatedDeltaState:
        """Nothing remembered. `capacity` is ignored: the state never grows."""
        del capacity
        heads = len(self.dt_bias)
        widths = (self.wk.shape[1] // heads, self.wv.shape[1] // heads)
        recent = tuple(c.init_recent(dtype) for c in self.convolutions)
        memory = at_least_float32(jnp.zeros((heads, *widths), dtype))
        return GatedDeltaState(memory, recent)

    def __call__(
        self, x: Hidden, state: GatedDeltaState | None
    ) -> tuple[Hidden, GatedDeltaState | None]:
        """Read `x` after all that `state` remembers; see `ttt_core.mixers`."""
        before = self.init_state(0, x.dtype) if state is None else state
        inputs = [linear(x, w) for w in (self.wq, self.wk, self.wv)]
        filtered, recent = convolve(self.convolutions, inputs, before.recent)
        queries, keys, values = map(self._heads, filtered)  # [seq, heads, width]
        queries = to_unit_length(queries) * queries.shape[-1] ** -0.5

        steps = at_least_float32(linear(x, self.w_dt)) + self.dt_bias[None]
        decay = -jnp.exp(self.decay_log)[None] * jax.nn.softplus(steps)  # [seq, heads]
        beta = jax.nn.sigmoid(at_least_float32(linear(x, self.w_beta)))
        form = recurrent if len(x) == 1 else chunked
        tokens = (queries, to_unit_length(keys), values, decay, beta)
        y, memory = form(*tokens, before.memory)

        gate = jax.nn.silu(self._heads(linear(x, self.wg)))
        y = (self.norm(y) * gate).astype(x.dtype).reshape(len(x), -1)
        y = linear(y, self.wo)
        return y, None if state is None else GatedDeltaState(memory, recent)

    def _heads(
        self, a: Float[Array, "seq channels"]
    ) -> Float[Array, "seq heads width"]:
        return at_least_float32(a).reshape(len(a), len(self.dt_bias), -1)


def build_gated_delta(config: ModelConfig, *, key: PRNGKeyArray) -> GatedDelta:
    """A Gated DeltaNet mixer of the configuration's sizes.

    Each of `heads` has keys of `state_dim` and values of `expand * head_dim`.
    """
    d, std, heads = config.d_model, config.init_std, config.heads
    keys, values = heads * config.state_dim, round(config.expand * d)
    k_decay, *k_rest = jax.random.split(key, 11)
    shapes = {
        "wq": (d, keys),
        "wk": (d, keys),
        "wv": (d, values),
        "wg": (d, values),
        "w_beta": (d, heads),
        "w_dt": (d, heads),
        "wo": (values, d),
    }
    draws = zip(shapes.items(), k_rest[3:], strict=True)
    weights = {name: normal(k, shape, std) for (name, shape), k in draws}
    decay_log, dt_bias = draw_decay(heads, key=k_decay)
    return GatedDelta(
        **weights,
        convolutions=tuple(
            build_convolution(config.taps, width, bias=False, key=k)
            for width, k in zip((keys, keys, values), k_rest[:3], strict=True)
        ),
        decay_log=decay_log,
        dt_bias=dt_bias,
        norm=build_norm(values // heads, config.norm_eps),
    )


def to_unit_length(x: Float[Array, "... width"]) -> Float[Array, "... width"]:
    """`x / |x|` along the last axis, differentiable at zero."""
    return x * jax.lax.rsqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-6)


def chunked(
    queries: Float[Array, "seq heads key_dim"],
    keys: Float[Array, "seq heads key_dim"],
    values: Float[Array, "seq heads value_dim"],
    decay: Float[Array, "seq heads"],
    beta: Float[Array, "seq heads"],
    memory: Float[Array, "heads key_dim value_dim"],
    *,
    chunk: int = CHUNK,
) -> tuple[
    Float[Array, "seq heads value_dim"], Float[Array, "heads key_dim value_dim"]
]:
    """`(y, memory)`: the recurrence, `chunk` tokens at a time.

    `decay` is the logarithm of what is left after each token. With `D[i, j]` what is
    left of `j` at `i`, the corrections `c` of a chunk that starts from `M` solve

        c_i + sum_{j < i} beta_i D[i, j] (k_i . k_j) c_j = beta_i (v_i - d_i k_i M)

    The system is linear in `M`, so that both parts are solved for all chunks at once; a
    scan then hands `M` from chunk to chunk.
    """
    seq = len(queries)
    chunk = min(chunk, seq)
    cut = lambda a: into_chunks(a, chunk).swapaxes(1, 2)  # [n, heads, chunk, ...]
    queries, keys, values, decay, beta = map(cut, (queries, keys, values, decay, beta))
    total = jnp.cumsum(decay, axis=-1)  # [n, heads, chunk]
    passed, left = jnp.exp(total), fading(total)  # `left`: [n, heads, chunk, chunk]
    weighted = keys * beta[..., None]

    overlap = jnp.einsum("nhik,nhjk->nhij", weighted, keys) * left
    asked = jnp.concatenate(
        [values * beta[..., None], weighted * passed[..., None]], -1
    )  # [n, heads, chunk, value_dim + key_dim]
    solved = solve_unit_lower(overlap, asked)
    written, recalled = jnp.split(solved, [values.shape[-1]], axis=-1)
    scores = jnp.einsum("nhik,nhjk->nhij", queries, keys) * left
    remaining = jnp.exp(total[..., -1:] - total)  # of each token at its chunk's end

    def step(memory, chunk):
        written, recalled, scores, queries, keys, fade = chunk
        corrections = written - recalled @ memory  # [heads, chunk, value_dim]
        y = queries @ memory + scores @ corrections
        memory = memory * fade[:, None, None] + keys.swapaxes(1, 2) @ corrections
        return memory, y

    chunks = (
        written,
        recalled,
        scores,
        queries * passed[..., None],
        keys * remaining[..., None],
        passed[..., -1],
    )
    memory, y = jax.lax.scan(step, memory, chunks)  # y: [n, heads, chunk, value_dim]
    return y.swapaxes(1, 2).reshape(-1, *memory.shape[::2])[:seq], memory


def recurrent(
    queries: Float[Array, "seq heads key_dim"],
    keys: Float[Array, "seq heads key_dim"],
    values: Float[Array, "seq heads value_dim"],
    decay: Float[Array, "seq heads"],
    beta: Float[Array, "seq heads"],
    memory: Float[Array, "heads key_dim value_dim"],
) -> tuple[
    Float[Array, "seq heads value_dim"], Float[Array, "heads key_dim value_dim"]
]:
    """`chunked` in its plain form: a scan, token by token."""

    def step(memory, token):
        query, key, value, decay, beta = token
        memory = memory * jnp.exp(decay)[:, None, None]
        correction = beta[:, None] * (value - jnp.einsum("hk,hkv->hv", key, memory))
        memory = memory + jnp.einsum("hk,hv->hkv", key, correction)
        return memory, jnp.einsum("hk,hkv->hv", query, memory)

    memory, y = jax.lax.scan(step, memory, (queries, keys, values, decay, beta))
    return y, memory


def _check(config: ModelConfig):
    # as many heads as attention has, of another width
    check_expand(config, config.head_dim, "the head width")


def _weights(config: ModelConfig) -> int:
    d, keys = config.d_model, config.heads * config.state_dim
    return d * (3 * round(config.expand * d) + 2 * keys)


def _projection_flops(config: ModelConfig) -> int:
    """Of a token: `2 d (3 v + 2 n heads + 2 heads)`, `v = expand d, n = state_dim`."""
    gates = 2 * config.d_model * config.heads
    return 2 * (_weights(config) + gates)


def _recurrence_flops(config: ModelConfig) -> int:
    """Of a token, for which each head's matrix is asked, written and read: `6 n v`."""
    return round(6 * config.expand * config.d_model * config.state_dim)


GATED_DELTA = Kind(
    name="gated_delta",
    title="Gated DeltaNet",
    build=build_gated_delta,
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
    cuts=PROJECTION_CUTS
    | FILTER_CUTS
    | DECAY_CUTS
    | {"wg": Cut(-1, "heads"), "w_beta": Cut(-1, "heads")},
    is_recurrent=True,
)
