"""At which position? Doublings, half doublings and equal parts, averaged by novel.

A bin counts for a passage that covers at least half of the bin; otherwise it is NaN.
"""

import numpy as np


def doublings(length: int, first: int, *, per_doubling: int = 1) -> np.ndarray:
    """Edges `[0, first, 2 first, 4 first, ..., length]` in tokens, ascending integers.

    `per_doubling` > 1 gives finer steps of equal ratio.
    """
    if length < 1 or first < 1:
        raise ValueError(
            f"`length` and `first` must be >= 1: got length={length}, first={first}."
        )
    steps = np.arange(1 + per_doubling * int(np.ceil(np.log2(max(length, 2)))))
    inner = np.round(first * 2.0 ** (steps / per_doubling)).astype(int)
    return np.unique([0, *inner[inner < length], length])


def equal_parts(length: int, parts: int = 16, *, grain: int = 1) -> np.ndarray:
    """Edges of at most `parts` equal parts, multiples of `grain` except the last."""
    width = max(grain, -(-length // (parts * grain)) * grain)
    return np.unique([*range(0, length, width), length])


def bin_means(values: list[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """Mean in each bin over all of `values` (arrays `[tokens]`), `[bins]`.

    The mean is NaN where no array covers half of the bin.
    """
    sums, counts = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    for array in values:
        stops = np.minimum(edges, len(array))
        covered = np.diff(stops)
        enough = 2 * covered >= np.diff(edges)
        running = np.concatenate([[0.0], np.cumsum(array, dtype=np.float64)])
        sums += np.where(enough, np.diff(running[stops]), 0)
        counts += np.where(enough, covered, 0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def mean(values: list[np.ndarray]) -> float:
    """Mean over all tokens of all arrays."""
    return float(np.concatenate(values).mean(dtype=np.float64))


def middles(edges: np.ndarray) -> np.ndarray:
    """The place of each bin on a logarithmic axis: the geometric middle, `[bins]`.

    The first bin begins at zero and counts as one doubling, its upper half.
    """
    lower = np.where(edges[:-1] > 0, edges[:-1], edges[1:] / 2)
    return np.sqrt(lower * edges[1:])


def short(tokens: float) -> str:
    """A number of tokens in units of 1,024, rounded: `64`, `2K`, `4.2K`, `128K`."""
    for size, letter in ((2**20, "M"), (2**10, "K")):
        if tokens >= size:
            many = tokens / size
            return f"{many:.{0 if many >= 10 else 1}f}".removesuffix(".0") + letter
    return f"{tokens:g}"
