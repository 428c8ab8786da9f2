"""The short causal convolution that recurrent mixers read their inputs through.

    y[t] = silu(bias + sum_i kernel[i] * x[t - taps + 1 + i])        channel by channel

A recurrence alone is slow to notice what stands directly before a token; a few taps
are not. The last `taps - 1` inputs are state.
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
        taps, channels = self.kernel.shape
        return jnp.zeros((taps - 1, channels), dtype)

    def __call__(
        self, x: Float[Array, "seq channels"], recent: Float[Array, "past channels"]
    ) -> tuple[Float[Array, "seq channels"], Float[Array, "past channels"]]:
        """The filtered `x`, and the inputs that the next call needs."""
        taps, seq = len(self.kernel), len(x)
        known = jnp.concatenate([recent, x])
        kernel = self.kernel.astype(x.dtype)
        y = sum(kernel[i : i + 1] * known[i : i + seq] for i in range(taps))
        if self.bias is not None:
            y = y + self.bias.astype(x.dtype)[None]
        return jax.nn.silu(y), known[seq:]


def convolve(
    filters: tuple[ShortConvolution, ...],
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
