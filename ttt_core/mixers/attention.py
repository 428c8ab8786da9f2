"""What both attention mixers share: projections, QK norm, and masked softmax attention.

Grouped-query attention is the general case: `heads = kv_heads * group`. Keys are normed
before rotation and values are left as they are (paper-size models: section 4, "QK
norm").
"""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import RMSNorm, at_least_float32, build_norm, linear, normal
from ttt_core.mixers.convolution import (
    ResidualConvolution,
    convolve,
    residual_filters,
)
from ttt_core.mixers.kind import Cut
from ttt_core.shapes import DType, Hidden


# A head attends for itself: one sum over devices, after `wo`.
PROJECTION_CUTS = {
    "wq": Cut(-1, "heads"),
    "wk": Cut(-1, "kv_heads"),
    "wv": Cut(-1, "kv_heads"),
    "wo": Cut(-2, "heads"),
    "bq": Cut(-1, "heads"),
    "bk": Cut(-1, "kv_heads"),
    "bv": Cut(-1, "kv_heads"),
    "weight": None,
    "kernel": Cut(-1),  # a channel is filtered by itself
}


Recent: TypeAlias = tuple[Float[Array, "*stack past _"], ...]


class Projections(eqx.Module):
    """The weights of one attention layer, stored `[in, out]`.

    `filters`: short convolutions on queries, keys and values, or none. `bq bk bv`:
    biases of the three, None in all but pretrained models.
    """

    wq: Float[Array, "d_model q_width"]
    wk: Float[Array, "d_model kv_width"]
    wv: Float[Array, "d_model kv_width"]
    wo: Float[Array, "q_width d_model"]
    q_norm: RMSNorm | None
    k_norm: RMSNorm | None
    filters: tuple[ResidualConvolution, ...]
    heads: int = eqx.field(static=True)
    kv_heads: int = eqx.field(static=True)
    head_dim: int = eqx.field(static=True)
    bq: Float[Array, " q_width"] | None = None
    bk: Float[Array, " kv_width"] | None = None
    bv: Float[Array, " kv_width"] | None = None

    def init_recent(self, dtype: DType) -> Recent:
        """What the filters saw before the first token: nothing."""
        return tuple(one.init_recent(dtype) for one in self.filters)

    def __call__(
        self, x: Hidden, recent: Recent | None = None
    ) -> tuple[
        Float[Array, "seq heads head_dim"],
        Float[Array, "seq kv_heads head_dim"],
        Float[Array, "seq kv_heads head_dim"],
        Recent,
    ]:
        """Queries, keys and values, not yet rotated, and what the next call needs.

        `recent=None`: `x` starts a text.
        """
        q, k, v = (linear(x, w) for w in (self.wq, self.wk, self.wv))
        if self.bq is not None:
            biases = (self.bq, self.bk, self.bv)
            q, k, v = map(_add_bias, (q, k, v), biases)  # each [seq, width]
        if self.filters:
            recent = self.init_recent(x.dtype) if recent is None else recent
            (q, k, v), recent = convolve(self.filters, (q, k, v), recent)
        q = q.reshape(-1, self.heads, self.head_dim)
        k, v = (a.reshape(-1, self.kv_heads, self.head_dim) for a in (k, v))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        return q, k, v, recent or ()

    def merge_heads(self, y: Float[Array, "seq heads head_dim"]) -> Hidden:
        """All heads together, projected back to the residual stream."""
        return linear(y.reshape(-1, self.heads * self.head_dim), self.wo)


def build_projections(config: ModelConfig, *, key: PRNGKeyArray) -> Projections:
    """Projections from Normal(0, init_std); filters, if any, that add nothing yet."""
    d, width, std = config.d_model, config.head_dim, config.init_std
    kq, kk, kv, ko = jax.random.split(key, 4)
    gain, queries = config.qk_gain, config.heads * width
    keys = config.kv_heads * width
    norm = build_norm(width, config.norm_eps, gain) if config.qk_norm else None
    return Projections(
        wq=normal(kq, (d, queries), std),
        wk=normal(kk, (d, keys), std),
        wv=normal(kv, (d, keys), std),
        wo=normal(ko, (queries, d), std),
        q_norm=norm,
        k_norm=norm,
        filters=residual_filters(config.qkv_taps, (queries, keys, keys)),
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_dim=width,
        **_build_biases(config.qkv_bias, queries, keys),
    )


def _build_biases(wanted: bool, queries: int, keys: int) -> dict[str, Array]:
    """Biases that add nothing yet, if they are wanted."""
    widths = {"bq": queries, "bk": keys, "bv": keys} if wanted else {}
    return {name: jnp.zeros(width) for name, width in widths.items()}


def _add_bias(
    x: Float[Array, "seq width"], bias: Float[Array, " width"]
) -> Float[Array, "seq width"]:
    return x + jnp.broadcast_to(bias.astype(x.dtype), x.shape)


def attention_weights(
    q: Float[Array, "heads queries head_dim"],
    k: Float[Array, "kv_heads keys head_dim"],
    mask: Bool[Array, "queries keys"],
) -> Float[Array, "heads queries keys"]:
    """What share of each query's attention each key gets, in at least float32.

    Every query must be allowed at least one key by `mask`.
    """
    return jax.nn.softmax(masked_scores(q, k, mask), axis=-1)


def masked_scores(
    q: Float[Array, "heads queries head_dim"],
    k: Float[Array, "kv_heads keys head_dim"],
    mask: Bool[Array, "queries keys"],
) -> Float[Array, "heads queries keys"]:
    """Scaled scores in at least float32, `-inf` where `mask` does not allow a key."""
    heads, queries, head_dim = q.shape
    kv_heads, keys, _ = k.shape
    # the query heads of a group lie side by side: their rows meet the same keys
    rows = (q * head_dim**-0.5).reshape(kv_heads, -1, head_dim)
    scores = jnp.einsum("hqd,hkd->hqk", rows, k)  # [kv_heads, group * queries, keys]
    scores = scores.reshape(heads, queries, keys)
    return jnp.where(mask[None], at_least_float32(scores), -jnp.inf)


def attend(
    q: Float[Array, "heads queries head_dim"],
    k: Float[Array, "kv_heads keys head_dim"],
    v: Float[Array, "kv_heads keys head_dim"],
    mask: Bool[Array, "queries keys"],
) -> Float[Array, "heads queries head_dim"]:
    """Softmax attention of every query over the keys that `mask` allows it.

    Heads come first, so that both products are plain batched matrix products. Twice
    differentiable.
    """
    kv_heads, keys, _ = k.shape
    weights = attention_weights(q, k, mask).astype(v.dtype)
    weights = weights.reshape(kv_heads, -1, keys)  # [kv_heads, group * queries, keys]
    return jnp.einsum("hqk,hkd->hqd", weights, v).reshape(q.shape)


def check_rotary(config: ModelConfig):
    """Refuse heads that rotary positions cannot turn.

    **Raises** `ValueError` for an odd head width.
    """
    if config.head_dim % 2:
        named = "head_width" if config.head_width else "d_model / heads"
        raise ValueError(
            f"rotary positions need an even head width: got {named} = "
            f"{config.head_dim}; use fewer heads or another d_model."
        )
