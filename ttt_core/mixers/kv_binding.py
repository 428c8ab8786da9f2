"""KV binding in large chunks (TTT-KVB; LaCT, arXiv 2505.23884): an MLP as a memory.

Each head keeps a small gated MLP that learns, while it reads, to answer keys with their
values (`ttt_core.mixers.binding`), once a chunk of `bind_chunk` tokens. A query is
answered by the weights from before its own chunk; nearer tokens are seen by a sliding
window, which has the same queries, keys and values and whose answer is added.

This is a mixer like the others: what is learned is the mixer's state, not the model's
`fast` weights, and the next token has no part in the inner loss.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import (
    MLP,
    RMSNorm,
    at_least_float32,
    build_norm,
    linear,
    normal,
    rotate,
)
from ttt_core.mixers.attention import PROJECTION_CUTS, Recent
from ttt_core.mixers.binding import (
    Bound,
    Pairs,
    blank_memory,
    first_bound,
    read_on,
    read_whole,
    to_length_one,
)
from ttt_core.mixers.convolution import (
    ResidualConvolution,
    convolve,
    residual_filters,
)
from ttt_core.mixers.cost import inner_keys_flops, keys_flops
from ttt_core.mixers.kind import Cut, Kind, check_expand
from ttt_core.mixers.window import WindowState, check_window, empty_window, look_back
from ttt_core.shapes import DType, Hidden


RATE_OF_A_CHUNK = 2.048  # LaCT starts with 0.001 a token in chunks of 2,048


class BindingState(eqx.Module):
    """What is remembered: by the memory, and by the window."""

    far: Bound
    near: WindowState


class Affine(eqx.Module):
    """`x @ weight + bias`, one number a head or several."""

    w_heads: Float[Array, "*stack d_model width"]
    bias: Float[Array, "*stack width"]

    def __call__(self, x: Float[Array, "seq d_model"]) -> Float[Array, "seq width"]:
        return at_least_float32(linear(x, self.w_heads)) + self.bias[None]


class KVBinding(eqx.Module):
    """The LaCT layer: a memory and a sliding window on the same keys and values.

    `scale` and `offset` are the memory's own, of queries and of keys; `share` says how
    much of the memory's answer is added to the window's.
    """

    wq: Float[Array, "*stack d_model width"]
    wk: Float[Array, "*stack d_model width"]
    wv: Float[Array, "*stack d_model width"]
    wo: Float[Array, "*stack width d_model"]
    q_norm: RMSNorm | None
    k_norm: RMSNorm | None
    filters: tuple[ResidualConvolution, ...]
    scale: Float[Array, "*stack two width"]
    offset: Float[Array, "*stack two width"]
    start: MLP
    rates: Affine
    kept: Affine
    share: Affine
    norm: RMSNorm
    bind_chunk: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    rope_theta: float = eqx.field(static=True)
    kernel: str = eqx.field(static=True)

    def init_state(self, capacity: int, dtype: DType) -> BindingState:
        """The trained start, nothing bound. `capacity` is ignored."""
        del capacity
        heads, head_dim, _ = self.start.gate.shape
        far = first_bound(self.start, self.bind_chunk, dtype)
        recent = tuple(one.init_recent(dtype) for one in self.filters)
        near = empty_window(self.window, heads, head_dim, dtype, recent)
        return BindingState(far, near)

    def __call__(
        self, x: Hidden, state: BindingState | None
    ) -> tuple[Hidden, BindingState | None]:
        """Read `x` after all that `state` remembers; see `ttt_core.mixers`."""
        far, near = (None, None) if state is None else (state.far, state.near)
        *projected, recent = self._project(x, None if near is None else near.recent)
        cut = lambda a: a.astype(x.dtype).reshape(len(x), len(self.start.gate), -1)
        seen, near = look_back(
            *map(cut, projected),
            near,
            recent,
            window=self.window,
            theta=self.rope_theta,
            kernel=self.kernel,
        )
        position = jnp.zeros((), jnp.int32) if far is None else far.position
        queries, pairs = self._ask(x, *projected, position)
        if far is None:
            memory = blank_memory(self.start)
            said = read_whole(memory, queries, pairs, self.start, self.bind_chunk)
        else:
            said, far = read_on(far, queries, pairs, self.start)
        # `seen` and `said`: [seq, heads, head_dim]
        said = self.norm(said) * jax.nn.silu(self.share(x))[..., None]
        y = linear((seen + said.astype(x.dtype)).reshape(len(x), -1), self.wo)
        return y, None if state is None else BindingState(far, near)

    def _project(
        self, x: Hidden, recent: Recent | None
    ) -> tuple[
        Float[Array, "seq width"],
        Float[Array, "seq width"],
        Float[Array, "seq width"],
        Recent,
    ]:
        """Queries, keys and values for both, and what the next call needs."""
        projected = [linear(x, w) for w in (self.wq, self.wk, self.wv)]
        if self.filters:
            start = tuple(one.init_recent(x.dtype) for one in self.filters)
            before = start if recent is None else recent
            projected, recent = convolve(self.filters, projected, before)
        q, k, v = map(at_least_float32, projected)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        return q, k, v, recent or ()

    def _ask(
        self,
        x: Hidden,
        q: Float[Array, "seq width"],
        k: Float[Array, "seq width"],
        v: Float[Array, "seq width"],
        position: Int[Array, ""],
    ) -> tuple[Float[Array, "seq heads head_dim"], Pairs]:
        """The memory's queries and what the memory is to learn."""
        scale, offset = self.scale[:, None], self.offset[:, None]  # [two, 1, width]
        q, k = q * scale[0] + offset[0], k * scale[1] + offset[1]
        heads = len(self.start.gate)
        cut = lambda a: jax.nn.silu(a).reshape(len(x), heads, -1)
        at = position + jnp.arange(len(x), dtype=jnp.int32)
        turn = lambda a: rotate(to_length_one(cut(a)), at, self.rope_theta)
        rates = jax.nn.softplus(self.rates(x)).reshape(len(x), heads, 3)
        kept = jax.nn.sigmoid(self.kept(x))
        return turn(q), Pairs(turn(k), cut(v), rates, kept)


