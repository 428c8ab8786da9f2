"""Tapes: gradients of a matrix as the factors that they are products of.

A weight that is used in every step of a scan gets a gradient as large as itself in
every step. With a *tape*, a product only records its two factors, and the weight gets
the product of all of them once, after the scan:

    tapes = open_tape(weight, blank_tape(weight, (steps, rows), anchor))
    kept = stop_gradient(weight)        # its gradient is recorded on the tapes
    scan over the steps:  y = taped(x, kept, tapes[step])

`note` does the same for an inner gradient: its result is the factors themselves. All of
this serves `ttt_core.scale.low_rank`, and holds for one gradient within another.
"""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttt_core.shapes import PyTree


Rows: TypeAlias = Float[Array, "rows _"]
Tape: TypeAlias = tuple[Float[Array, "... _"], Float[Array, "... _"]]


@jax.custom_vjp
def note(x: Rows, y: Rows, probe: Tape) -> Rows:
    """`y`. The gradient of `probe` is `(x, cotangent of y)`: the factors of a gradient
    of the weight between the two."""
    del x, probe
    return y


note.defvjp(lambda x, y, probe: (y, x), lambda x, back: (None, back, (x, back)))


@jax.custom_vjp
def _product(x: Rows, weight: Float[Array, "_ _"], tape: Tape) -> Rows:
    """`x @ weight`. Its backward pass records `(x, cotangent)` on the tape and returns
    no gradient of the weight."""
    del tape
    return x @ weight


_product.defvjp(
    lambda x, weight, tape: (x @ weight, (x, weight)),
    lambda kept, back: (back @ kept[1].T, None, (kept[0], back)),
)


@jax.custom_vjp
def taped(x: Rows, weight: Float[Array, "_ _"], tapes: tuple[Tape, Tape]) -> Rows:
    """`_product` for an inner gradient within an outer one. The second tape is for the
    products with the transpose in the inner backward pass; the outer one records them.
    """
    return _product(x, weight, tapes[0])


def _taped_backward(kept, back):
    x, weight, tapes = kept
    # The inner gradient does not use what is recorded here; where there is only the
    # outer gradient, the second tape stays blank.
    return _product(back, weight.T, tapes[1]), None, ((x, back), (None, None))


# The first function must not call `taped`: the outer loop differentiates its result as
# it stands.
taped.defvjp(
    lambda x, weight, tapes: (_product(x, weight, tapes[0]), (x, weight, tapes)),
    _taped_backward,
)


@jax.custom_vjp
def open_tape(
    weight: Float[Array, "_ _"], blank: tuple[Tape, Tape]
) -> tuple[Tape, Tape]:
    """The tapes of a weight: `blank`. What they record in the end is its gradient."""
    del weight
    return blank


def _close_tape(_, tapes):
    (x, back), (x_of_transpose, back_of_transpose) = tapes
    rows = lambda *parts: jnp.concatenate(parts).reshape(-1, parts[0].shape[-1])
    return rows(x, back_of_transpose).T @ rows(back, x_of_transpose), None


open_tape.defvjp(lambda weight, blank: (blank, None), _close_tape)


def blank_tape(
    weight: Float[Array, "_ _"], leading: tuple[int, ...], anchor: Float[Array, ""]
) -> tuple[Tape, Tape]:
    """Unwritten tapes for `leading` rows of products with `weight` and its transpose.

    `anchor` is a zero that depends on every array (`anchor_of`): under `vmap` a tape
    must be batched where anything is, or the records of several would be summed.
    """
    zeros = lambda width: jnp.zeros((*leading, width), weight.dtype) + anchor
    d_in, d_out = weight.shape
    return (zeros(d_in), zeros(d_out)), (zeros(d_out), zeros(d_in))


def anchor_of(dtype: np.dtype, *trees: PyTree) -> Float[Array, ""]:
    """A zero that is batched under `vmap` where any array of the trees is."""
    first = [jnp.ravel(leaf)[0] for leaf in jax.tree.leaves(trees) if leaf.size]
    total = sum(jax.lax.stop_gradient(a).astype(dtype) for a in first)
    return jnp.where(False, total, 0)
