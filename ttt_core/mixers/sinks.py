"""A sliding window with attention sinks: the first tokens of a text stay visible.

A pretrained model's heads lay what attention they do not need on the first tokens of
the text (arXiv 2309.17453). A window that drops these *sinks* breaks the model; four of
them kept are nearly all that it needs. With `window` keys and `sinks` first tokens
every token sees at most `window + sinks` keys:

    sinks | not seen ............ | window | query
    0  1  |                       | 8 9 10 | 10

While the text is shorter than the window this is full attention. Beyond, a sink is as
far away as if it stood right before the window, so positions never exceed `window +
sinks`, however long the stream. Keys and values of the sinks are kept apart from those
of the window, as one more row of scores in the same softmax.

`sinks_reference` is the plain masked form, and the tests' yardstick.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import Rope, rotate
from ttt_core.mixers.attention import (
    PROJECTION_CUTS,
    Projections,
    build_projections,
    masked_scores,
)
from ttt_core.mixers.cost import (
    attention_flops,
    count_weights,
    inner_attention_flops,
)
from ttt_core.mixers.kind import Kind
from ttt_core.mixers.window import (
    WindowState,
    banded,
    check_window,
    empty_window,
    map_blocks,
    reach_back,
)
from ttt_core.shapes import DType, Hidden


class Sinks(eqx.Module):
    """Keys (normed, not rotated) and values of a text's first tokens.

    `seen`: tokens read so far, counted up to `window + sinks`; the first `seen` rows
    are real.
    """

    keys: Float[Array, "*stack sinks kv_heads head_dim"]
    values: Float[Array, "*stack sinks kv_heads head_dim"]
    seen: Int[Array, "*stack"]


class SinksState(eqx.Module):
    """The last `window` keys and values, and the first `sinks`."""

    near: WindowState
    first: Sinks


class WindowWithSinks(eqx.Module):
    """Sliding-window attention that never loses sight of the first tokens."""

    projections: Projections
    window: int = eqx.field(static=True)
    sinks: int = eqx.field(static=True)
    rope_theta: Rope = eqx.field(static=True)

    def init_state(self, capacity: int, dtype: DType) -> SinksState:
        """Nothing read yet. `capacity` is ignored: the state never grows."""
        del capacity
        sizes = (self.projections.kv_heads, self.projections.head_dim)
        recent = self.projections.init_recent(dtype)
        empty = jnp.zeros((self.sinks, *sizes), dtype)
        first = Sinks(empty, empty, jnp.zeros((), jnp.int32))
        return SinksState(empty_window(self.window, *sizes, dtype, recent), first)

    def __call__(
        self, x: Hidden, state: SinksState | None
    ) -> tuple[Hidden, SinksState | None]:
        """Attend from each of `x` to the window before it and to the text's start."""
        before = self.init_state(0, x.dtype) if state is None else state
        q, k, v, recent = self.projections(x, before.near.recent)
        first = _fill(before.first, k, v)
        keys = jnp.concatenate([before.near.keys, k])
        values = jnp.concatenate([before.near.values, v])
        y = sinks_attention(
            q, keys, values, before.near.count, first, theta=self.rope_theta
        )
        y = self.projections.merge_heads(y)
        if state is None:
            return y, None
        count = jnp.minimum(before.near.count + len(q), self.window)
        near = WindowState(keys[-self.window :], values[-self.window :], count, recent)
        seen = jnp.minimum(first.seen + len(q), self.window + self.sinks)
        return y, SinksState(near, Sinks(first.keys, first.values, seen))


def build_sinks(config: ModelConfig, *, key: PRNGKeyArray) -> WindowWithSinks:
    """A mixer of the configuration's sizes."""
    projections = build_projections(config, key=key)
    sizes = config.window, config.sinks, config.rope
    return WindowWithSinks(projections, *sizes)


def _fill(
    first: Sinks,
    k: Float[Array, "seq kv_heads head_dim"],
    v: Float[Array, "seq kv_heads head_dim"],
) -> Sinks:
    """The sinks with those tokens of a call that are among the text's first.

    `seen` is left as it was: the position of the call's first token.
    """
    row = jnp.arange(len(first.keys), dtype=first.seen.dtype) - first.seen  # [sinks]
    is_new = ((row >= 0) & (row < len(k)))[:, None, None]
    pick = lambda new: jnp.take(new, jnp.clip(row, 0, len(k) - 1), axis=0)
    keys = jnp.where(is_new, pick(k), first.keys)
    return Sinks(keys, jnp.where(is_new, pick(v), first.values), first.seen)


