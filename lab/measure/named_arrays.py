"""Fast weights as NumPy arrays by name: their hash, their norms, an angle between two.

Opens without JAX. `lab/memories.py` is made of it.
"""

import hashlib

import numpy as np


Arrays = dict[str, np.ndarray]


def arrays_of(fast) -> Arrays:
    """Fast weights as NumPy arrays by the names of their matrices."""
    return {k: np.asarray(matrix) for k, matrix in vars(fast).items()}


def hash_of(arrays: Arrays) -> str:
    """sha256 of arrays: names, kinds, shapes and bytes."""
    digest = hashlib.sha256()
    for k in sorted(arrays):
        array = np.ascontiguousarray(arrays[k])
        digest.update(f"{k} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def missed(start: Arrays, change: Arrays, after: Arrays):
    """Where `W_0 + change` is another float than `W_t`, and what `W_t` is there."""
    found = {}
    for k in start:
        wrong = (start[k] + change[k]).reshape(-1) != after[k].reshape(-1)
        place = np.flatnonzero(wrong).astype(np.int32)
        found[k] = place, after[k].reshape(-1)[place]
    return found


def sha256(data: bytes) -> str:
    """The hash of bytes; of none, no hash."""
    return hashlib.sha256(data).hexdigest() if data else ""


def norms(stacked: np.ndarray) -> list[float]:
    """The norm of each matrix of a stack, `[blocks, rows, columns]`."""
    return [norm(matrix) for matrix in stacked]


def norm(matrix: np.ndarray) -> float:
    """The norm of an array, in float64."""
    return float(np.linalg.norm(matrix.astype(np.float64)))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of two arrays; 0 where one is zero."""
    length = norm(a) * norm(b)
    if not length:
        return 0.0
    return float((a.astype(np.float64) * b).sum() / length)
