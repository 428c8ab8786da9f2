"""Sliding-window attention: each token sees the last `window` keys, itself included.

One function serves training, streaming and decoding: the state holds the last `window`
keys and values (normed, not yet rotated), the call brings `seq` new ones. Queries are
cut into blocks, and each block meets only the band of keys in its reach, so that work
grows with `seq * window` and not `seq^2`:

    keys     | state (window) | block 0 | block 1 | block 2 |
    band of block 1      [~~~~~~~~~~~~~~~~~~~~]

Rotary positions count from the start of the state. Only differences matter to
attention, so a window far into a stream is as exact as the first one.

`windowed_attention_reference` is the plain masked form, and the tests' yardstick.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

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
from ttt_core.scale.fused import fused_attention
from ttt_core.shapes import DType, Hidden


class WindowState(eqx.Module):
    """The last `window` keys and values; the newest `count` of them are real.

    `recent`: the last inputs of the short convolutions, if there are any.
    """

    keys: Float[Array, "*stack window kv_heads head_dim"]
    values: Float[Array, "*stack window kv_heads head_dim"]
    count: Int[Array, "*stack"]
    recent: Recent = ()


def empty_window(
    window: int, heads: int, head_dim: int, dtype: DType, recent: Recent = ()
) -> WindowState:
    """The state before the first token."""
    empty = jnp.zeros((window, heads, head_dim), dtype)
    return WindowState(empty, empty, jnp.zeros((), jnp.int32), recent)


class Window(eqx.Module):
    """Sliding-window attention with QK norm and rotary positions."""

    projections: Projections
    window: int = eqx.field(static=True)
    rope_theta: Rope = eqx.field(static=True)
    kernel: str = eqx.field(static=True)

    def init_state(self, capacity: int, dtype: DType) -> WindowState:
        """An empty window. `capacity` is ignored: the state never grows."""
        del capacity
        sizes = (self.projections.kv_heads, self.projections.head_dim)
        recent = self.projections.init_recent(dtype)
        return empty_window(self.window, *sizes, dtype, recent)

    def __call__(
        self, x: Hidden, state: WindowState | None
    ) -> tuple[Hidden, WindowState | None]:
        """Attend from each of `x` to at most `window` keys up to itself."""
        before = None if state is None else state.recent
        q, k, v, recent = self.projections(x, before)
        y, state = look_back(
            q,
            k,
            v,
            state,
            recent,
            window=self.window,
            theta=self.rope_theta,
            kernel=self.kernel,
        )
        return self.projections.merge_heads(y), state


def build_window(config: ModelConfig, *, key: PRNGKeyArray) -> Window:
    """A sliding-window mixer of the configuration's sizes."""
    projections = build_projections(config, key=key)
    return Window(projections, config.window, config.rope, config.kernel)


def look_back(
    q: Float[Array, "seq heads head_dim"],
    k: Float[Array, "seq kv_heads head_dim"],
    v: Float[Array, "seq kv_heads head_dim"],
    state: WindowState | None,
    recent: Recent = (),
    *,
    window: int,
    theta: Rope,
    kernel: str,
) -> tuple[Float[Array, "seq heads head_dim"], WindowState | None]:
    """What each query finds in the last `window` keys, and the window afterwards.

    `recent` is handed on in the window's state.

    `state=None`: a whole sequence, and no state is handed on. There a fused kernel may
    serve: such a kernel has no second derivative, and whole sequences pass only through
    blocks that are differentiated once.
    """
    if state is None and kernel != "xla":
        return fused_attention(q, k, v, window=window, theta=theta, kernel=kernel), None
    if state is None:  # no key lies further back than the sequence is long
        window = min(window, len(q))
    before = empty_window(window, *k.shape[1:], k.dtype) if state is None else state
    keys = jnp.concatenate([before.keys, k])
    values = jnp.concatenate([before.values, v])
    y = windowed_attention(q, keys, values, before.count, theta=theta)
    if state is None:
        return y, None
    count = jnp.minimum(state.count + len(q), window)
    return y, WindowState(keys[-window:], values[-window:], count, recent)


class Band(NamedTuple):
    """Queries cut into blocks, and for each block the keys and values in its reach.

    `q [heads, blocks, block, head_dim]`; `keys`, `values [kv_heads, blocks, band,
    head_dim]`, queries and keys rotated; `mask [blocks, block, band]`.
    """

    q: Float[Array, "heads blocks block head_dim"]
    keys: Float[Array, "kv_heads blocks band head_dim"]
    values: Float[Array, "kv_heads blocks band head_dim"]
    mask: Bool[Array, "blocks block band"]


def windowed_attention(
    q: Float[Array, "seq heads head_dim"],
    keys: Float[Array, "total kv_heads head_dim"],
    values: Float[Array, "total kv_heads head_dim"],
    count: Int[Array, ""],
    *,
    theta: Rope,
) -> Float[Array, "seq heads head_dim"]:
    """Banded sliding-window attention, exact and twice differentiable.

    `total = window + seq`: the state's keys and the call's own. Of the first `window`
    keys the last `count` are real.
    """
    *pieces, mask = banded(q, keys, values, count, theta=theta)
    y = map_blocks(attend, pieces, (mask,))  # [heads, blocks, block, head_dim]
    return y.reshape(len(y), -1, y.shape[-1])[:, : len(q)].swapaxes(0, 1)


