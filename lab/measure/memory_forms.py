"""In which forms is a memory written? Exact, in halves, or in a few directions.

    change.K             float32: the change of matrix K as it is
    half.K, unit.K       float16: halves, and the power of two that each is times
    left.K, right.K      rankN: two factors; their product is the nearest of that rank

Files come from anybody, so what is opened is bounded before it is multiplied out, and
checked against the model before it is used.
"""

import re
from collections.abc import Iterable

import numpy as np

from lab.measure.named_arrays import Arrays
from lab.names import unknown


EXACT = "float32"
FORMS = (EXACT, "float16", "rank8")


def rank_of(form: str) -> int | None:
    """The rank that a form keeps, None for one that keeps all.

    **Raises** `ValueError` for an unknown form.
    """
    found = re.fullmatch(r"rank([1-9]\d{0,5})", form)
    if found:
        return int(found[1])
    if form not in FORMS:
        raise ValueError(unknown("form", form, FORMS) + " Any rank will do: rank16.")
    return None


def encoded(change: Arrays, form: str) -> Arrays:
    """The arrays that a change is written as; `change[k] [fast_blocks, rows, columns]`.

    **Raises** `ValueError` for an unknown form.
    """
    rank, found = rank_of(form), {}
    for k, matrix in change.items():
        if rank:
            from ttt_core.fast import low_rank

            left, right = low_rank(matrix, rank)
            found |= {f"left.{k}": np.asarray(left), f"right.{k}": np.asarray(right)}
        elif form == "float16":
            # Halves are even down to 6e-5 only, so each matrix is brought up to one.
            most = np.abs(matrix).max((1, 2), keepdims=True)  # [fast_blocks, 1, 1]
            unit = np.exp2(np.ceil(np.log2(np.where(most > 0, most, 1))))
            unit = unit.astype(matrix.dtype)
            found |= {f"half.{k}": (matrix / unit).astype(np.float16)}
            found |= {f"unit.{k}": unit}
        else:
            found[f"change.{k}"] = np.ascontiguousarray(matrix)
    return found


def decoded(names: Iterable[str], arrays: Arrays, largest: float = np.inf) -> Arrays:
    """The changes of the matrices `names`, as `encoded` wrote them.

    **Raises** `KeyError` for a matrix that is not there, `ValueError` for one of more
    than `largest` bytes.
    """
    change = {}
    for k in names:
        if f"left.{k}" in arrays:
            left, right = arrays[f"left.{k}"], arrays[f"right.{k}"]
            _check_product(left, right, largest)
            change[k] = left @ right
        elif f"half.{k}" in arrays:
            unit = arrays[f"unit.{k}"]
            change[k] = arrays[f"half.{k}"].astype(unit.dtype) * unit
        else:
            change[k] = arrays[f"change.{k}"]
    return change


def check_fits(change: Arrays, missed: dict, like: Arrays, called: str):
    """Check that a change can be added to the matrices of `like`.

    `missed`: matrix -> places and values of single weights.

    **Raises** `ValueError` for other shapes or places, or numbers that are not finite.
    """
    shapes = lambda arrays: {k: matrix.shape for k, matrix in arrays.items()}
    places_fit = all(_is_inside(k, *pair, like) for k, pair in missed.items())
    if shapes(change) != shapes(like) or not places_fit:
        raise ValueError(
            f"{called} is damaged: its matrices are {shapes(change)}, and the model's "
            f"are {shapes(like)}."
        )
    if not all(np.isfinite(matrix).all() for matrix in change.values()):
        raise ValueError(f"{called} is damaged: it holds numbers that are not finite.")


def _is_inside(k: str, place: np.ndarray, value: np.ndarray, like: Arrays) -> bool:
    """Whether places are of weights of matrix `k`, with a value for each."""
    if k not in like or place.shape != value.shape:
        return False
    if not np.issubdtype(place.dtype, np.integer):
        return False
    return not place.size or 0 <= place.min() <= place.max() < like[k].size


def _check_product(left: np.ndarray, right: np.ndarray, largest: float):
    """**Raises** `ValueError` for two factors whose product nobody could hold."""
    if left.ndim != 3 or right.ndim != 3:
        raise ValueError(f"factors of {left.ndim} and {right.ndim} axes")
    blocks, rows, columns = max(len(left), len(right)), left.shape[1], right.shape[2]
    if blocks * rows * columns * left.itemsize > largest:
        raise ValueError(f"a matrix of {blocks:,} x {rows:,} x {columns:,}")
