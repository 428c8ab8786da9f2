"""Sliding-window attention by a fused kernel: faster where it exists, differentiable
once.

Whole sequences pass only through blocks below the first fast one, which are
differentiated once; there such a kernel may serve (`ttt_core.mixers.window.look_back`).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttt_core.layers import Rope, rotate


def fused_attention(
    q: Float[Array, "seq heads head_dim"],
    k: Float[Array, "seq kv_heads head_dim"],
    v: Float[Array, "seq kv_heads head_dim"],
    *,
    window: int,
    theta: Rope,
    kernel: str,
) -> Float[Array, "seq heads head_dim"]:
    """Sliding-window attention of a whole sequence by a fused kernel, once
    differentiable.

    `kernel="cudnn"` needs an NVIDIA GPU and bfloat16; "xla" is the same call anywhere
    (used by the tests to check the call itself).
    """
    position = jnp.arange(len(q))
    q, k = rotate(q, position, theta), rotate(k, position, theta)
    return jax.nn.dot_product_attention(
        q,
        k,
        v,
        is_causal=True,
        local_window_size=(window - 1, 0),
        implementation=kernel,
    )
