"""A twin in Flax NNX: our Transformer once more, from another library's layers.

    from lab.interop import flax
    logits = flax.twin(model)(tokens)          # [batch, seq] -> [batch, seq, vocab]

Embedding, linear maps, RMSNorm and attention are Flax's own; masks and rotary positions
are written here in their plainest form. The twin shares only the weights with
`ttt_core`, so equal logits are a second opinion on our Transformer. It is also an
export: an `nnx.Module` for other programs that are built on Flax.

The twin has sliding windows and full attention, reads whole sequences, and does not
learn while reading: a fast MLP is an MLP that keeps its trained start.
"""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.attention import dot_product_attention_weights
from jaxtyping import Array, Float, Int

from ttt_core import ModelConfig, Transformer
from ttt_core.mixers import kinds_of
from ttt_core.model import unstack
from ttt_core.shapes import PyTree


class Attention(nnx.Module):
    """Causal attention over the last `window` keys (None = all), rotary, normed.

    `make`, here and below: arguments of every Flax layer, `rngs` and `param_dtype`.
    """

    def __init__(self, config: ModelConfig, window: int | None, **make):
        d, width = config.d_model, config.head_dim
        project = lambda heads: nnx.LinearGeneral(
            d, (heads, width), use_bias=False, **make
        )
        self.query = project(config.heads)
        self.key = project(config.kv_heads)
        self.value = project(config.kv_heads)
        self.out = nnx.LinearGeneral(
            (config.heads, width), d, axis=(-2, -1), use_bias=False, **make
        )
        filters = lambda heads: nnx.Conv(
            heads * width,
            heads * width,
            kernel_size=(config.qkv_taps,),
            feature_group_count=heads * width,
            padding="CAUSAL",
            use_bias=False,
            **make,
        )
        many = (config.heads, config.kv_heads, config.kv_heads)
        self.filters = nnx.List(map(filters, many if config.qkv_taps else ()))
        norm = lambda: nnx.RMSNorm(width, epsilon=config.norm_eps, **make)
        self.query_norm = norm() if config.qk_norm else None
        self.key_norm = norm() if config.qk_norm else None
        self.group = config.heads // config.kv_heads
        self.theta, self.window = config.rope_theta, window

    def __call__(self, x: Float[Array, "batch seq d_model"]):
        """The attended `x`, same shape."""
        q, k, v = self.query(x), self.key(x), self.value(x)
        if self.filters:
            pairs = zip(self.filters, (q, k, v), strict=True)
            q, k, v = (
                a + near(a.reshape(*x.shape[:2], -1)).reshape(a.shape)
                for near, a in pairs
            )
        if self.query_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        q, k = rotate(q, self.theta), rotate(k, self.theta)
        k, v = (jnp.repeat(a, self.group, axis=2) for a in (k, v))
        back = jnp.arange(x.shape[1])[:, None] - jnp.arange(x.shape[1])[None, :]
        seen = back >= 0 if self.window is None else (back >= 0) & (back < self.window)
        # `nnx.dot_product_attention` itself calls JAX's, whose softmax is in float32
        # whatever the other precisions are.
        weights = dot_product_attention_weights(q, k, mask=seen[None, None])
        return self.out(jnp.einsum("bhqk,bkhd->bqhd", weights, v))


class GatedMLP(nnx.Module):
    """SwiGLU from three linear maps."""

    def __init__(self, d_model: int, width: int, **make):
        into = lambda: nnx.Linear(d_model, width, use_bias=False, **make)
        self.gate, self.up = into(), into()
        self.down = nnx.Linear(width, d_model, use_bias=False, **make)

    def __call__(self, x: Float[Array, "batch seq d_model"]):
        """The mapped `x`, same shape."""
        return self.down(nnx.silu(self.gate(x)) * self.up(x))


class Residual(nnx.Module):
    """`x + post(branch(pre(x)))`."""

    def __init__(self, branch: nnx.Module, config: ModelConfig, **make):
        norm = lambda: nnx.RMSNorm(config.d_model, epsilon=config.norm_eps, **make)
        self.branch, self.pre = branch, norm()
        self.post = norm() if config.post_norm else None

    def __call__(self, x: Float[Array, "batch seq d_model"]):
        """`x` plus the output of the branch."""
        y = self.branch(self.pre(x))
        return x + (y if self.post is None else self.post(y))


