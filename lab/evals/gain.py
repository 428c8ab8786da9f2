"""What is learning while reading worth? The same model with and without, paired.

Every passage is read twice from the same weights: learning from each chunk, and by the
frozen twin. The gain is the difference of the two mean losses, passage by passage, with
a 95 % t-interval over passages. Both readings begin alike (the first chunk is scored
before anything is learned), so the gain at position 0 is exactly zero.
"""

import dataclasses

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Gain:
    """Losses of passages read with learning and by the frozen twin.

    `learning`, `frozen`: mean nats per token, `[passages]`. `by_position`: mean gain in
    equal parts of the passage, `[parts]` nats. `difference`, `low`, `high`: mean of
    `frozen - learning` and its 95 % interval.
    """

    learning: np.ndarray
    frozen: np.ndarray
    by_position: np.ndarray
    difference: float
    low: float
    high: float


def measure_gain(model, passages: np.ndarray, *, parts: int = 16, report=None) -> Gain:
    """Read every passage `[passages, length]` (ids without BOS) twice.

    `report(done, total)` is called after each. **Raises** `ValueError` for fewer than
    two passages, which have no interval.
    """
    import ttt_core as ttt

    if len(passages) < 2:
        raise ValueError(
            f"an interval needs two passages or more: got {len(passages)}."
        )
    twin, losses = ttt.without_learning(model), []
    for i, passage in enumerate(passages):
        pair = [read_nll(reader, passage) for reader in (model, twin)]
        losses.append(pair)
        if report:
            report(i + 1, len(passages))
    learning, frozen = np.swapaxes(np.asarray(losses, np.float64), 0, 1)
    pieces = np.array_split((frozen - learning).mean(axis=0), parts)
    difference, low, high = paired_interval(frozen.mean(1) - learning.mean(1))
    by_position = np.array([piece.mean() for piece in pieces])
    return Gain(learning.mean(1), frozen.mean(1), by_position, difference, low, high)


def read_nll(model, tokens: np.ndarray) -> np.ndarray:
    """Nats of every token when `model` reads them from the start, `[length]`."""
    import ttt_core as ttt

    state = ttt.init_state(model, capacity=len(tokens))
    return np.asarray(ttt.read(model, state, tokens)[1].nll)


def paired_interval(differences: np.ndarray, level: float = 0.95):
    """`(mean, low, high)`: Student's t over paired differences."""
    mean, error = differences.mean(), stats.sem(differences)
    half = error * stats.t.ppf(0.5 + level / 2, len(differences) - 1)
    return float(mean), float(mean - half), float(mean + half)
