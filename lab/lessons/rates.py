"""What if a model learned slower, or faster? One text, read at several inner rates."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

import ttt_core as ttt
from lab.measure.intervals import batch_means


@dataclass(frozen=True)
class Sweep:
    """The same chunks read at each of `rates [n]` (factors on the model's own rate).

    `loss [n, chunks]`: nats per token. `frozen [chunks]`: the twin's. `drift [n,
    chunks]`: drift of the fast block that moved furthest.
    """

    rates: np.ndarray
    loss: np.ndarray
    frozen: np.ndarray
    drift: np.ndarray
    chunk: int

    @property
    def gain(self) -> np.ndarray:
        """Nats per token saved against the frozen twin, `[n, chunks]`."""
        return self.frozen - self.loss

    def mean_gain(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean gain at each rate and the half-width of its 95 % interval, `[n]` each.

        Neighbouring chunks are alike, so the interval comes from the means of ten
        stretches of the text (fewer if there are fewer chunks).
        """
        found = [batch_means(row, 10) for row in self.gain]
        means, halves = ([getattr(one, n) for one in found] for n in ("mean", "half"))
        return np.array(means), np.array(halves)


def sweep(model: ttt.Transformer, tokens, rates) -> Sweep:
    """Read `tokens` (whole chunks of them) from the start, once at each rate.

    Rates are data to the compiled program: another rate compiles nothing.
    """
    rates = np.asarray(rates, float)
    frozen, _ = _read(ttt.without_learning(model), tokens, 1.0)
    runs = [_read(model, tokens, rate) for rate in rates]
    return Sweep(
        rates,
        np.stack([loss for loss, _ in runs]),
        frozen,
        np.stack([drift for _, drift in runs]),
        model.config.chunk,
    )


def _read(model, tokens, rate):
    chunk = model.config.chunk
    state, loss, drift = ttt.init_state(model), [], []
    for start in range(0, len(tokens) // chunk * chunk, chunk):
        piece = tokens[start : start + chunk]
        state, report = ttt.read_chunk(model, state, piece, rate=rate)
        loss.append(report.loss)
        drift.append(report.drift)
    drift = np.asarray(jnp.stack(drift)).max(axis=1, initial=0)
    return np.asarray(jnp.stack(loss)), drift
