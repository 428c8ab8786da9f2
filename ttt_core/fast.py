"""Fast weights as a bare pytree: taking them out, putting them back, measuring them.

`fast` is what `where(model)` returns: an `MLP` of three arrays stacked over the fast
blocks (`()` where there are none). `slow` is the model with None there. Fast trees of
equal shapes can be subtracted, saved, mixed and exchanged between models.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttt_core.model import Transformer
from ttt_core.shapes import PyTree, Scalar


def fast_mlps(model: Transformer) -> PyTree:
    """Which weights are fast: the MLPs that learn while reading."""
    return model.fast_mlps


def split(
    model: Transformer, where: Callable[[Transformer], PyTree] = fast_mlps
) -> tuple[PyTree, Transformer]:
    """`(fast, slow)`: the weights that learn while reading, and the model without them.

    **Raises** `ValueError` where `where` selects no array (a model with
    `fast_blocks = 0` has the empty tree `()` as its default fast weights).

    >>> fast, slow = split(model)
    >>> same = merge(fast, slow)
    """
    fast = where(model)
    if not jax.tree.leaves(fast):
        if where is fast_mlps:
            return (), model
        raise ValueError(
            "`where` selected no array of the model, so nothing could learn; return "
            "a part that holds arrays, such as `lambda model: model.fast_mlps`."
        )
    return fast, eqx.tree_at(where, model, replace_fn=_hollow)


def merge(
    fast: PyTree, slow: Transformer, where: Callable[[Transformer], PyTree] = fast_mlps
) -> Transformer:
    """The model whose fast weights are `fast`: the inverse of `split`.

    **Raises** `ValueError` where the trees do not have the same structure.
    """
    if not jax.tree.leaves(fast):
        return slow
    empty = where(slow)
    expected = jax.tree.structure(empty, is_leaf=lambda x: x is None)
    if jax.tree.structure(fast) != expected:
        raise ValueError(
            f"these fast weights do not fit this model: {jax.tree.structure(fast)}, "
            f"expected {expected}; merge with a `fast` that `split` gave."
        )
    return eqx.tree_at(where, slow, fast, is_leaf=lambda x: x is None)


def _hollow(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda _: None, tree)


def without_learning(model: Transformer) -> Transformer:
    """The frozen twin: the same weights, never learning while reading.

    >>> without_learning(model).config.inner.lr
    0.0
    """
    return dataclasses.replace(model, config=model.config.replace(lr=0.0))


def add(one: PyTree, other: PyTree) -> PyTree:
    """The sum of two fast trees, such as W0 and a document's change."""
    return jax.tree.map(lambda a, b: a + b, one, other)


def subtract(one: PyTree, other: PyTree) -> PyTree:
    """The difference of two fast trees, such as the change `W_t - W0`."""
    return jax.tree.map(lambda a, b: a - b, one, other)


def scale(tree: PyTree, factor: Scalar) -> PyTree:
    """A fast tree times a number: of a change, more of the change or less."""
    return jax.tree.map(lambda leaf: leaf * jnp.asarray(factor, leaf.dtype), tree)


def low_rank(tree: PyTree, rank: int) -> tuple[PyTree, PyTree]:
    """Each matrix as a product of two thin ones: `(left, right)`.

    `left @ right` is the matrix of that rank nearest to the original (Eckart and Young,
    1936). Of leaves `[..., rows, columns]`, `left` has `[..., rows, rank]` and `right`
    `[..., rank, columns]`; the rank is at most the smaller side.

    **Raises** `ValueError` for a rank below one.
    """
    if rank < 1:
        raise ValueError(f"`rank` must be >= 1: got {rank}.")
    leaves, structure = jax.tree.flatten(tree)
    left, right = [], []
    for leaf in leaves:
        u, s, vt = jnp.linalg.svd(leaf, full_matrices=False)
        left.append(u[..., :rank] * s[..., None, :rank])  # [..., rows, rank]
        right.append(vt[..., :rank, :])  # [..., rank, columns]
    return jax.tree.unflatten(structure, left), jax.tree.unflatten(structure, right)


def global_norm(tree: PyTree) -> Float[Array, ""]:
    """Euclidean norm over all entries of a tree, differentiable at zero."""
    leaves = jax.tree.leaves(tree)
    if not leaves:
        return jnp.zeros(())
    total = sum(jnp.sum(leaf**2) for leaf in leaves)
    return jnp.sqrt(total + jnp.finfo(total.dtype).tiny)


def block_norms(tree: PyTree) -> Float[Array, " fast_blocks"]:
    """Norm of each fast block's weights, over its three matrices."""
    leaves = jax.tree.leaves(tree)
    if not leaves:
        return jnp.zeros(0)
    total = sum(jnp.sum(leaf**2, axis=tuple(range(1, leaf.ndim))) for leaf in leaves)
    return jnp.sqrt(total)


def drift(fast: PyTree, origin: PyTree) -> Float[Array, " fast_blocks"]:
    """How far each fast block has moved from where it began, `|W - W0| / |W0|`."""
    moved = jax.tree.map(jnp.subtract, fast, origin)
    scale = block_norms(origin)
    return block_norms(moved) / jnp.maximum(scale, jnp.finfo(scale.dtype).tiny)
