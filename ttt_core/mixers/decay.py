"""How fast recurrent mixers forget: a decay for each head and token, as in Mamba.

    log decay = -exp(log_rate) * step,        step = softplus(x w_dt + dt_bias)

`fading` is what a chunked form needs of the decay: how much of each token is left at
each later one. Sums of logarithms are taken first, so that nothing is divided by a
vanishing product.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ttt_core.mixers.kind import Cut


CHUNK = 64  # tokens that a chunked form takes at once: products as large as a head
DECAY_CUTS = {"w_dt": Cut(-1, "heads"), "decay_log": None, "dt_bias": None}


def draw_decay(
    heads: int, *, key: PRNGKeyArray
) -> tuple[Float[Array, " heads"], Float[Array, " heads"]]:
    """`(decay_log, dt_bias)` from Mamba 2's published distributions.

    Rates are uniform in 1 to 16, steps log-uniform in 0.001 to 0.1, so that the heads'
    memories begin between one token and a thousand.
    """
    k_rate, k_step = jax.random.split(key)
    rate = jax.random.uniform(k_rate, (heads,), minval=1.0, maxval=16.0)
    low, high = math.log(1e-3), math.log(1e-1)
    step = jnp.exp(jax.random.uniform(k_step, (heads,), minval=low, maxval=high))
    return jnp.log(rate), step + jnp.log(-jnp.expm1(-step))


def fading(total: Float[Array, "*n chunk"]) -> Float[Array, "*n chunk chunk"]:
    """`exp(total[i] - total[j])` where `j <= i`, else 0: what is left of `j` at `i`.

    `total` is the sum of log decays up to each token, itself included.
    """
    gap = total[..., :, None] - total[..., None, :]  # [*n, later, earlier]
    causal = np.tril(np.ones((total.shape[-1],) * 2, bool))
    # the mask comes before the exponential, which would overflow for later tokens
    return jnp.exp(jnp.where(causal, gap, -jnp.inf))


def into_chunks(a: Float[Array, "seq ..."], chunk: int) -> Float[Array, "n chunk ..."]:
    """A sequence in chunks, zeros after its end."""
    pad = [(0, -len(a) % chunk)] + [(0, 0)] * (a.ndim - 1)
    return jnp.pad(a, pad).reshape(-1, chunk, *a.shape[1:])
