"""Short causal convolutions, channel by channel, that mixers read their inputs through.

    y[t] = silu(bias + sum_i kernel[i] * x[t - taps + 1 + i])        recurrent mixers
    y[t] = x[t] + sum_i kernel[i] * x[t - taps + 1 + i]              attention, if asked

A recurrence alone is slow to notice what stands directly before a token, and a head of
attention spends itself on finding it; a few taps do not. The last `taps - 1` inputs are
state. Attention with such filters on queries, keys and values is Primer's (arXiv
2109.08668); ours start at zero, so that the model starts as attention without them.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ttt_core.mixers.kind import Cut
from ttt_core.shapes import DType


FILTER_CUTS = {"kernel": Cut(-1), "bias": None}  # a channel is filtered by itself


class ShortConvolution(eqx.Module):
    """One filter of `taps` weights for each channel, and SiLU."""

    kernel: Float[Array, "*stack taps channels"]
    bias: Float[Array, "*stack channels"] | None

    def init_recent(self, dtype: DType) -> Float[Array, "past channels"]:
        """What stood before the first token: nothing."""
        return _nothing(self.kernel, dtype)

    def __call__(
        self, x: Float[Array, "seq channels"], recent: Float[Array, "past channels"]
    ) -> tuple[Float[Array, "seq channels"], Float[Array, "past channels"]]:
        """The filtered `x`, and the inputs that the next call needs."""
        y, recent = _filter(self.kernel, x, recent)
        if self.bias is not None:
            y = y + self.bias.astype(x.dtype)[None]
        return jax.nn.silu(y), recent


class ResidualConvolution(eqx.Module):
    """One filter of `taps` weights for each channel, added to the input."""

    kernel: Float[Array, "*stack taps channels"]

    def init_recent(self, dtype: DType) -> Float[Array, "past channels"]:
        """What stood before the first token: nothing."""
        return _nothing(self.kernel, dtype)

    def __call__(
        self, x: Float[Array, "seq channels"], recent: Float[Array, "past channels"]
    ) -> tuple[Float[Array, "seq channels"], Float[Array, "past channels"]]:
        """`x` and what its filter adds, and the inputs that the next call needs."""
        y, recent = _filter(self.kernel, x, recent)
        return x + y, recent


def _nothing(
    kernel: Float[Array, "taps channels"], dtype: DType
) -> Float[Array, "past channels"]:
    taps, channels = kernel.shape
    return jnp.zeros((taps - 1, channels), dtype)


def _filter(
    kernel: Float[Array, "taps channels"],
    x: Float[Array, "seq channels"],
    recent: Float[Array, "past channels"],
) -> tuple[Float[Array, "seq channels"], Float[Array, "past channels"]]:
    """The weighted sums of the last `taps` inputs, and the newest `taps - 1` inputs."""
    taps, seq = len(kernel), len(x)
    known = jnp.concatenate([recent, x])
    kernel = kernel.astype(x.dtype)
    y = sum(kernel[i : i + 1] * known[i : i + seq] for i in range(taps))
    return y, known[seq:]


def convolve(
    filters: tuple[ShortConvolution | ResidualConvolution, ...],
    inputs: Sequence[Float[Array, "seq _"]],
    recent: tuple[Float[Array, "past _"], ...],
) -> tuple[list[Float[Array, "seq _"]], tuple[Float[Array, "past _"], ...]]:
    """Each input through its own filter: the outputs, and what the next call needs."""
    streams = zip(filters, inputs, recent, strict=True)
    pairs = [filtered(x, before) for filtered, x, before in streams]
    return [y for y, _ in pairs], tuple(after for _, after in pairs)


def build_convolution(
    taps: int, channels: int, *, bias: bool, key: PRNGKeyArray
) -> ShortConvolution:
    """A filter from the uniform distribution that PyTorch draws its own from.

    Normal(0, init_std), which all other matrices start from, would let nothing through:
    a channel has only four weights.
    """
    k_kernel, k_bias = jax.random.split(key)
    bound = taps**-0.5
    draw = lambda key, shape: jax.random.uniform(
        key, shape, minval=-bound, maxval=bound
    )
    kernel = draw(k_kernel, (taps, channels))
    return ShortConvolution(kernel, draw(k_bias, (channels,)) if bias else None)


def residual_filters(
    taps: int, widths: Sequence[int]
) -> tuple[ResidualConvolution, ...]:
    """Filters for attention's queries, keys and values that add nothing yet.

    Empty for `taps = 0`.
    """
    if not taps:
        return ()
    return tuple(ResidualConvolution(jnp.zeros((taps, width))) for width in widths)