def banded(
    q: Float[Array, "seq heads head_dim"],
    keys: Float[Array, "total kv_heads head_dim"],
    values: Float[Array, "total kv_heads head_dim"],
    count: Int[Array, ""],
    *,
    theta: Rope,
) -> Band:
    """The blocks of `windowed_attention`, rotated, with what each of them sees."""
    seq, window = len(q), len(keys) - len(q)
    block = min(seq, query_block(window))
    blocks, back = -(-seq // block), -(-window // block) * block
    after = blocks * block - seq
    q = rotate(q, np.arange(window, window + seq), theta)
    keys = rotate(keys, np.arange(window + seq), theta)

    q, keys, values = (a.swapaxes(0, 1) for a in (q, keys, values))  # heads first
    q = _pad_axis(q, 0, after)
    q = q.reshape(len(q), blocks, block, -1)  # [heads, blocks, block, head_dim]
    # band = back + block keys; each of keys and values [kv_heads, blocks, band, ...]
    bands = [_bands(a, back - window, after, block, blocks) for a in (keys, values)]

    distance = np.arange(back, back + block)[:, None] - np.arange(back + block)
    in_window = jnp.asarray((distance >= 0) & (distance < window))  # [block, band]
    index = np.arange(blocks)[:, None] * block + np.arange(back + block)
    is_real = jnp.asarray(index, count.dtype) >= back - count  # [blocks, band]
    return Band(q, *bands, in_window[None] & is_real[:, None, :])


def query_block(window: int) -> int:
    """Queries per band. Half a window wastes a third of the band; more wastes more."""
    return int(np.clip(window // 2, 16, 512))


def _pad_axis(
    a: Float[Array, "heads rows width"], before: int, after: int
) -> Float[Array, "heads padded width"]:
    return jnp.pad(a, ((0, 0), (before, after), (0, 0)))


def _bands(
    a: Float[Array, "heads total width"],
    before: int,
    after: int,
    block: int,
    blocks: int,
) -> Float[Array, "heads blocks band width"]:
    """The keys in reach of each block of queries, one band a block."""
    a = _pad_axis(a, before, after)
    if blocks == 1:  # a chunk or a token: its band is all there is
        return a[:, None]
    a = a.reshape(len(a), -1, block, a.shape[-1])  # [heads, rows, block, width]
    shifts = [a[:, i : i + blocks] for i in range(a.shape[1] - blocks + 1)]
    return jnp.concatenate(shifts, axis=2)


def map_blocks(
    function: Callable,
    pieces: Sequence[Float[Array, "_ blocks _ _"]],
    masks: Sequence[Bool[Array, "blocks block _"]],
    limit: int = 2**27,
) -> Float[Array, "heads blocks block head_dim"]:
    """All blocks at once, or one after the other where their scores would not fit.

    `function(*pieces, *masks)` of one block. The first piece holds the queries, the
    first mask a column for each key of the band.
    """
    heads, blocks, block, _ = pieces[0].shape
    axes = (1,) * len(pieces) + (0,) * len(masks)
    if blocks * block * heads * masks[0].shape[-1] <= limit:
        return jax.vmap(function, axes, 1)(*pieces, *masks)
    one = jax.checkpoint(lambda block: function(*block))
    pieces = [jnp.moveaxis(a, 1, 0) for a in pieces]  # [blocks, heads, ...]
    return jnp.moveaxis(jax.lax.map(one, (*pieces, *masks)), 0, 1)


def windowed_attention_reference(
    q: Float[Array, "seq heads head_dim"],
    keys: Float[Array, "total kv_heads head_dim"],
    values: Float[Array, "total kv_heads head_dim"],
    count: Int[Array, ""],
    *,
    theta: Rope,
) -> Float[Array, "seq heads head_dim"]:
    """`windowed_attention` in its plain form: one mask over all queries and keys."""
    seq, window = len(q), len(keys) - len(q)
    position = jnp.arange(window + seq, dtype=count.dtype)
    q = rotate(q, position[window:], theta)
    keys = rotate(keys, position, theta)
    distance = position[window:, None] - position[None, :]  # [seq, total]
    is_real = position[None, :] >= window - count
    mask = (distance >= 0) & (distance < window) & is_real
    q, keys, values = (a.swapaxes(0, 1) for a in (q, keys, values))
    return attend(q, keys, values, mask).swapaxes(0, 1)


def reach_back(config: ModelConfig) -> int:
    """Tokens back that a window sees: its keys, and what their filters look back."""
    return config.window - 1 + max(0, config.qkv_taps - 1)


def check_window(config: ModelConfig):
    """Refuse sizes that a sliding window cannot have.

    **Raises** `ValueError` for an odd head width or a chunk longer than the window.
    """
    check_rotary(config)
    if config.chunk > config.window:
        raise ValueError(
            f"`chunk` must not exceed `window`, or tokens leave the window before "
            f"they are learned from: got chunk={config.chunk}, window={config.window}; "
            f"use chunk <= {config.window}."
        )


WINDOW = Kind(
    name="window",
    title="sliding window",
    build=build_window,
    check=check_window,
    least={"window": 1},
    reach=reach_back,
    weights=count_weights,
    flops=lambda config, n: attention_flops(config, n, config.window),
    inner_flops=lambda config, n: inner_attention_flops(config, n, config.window),
    cuts=PROJECTION_CUTS,
)
