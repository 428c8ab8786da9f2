"""Rows in groups: whole groups by a scan, then what is left over.

So tokens are read by chunks, chunks recomputed by groups, a batch trained on by parts.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ttt_core.shapes import PyTree


def cut_groups(rows: PyTree, size: int) -> tuple[PyTree, PyTree]:
    """`(groups [n, size, ...], rest)` of a tree of arrays `[length, ...]`.

    The rest has fewer than `size` rows.
    """
    n = _length(rows) // size
    groups = lambda a: a[: n * size].reshape(n, size, *a.shape[1:])
    rest = lambda a: a[n * size :]
    return jax.tree.map(groups, rows), jax.tree.map(rest, rows)


def scan_groups(
    step: Callable[[PyTree, PyTree], tuple[PyTree, PyTree]],
    carry: PyTree,
    rows: PyTree,
    size: int,
) -> tuple[PyTree, PyTree]:
    """Scan `step(carry, group) -> (carry, results)` over groups of `size` rows.

    Rows that are left over make a last, shorter group; no group is empty. `results`
    have a row for each row of the group; those of all groups are returned one after the
    other.
    """
    if 0 < _length(rows) <= size:
        return step(carry, rows)
    groups, rest = cut_groups(rows, size)
    carry, results = jax.lax.scan(step, carry, groups)  # results [n, size, ...]
    flat = lambda a: a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])
    results = jax.tree.map(flat, results)
    if _length(rest) == 0:
        return carry, results
    carry, last = step(carry, rest)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), results, last)


def _length(rows: PyTree) -> int:
    return len(jax.tree.leaves(rows)[0])