def build_kv_binding(config: ModelConfig, *, key: PRNGKeyArray) -> KVBinding:
    """A KV-binding mixer: each of `heads` has an MLP of `expand * head_dim` units."""
    d, heads, std, width = (
        config.d_model,
        config.heads,
        config.init_std,
        config.head_dim,
    )
    hidden = round(config.expand * width)
    kq, kk, kv, ko, *k_mlp, k_rates, k_kept, k_share = jax.random.split(key, 10)
    norm = build_norm(d, config.norm_eps, config.qk_gain) if config.qk_norm else None
    affine = lambda key, many, bias: Affine(
        normal(key, (d, many), std), bias + jnp.zeros(many)
    )
    into, back = (heads, width, hidden), (heads, hidden, width)
    rate = RATE_OF_A_CHUNK / config.bind_every
    return KVBinding(
        wq=normal(kq, (d, d), std),
        wk=normal(kk, (d, d), std),
        wv=normal(kv, (d, d), std),
        wo=normal(ko, (d, d), std),
        q_norm=norm,
        k_norm=norm,
        filters=residual_filters(config.qkv_taps, (d, d, d)),
        scale=jnp.ones((2, d)),
        offset=jnp.zeros((2, d)),
        start=MLP(
            gate=normal(k_mlp[0], into, width**-0.5),
            up=normal(k_mlp[1], into, width**-0.5),
            down=normal(k_mlp[2], back, hidden**-0.5),
        ),
        rates=affine(k_rates, 3 * heads, math.log(math.expm1(rate))),
        kept=affine(k_kept, heads, 0.0),
        share=affine(k_share, heads, 0.0),
        norm=build_norm(width, config.norm_eps),
        bind_chunk=config.bind_every,
        window=config.window,
        rope_theta=config.rope_theta,
        kernel=config.kernel,
    )


def _check(config: ModelConfig):
    check_window(config)
    check_expand(config, config.head_dim, "the head width")
    if config.bind_every > config.window:
        raise ValueError(
            f"`bind_chunk` must not exceed `window`, or tokens leave the window before "
            f"they are bound: got bind_chunk={config.bind_every}, "
            f"window={config.window}; use bind_chunk <= {config.window}."
        )


def _weights(config: ModelConfig) -> int:
    d, hidden = config.d_model, round(config.expand * config.head_dim)
    mlps = 3 * d * hidden
    per_head = 5 * d * config.heads  # rates, kept, share
    return 4 * d**2 + mlps + per_head + 4 * d + 3 * config.qkv_taps * d


def _projection_flops(config: ModelConfig) -> int:
    """Of a token: `2 d (4 d + 5 heads + 3 taps)`."""
    d = config.d_model
    return 2 * d * (4 * d + 5 * config.heads + 3 * config.qkv_taps)


def _answer_flops(config: ModelConfig) -> int:
    """Of a token: `6 d w`, `w` = the hidden width of a head's MLP."""
    return round(6 * config.expand * config.d_model * config.head_dim)


def _bound(config: ModelConfig, tokens: int) -> int:
    """How many of `tokens` are bound; the last chunk's update is never used."""
    every = config.bind_every
    return max((-(-tokens // every) - 1) * every, 0)


def _flops(config: ModelConfig, tokens: int) -> int:
    """An answer for each token, two more for each that is bound; and the window."""
    memory = _answer_flops(config) * (tokens + 2 * _bound(config, tokens))
    near = keys_flops(config, tokens, config.window)
    return tokens * _projection_flops(config) + memory + near


def _inner_flops(config: ModelConfig, tokens: int) -> int:
    """Answers once: until the chunk is bound, the memory's weights are data."""
    chunks, bound = tokens // config.chunk, _bound(config, config.chunk)
    after = config.chunk - config.bind_every if bound else 0
    memory = _answer_flops(config) * (tokens + chunks * (4 * bound + after))
    near = inner_keys_flops(config, tokens, config.window)
    return tokens * _projection_flops(config) + memory + near


KV_BINDING = Kind(
    name="kv_binding",
    title="TTT-KVB",
    build=build_kv_binding,
    check=_check,
    least={"window": 1, "bind_chunk": 0},
    reach=lambda config: None,
    weights=_weights,
    flops=_flops,
    inner_flops=_inner_flops,
    cuts=PROJECTION_CUTS
    | {
        "scale": Cut(-1, "heads"),
        "offset": Cut(-1, "heads"),
        "gate": Cut(-1),
        "up": Cut(-1),
        "down": Cut(-2),
        "w_heads": Cut(-1, "heads"),
        "bias": None,
        "kernel": Cut(-1),
    },
    is_recurrent=True,
    remark="learns keys, not text",
)
