"""What the backward pass keeps of the forward pass, and what it computes again.

Most arithmetic is in matrix products; norms, activations and softmaxes between them
cost little to compute again and much to store. So the products are kept and the rest is
recomputed (`keep_products`): a third of the memory, and faster, since a CPU is slow to
write to fresh memory. Two kinds of product are not kept either: logits, which are
larger than everything else in a chunk together, and the scores of attention over many
keys.
"""

import math
from collections.abc import Callable
from typing import Any

import jax


def keep_products(function: Callable, *, vocab: int = 0) -> Callable:
    """`function`, with a backward pass that keeps nothing but matrix products.

    Products with an axis of length `vocab`, such as logits, are recomputed as well. For
    the body of a `jax.lax.scan`.
    """

    def is_kept(primitive, *operands, **params):
        if primitive is not jax.lax.dot_general_p:
            return False
        left, right, dimensions = *operands[:2], params["dimension_numbers"]
        return not (
            vocab in _free_axes(left, right, dimensions)
            or _is_outgrown(left, right, dimensions)
        )

    # Inside a scan there is nothing that a compiler could merge the second pass with.
    return jax.checkpoint(function, prevent_cse=False, policy=is_kept)


def keep_inputs(function: Callable) -> Callable:
    """`function`, recomputed as a whole in the backward pass, in the body of a scan."""
    return jax.checkpoint(function, prevent_cse=False)


def keep_all(function: Callable) -> Callable:
    """`function` as it is, for where nothing is differentiated, or little."""
    return function


def _free_axes(left: Any, right: Any, dimension_numbers: tuple) -> list[int]:
    """Lengths of a product's axes that are neither contracted nor batched."""
    contracted, batched = dimension_numbers
    return [
        length
        for operand, summed, shared in zip(
            (left, right), contracted, batched, strict=True
        )
        for axis, length in enumerate(operand.shape)
        if axis not in (*summed, *shared)
    ]


def _is_outgrown(left: Any, right: Any, dimension_numbers: tuple) -> bool:
    """Whether a batched product is larger than both its factors together.

    Attention's scores `[heads, queries, keys]` are, once there are many keys.
    """
    batch = math.prod(left.shape[axis] for axis in dimension_numbers[1][0])
    size = batch * math.prod(_free_axes(left, right, dimension_numbers))
    return batch > 1 and size > left.size + right.size