def sinks_attention(
    q: Float[Array, "seq heads head_dim"],
    keys: Float[Array, "total kv_heads head_dim"],
    values: Float[Array, "total kv_heads head_dim"],
    count: Int[Array, ""],
    first: Sinks,
    *,
    theta: Rope,
) -> Float[Array, "seq heads head_dim"]:
    """Banded attention to the window and to the sinks, exact and twice differentiable.

    `total = window + seq`: the state's keys and the call's own, of which the first
    `window` hold `count` real ones. `first`: the sinks, those of this call included;
    its `seen` counts the tokens before this call.
    """
    seq, window, sinks = len(q), len(keys) - len(q), len(first.keys)
    index = jnp.arange(max(seq, sinks), dtype=first.seen.dtype)
    position, sink = first.seen + index[:seq], index[:sinks]
    far = rotate(q, jnp.minimum(position, window + sinks - 1), theta)
    # A sink that is still in the window is seen there.
    is_left = position[:, None] - sink[None, :] >= window  # [seq, sinks]
    band = banded(q, keys, values, count, theta=theta)
    blocks, block = band.q.shape[1:3]
    after = blocks * block - seq
    far = jnp.pad(far.swapaxes(0, 1), ((0, 0), (0, after), (0, 0)))
    far = far.reshape(len(far), blocks, block, -1)  # [heads, blocks, block, head_dim]
    is_left = jnp.pad(is_left, ((0, after), (0, 0))).reshape(blocks, block, sinks)
    away = rotate(first.keys, np.arange(sinks), theta).swapaxes(0, 1)
    held = first.values.swapaxes(0, 1)  # both [kv_heads, sinks, head_dim]

    def attend(q, far, k, v, mask, is_left):
        scores = masked_scores(q, k, mask), masked_scores(far, away, is_left)
        return _weighted(scores, (v, held))

    pieces = (band.q, far, band.keys, band.values)
    y = map_blocks(attend, pieces, (band.mask, is_left))
    return y.reshape(len(y), blocks * block, -1)[:, :seq].swapaxes(0, 1)


def _weighted(
    scores: tuple[Float[Array, "heads queries _"], ...],
    values: tuple[Float[Array, "kv_heads _ head_dim"], ...],
) -> Float[Array, "heads queries head_dim"]:
    """One softmax over rows of scores that lie apart, and the weighted values."""
    weights = jax.nn.softmax(jnp.concatenate(scores, axis=-1), axis=-1)
    cut, kv_heads = scores[0].shape[-1], len(values[0])
    parts = jnp.split(weights.astype(values[0].dtype), [cut], axis=-1)
    groups = [part.reshape(kv_heads, -1, part.shape[-1]) for part in parts]
    pairs = zip(groups, values, strict=True)
    y = sum(jnp.einsum("hqk,hkd->hqd", part, v) for part, v in pairs)
    return y.reshape(*weights.shape[:2], -1)


def sinks_reference(
    q: Float[Array, "seq heads head_dim"],
    keys: Float[Array, "seq kv_heads head_dim"],
    values: Float[Array, "seq kv_heads head_dim"],
    *,
    window: int,
    sinks: int,
    theta: Rope,
) -> Float[Array, "seq heads head_dim"]:
    """Attention of a whole text in its plain form: two masks over all pairs."""
    position = np.arange(len(q))
    distance = position[:, None] - position[None, :]  # [seq, seq]
    is_near = (distance >= 0) & (distance < window)
    is_sink = (distance >= window) & (position[None, :] < sinks)
    near = _plain_scores(q, keys, position, position, theta)
    close = np.minimum(position, window + sinks - 1)
    far = _plain_scores(q, keys, close, position, theta)
    scores = jnp.where(is_near, near, jnp.where(is_sink, far, -jnp.inf))
    weights = jax.nn.softmax(scores, axis=-1)  # [heads, seq, seq]
    held = jnp.repeat(values, q.shape[1] // values.shape[1], axis=1)
    return jnp.einsum("hqk,khd->qhd", weights, held)


def _plain_scores(
    q: Float[Array, "seq heads head_dim"],
    k: Float[Array, "seq kv_heads head_dim"],
    at: Int[np.ndarray, " seq"],
    of: Int[np.ndarray, " seq"],
    theta: Rope,
) -> Float[Array, "heads seq seq"]:
    """Scores of queries at positions `at` and keys at positions `of`."""
    q, k = rotate(q, at, theta), rotate(k, of, theta)
    k = jnp.repeat(k, q.shape[1] // k.shape[1], axis=1)
    return jnp.einsum("qhd,khd->hqk", q, k) * q.shape[-1] ** -0.5


def _sinks_flops(config: ModelConfig, tokens: int) -> int:
    """Scores and weighted values of the sinks that have left the window."""
    gone = np.arange(config.sinks) + config.window
    return 4 * config.heads * config.head_dim * int(np.maximum(0, tokens - gone).sum())


def _flops(config: ModelConfig, tokens: int) -> int:
    window = attention_flops(config, tokens, config.window)
    return window + _sinks_flops(config, tokens)


def _inner_flops(config: ModelConfig, tokens: int) -> int:
    """Queries and scores of the sinks; their keys and values are data to a chunk."""
    window = inner_attention_flops(config, tokens, config.window)
    return window + _sinks_flops(config, tokens)


SINKS = Kind(
    name="sinks",
    title="sliding window with attention sinks",
    build=build_sinks,
    check=check_window,
    least={"sinks": 1},
    reach=reach_back,
    weights=count_weights,
    flops=_flops,
    inner_flops=_inner_flops,
    cuts=PROJECTION_CUTS,
)
