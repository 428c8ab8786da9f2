"""Tapes: gradients of a matrix as the factors that they are products of.

A weight that is used in every step of a scan is owed a gradient as large as itself in
every step. With a *tape*, a product only writes its two factors down, and the weight
gets the product of all of them once, after the scan:

    tapes = open_tape(weight, blank_tape(weight, (steps, rows), anchor))
    kept = stop_gradient(weight)        # what it is owed is on the tapes
    scan over the steps:  y = taped(x, kept, tapes[step])

`note` does the like for an inner gradient: it hands out the factors themselves. All of
this serves `ttt_core.scale.low_rank`, and holds for one gradient within another.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def note(x, y, probe):
    """`y`. The gradient of `probe` is `(x, cotangent of y)`: what a gradient of the
    weight between the two is made of."""
    del x, probe
    return y


note.defvjp(lambda x, y, probe: (y, x), lambda x, back: (None, back, (x, back)))


@jax.custom_vjp
def _product(x, weight, tape):
    """`x @ weight`, whose backward pass writes `(x, cotangent)` on the tape and gives
    the weight nothing."""
    del tape
    return x @ weight


_product.defvjp(
    lambda x, weight, tape: (x @ weight, (x, weight)),
    lambda kept, back: (back @ kept[1].T, None, (kept[0], back)),
)


@jax.custom_vjp
def taped(x, weight, tapes):
    """`_product` for an inner gradient within an outer one: what the inner backward
    pass multiplies with the transpose goes on the second tape, by the outer one."""
    return _product(x, weight, tapes[0])


def _taped_backward(kept, back):
    x, weight, tapes = kept
    # The inner gradient drops what is for the tapes; where only the outer one passes,
    # the second tape stays blank.
    return _product(back, weight.T, tapes[1]), None, ((x, back), (None, None))


# Not `taped` again: what it returns is differentiated by the outer loop as it stands.
taped.defvjp(
    lambda x, weight, tapes: (_product(x, weight, tapes[0]), (x, weight, tapes)),
    _taped_backward,
)


@jax.custom_vjp
def open_tape(weight, blank):
    """The tapes of a weight: `blank`. What is on them in the end is its gradient."""
    del weight
    return blank


def _close_tape(_, tapes):
    (x, back), (x_of_transpose, back_of_transpose) = tapes
    rows = lambda *parts: jnp.concatenate(parts).reshape(-1, parts[0].shape[-1])
    return rows(x, back_of_transpose).T @ rows(back, x_of_transpose), None


open_tape.defvjp(lambda weight, blank: (blank, None), _close_tape)


def blank_tape(weight, leading: tuple[int, ...], anchor):
    """Unwritten tapes for `leading` rows of products with `weight` and its transpose.

    `anchor` is a zero that depends on all there is: under `vmap` a tape must be
    batched where anything is, or what several write on it would be summed.
    """
    zeros = lambda width: jnp.zeros((*leading, width), weight.dtype) + anchor
    d_in, d_out = weight.shape
    return (zeros(d_in), zeros(d_out)), (zeros(d_out), zeros(d_in))


def anchor_of(dtype, *trees) -> Float[Array, ""]:
    """A zero that is batched under `vmap` where any array of the trees is."""
    first = [jnp.ravel(leaf)[0] for leaf in jax.tree.leaves(trees) if leaf.size]
    total = sum(jax.lax.stop_gradient(a).astype(dtype) for a in first)
    return jnp.where(False, total, 0)
