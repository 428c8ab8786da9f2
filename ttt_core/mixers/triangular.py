"""Unit lower triangular systems by matrix products alone, for any device.

The inverse of a matrix in halves is made of the inverses of its diagonal blocks:

    [[A, 0], [C, B]]^-1 = [[A^-1, 0], [-B^-1 C A^-1, B^-1]]

from blocks of four upwards, so that a system of 64 takes four rounds of small products.
This is substitution, as in LAPACK's solver: no high power of a matrix is taken, which
would lose all digits where keys are alike. LAPACK's own solver
(`jax.lax.linalg.triangular_solve`) is not used: with it a training on two CPU devices
of one process stood still for good.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


BASE = 4


def solve_unit_lower(
    matrix: Float[Array, "*n size size"], rhs: Float[Array, "*n size width"]
) -> Float[Array, "*n size width"]:
    """`x` with `(I + L) x = rhs`, `L` being what `matrix` has below its diagonal."""
    return inverse_unit_lower(jnp.tril(matrix, -1)) @ rhs


@jax.custom_jvp
def inverse_unit_lower(
    lower: Float[Array, "*n size size"],
) -> Float[Array, "*n size size"]:
    """`(I + lower)^-1` for a `lower` that is zero on its diagonal and above.

    Any `size`, which is padded to a power of two. Differentiable any number of times.
    """
    size = lower.shape[-1]
    whole = max(BASE, 1 << (size - 1).bit_length())
    edge = [(0, 0)] * (lower.ndim - 2) + [(0, whole - size)] * 2
    lower = jnp.pad(lower, edge)
    first = _diagonal_blocks(lower, BASE)  # [*n, blocks, BASE, BASE]
    one = jnp.broadcast_to(jnp.eye(BASE, dtype=lower.dtype), first.shape)
    inverses = (one - first) @ (one + first @ first)  # first^4 = 0
    while inverses.shape[-1] < whole:
        half = inverses.shape[-1]  # `inverses`: [*n, whole / half, half, half]
        above, below = inverses[..., ::2, :, :], inverses[..., 1::2, :, :]
        crossing = _diagonal_blocks(lower, 2 * half)[..., half:, :half]
        corner = -(below @ crossing @ above)  # [*n, whole / half / 2, half, half]
        top = jnp.concatenate([above, jnp.zeros_like(above)], -1)
        bottom = jnp.concatenate([corner, below], -1)
        inverses = jnp.concatenate([top, bottom], -2)
    return inverses[..., 0, :size, :size]


@inverse_unit_lower.defjvp
def _slope(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Float[Array, "*n size size"], Float[Array, "*n size size"]]:
    (lower,), (change,) = primals, tangents
    inverse = inverse_unit_lower(lower)
    return inverse, -(inverse @ change @ inverse)


def _diagonal_blocks(
    matrix: Float[Array, "*n whole whole"], size: int
) -> Float[Array, "*n blocks size size"]:
    starts = range(0, matrix.shape[-1], size)
    cut = [matrix[..., i : i + size, i : i + size] for i in starts]
    return jnp.stack(cut, axis=-3)