class Twin(nnx.Module):
    """The whole model: residual branches one after another, a norm, logits."""

    def __init__(self, config: ModelConfig, **make):
        self.embed = nnx.Embed(config.vocab, config.d_model, **make)
        self.branches = nnx.List(_branches(config, make))
        self.norm = nnx.RMSNorm(config.d_model, epsilon=config.norm_eps, **make)
        shape = (config.d_model, config.vocab)
        self.head = None if config.tied else nnx.Linear(*shape, use_bias=False, **make)

    def __call__(
        self, tokens: Int[Array, "batch seq"]
    ) -> Float[Array, "batch seq vocab"]:
        """Next-token logits."""
        x = self.embed(tokens)
        for branch in self.branches:
            x = branch(x)
        x = self.norm(x)
        return self.embed.attend(x) if self.head is None else self.head(x)


def twin(model: Transformer) -> Twin:
    """The Flax module that computes the same as `model`, in the weights' precision.

    **Raises** `ValueError` for mixers other than sliding windows and full attention.

    >>> twin(model)(jnp.asarray([[model.config.bos, 17, 4]])).shape
    (1, 3, 4096)
    """
    config = model.config
    others = sorted({*config.kinds} - {"window", "full", "none"})
    others += [f for f in ("qkv_bias", "rope_factors") if getattr(config, f)]
    if others:
        raise ValueError(
            f"the Flax twin has no {' and no '.join(others)}; it is made of sliding "
            "windows and full attention, like tiny-swa and tiny-full."
        )
    precision = {"param_dtype": model.embed.dtype}
    copy = nnx.eval_shape(lambda: Twin(config, rngs=nnx.Rngs(0), **precision))
    copy.embed.embedding = nnx.Param(model.embed)
    copy.norm.scale = nnx.Param(model.final_norm.weight)
    if model.head is not None:
        copy.head.kernel = nnx.Param(model.head)
    for residual, (branch, around) in zip(copy.branches, _parts(model), strict=True):
        residual.pre.scale = nnx.Param(around.pre.weight)
        if around.post is not None:
            residual.post.scale = nnx.Param(around.post.weight)
        fill = _fill_attention if hasattr(branch, "projections") else _fill_mlp
        fill(residual.branch, branch)
    return copy


def rotate(
    x: Float[Array, "batch seq heads head_dim"], theta: float
) -> Float[Array, "batch seq heads head_dim"]:
    """Each pair `(x[2i], x[2i + 1])` turned by `position * theta^(-2i / head_dim)`."""
    seq, half = x.shape[1], x.shape[-1] // 2
    frequency = jnp.exp(-math.log(theta) / half * jnp.arange(half, dtype=x.dtype))
    angle = jnp.arange(seq, dtype=x.dtype)[:, None] * frequency[None]
    pairs = x.reshape(*x.shape[:-1], half, 2)
    turn = jax.lax.complex(jnp.cos(angle), jnp.sin(angle))[None, :, None]
    turned = jax.lax.complex(pairs[..., 0], pairs[..., 1]) * turn
    return jnp.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)


def _branches(config: ModelConfig, make: dict) -> list[Residual]:
    boundary = config.layers - config.fast_blocks
    mlp = lambda width: GatedMLP(config.d_model, width, **make)
    found = []
    for layer, kind in enumerate(kinds_of(config)):
        if kind.build:
            window = None if kind.reach(config) is None else config.window
            found.append(Attention(config, window, **make))
        if layer >= boundary:
            found.append(mlp(config.d_fast))
        if config.d_ff and not (layer >= boundary and config.in_place):
            found.append(mlp(config.d_ff))
    return [Residual(branch, config, **make) for branch in found]


def _parts(model: Transformer) -> Iterator[tuple[PyTree, PyTree]]:
    """`(weights of a branch, its norms)` in the order of the layers."""
    for block, fast_mlp in unstack(model):
        if block.mixer is not None:
            yield block.mixer, block.around_mixer
        if fast_mlp is not None:
            yield fast_mlp, block.around_fast
        if block.slow_mlp is not None:
            yield block.slow_mlp, block.around_slow


def _fill_attention(attention: Attention, mixer: PyTree):
    weights = mixer.projections
    for name, array in (("query", "wq"), ("key", "wk"), ("value", "wv")):
        layer, matrix = getattr(attention, name), getattr(weights, array)
        shape = (len(matrix), -1, weights.head_dim)
        layer.kernel = nnx.Param(matrix.reshape(shape))
    shape = (weights.heads, weights.head_dim, -1)
    attention.out.kernel = nnx.Param(weights.wo.reshape(shape))
    for layer, one in zip(attention.filters, weights.filters, strict=True):
        layer.kernel = nnx.Param(one.kernel[:, None])  # [taps, 1, channels]
    if weights.q_norm is not None:
        attention.query_norm.scale = nnx.Param(weights.q_norm.weight)
        attention.key_norm.scale = nnx.Param(weights.k_norm.weight)


def _fill_mlp(mlp: GatedMLP, weights: PyTree):
    for name in ("gate", "up", "down"):
        getattr(mlp, name).kernel = nnx.Param(getattr(weights, name))
