"""What is audited: a model, its frozen twin, a text, and all ways to read it.

`lab.evals.audit` has the checks; this file has what they share. Programs that are
compiled here belong to one `Subject`, so that an audit runs the code as it is now.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lab.measure import nats


LEAST = 16  # tokens of a unit, where chunks are shorter
UNITS = 4  # of a text that is read, and a ragged tail
FURTHEST = 16_384  # tokens of reach that an audit reads beyond


class Losses(NamedTuple):
    """A report that has the losses of all tokens, and nothing else."""

    nll: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A model under audit, its frozen twin, a text, and the ways to read.

    `text`: token ids without BOS, as long as `needed` says. `whole(model, tokens, mask,
    rate)`: the report of `meta_loss`, and `batch(model, rows)` those of
    `meta_gradient`, compiled for this audit.
    """

    model: Any
    twin: Any
    text: np.ndarray
    seed: int
    whole_program: Callable
    batch: Callable

    @property
    def chunk(self) -> int:
        """Tokens between inner steps."""
        return self.model.config.chunk

    @property
    def unit(self) -> int:
        """Whole chunks of at least `LEAST` tokens together: what a check moves in."""
        return unit_of(self.model.config)

    @property
    def length(self) -> int:
        """Tokens of the text that most checks read: units, and a ragged tail."""
        return UNITS * self.unit + self.chunk // 3

    @property
    def tokens(self) -> np.ndarray:
        """The text that most checks read, `[length]`."""
        return self.text[: self.length]

    @property
    def learns(self) -> bool:
        """Whether reading changes weights."""
        return self.model.config.learns

    @property
    def readers(self) -> dict[str, Any]:
        """The model and, if the model learns, its frozen twin."""
        if not self.learns:
            return {"frozen": self.model}
        return {"learning": self.model, "frozen": self.twin}

    @property
    def forms(self) -> dict[str, Callable]:
        """The ways of reading, `(model, tokens) -> report`."""
        return {
            "streaming": self.stream,
            "whole sequence": self.whole,
            "evaluation": self.evaluate,
        }

    @property
    def rounding(self) -> float:
        """How far two programs for the same numbers may differ, in nats or relative.

        Accelerators multiply float32 with fewer digits than a CPU does.
        """
        import jax

        is_exact = self.model.config.compute_dtype == "float32"
        return 1e-3 if is_exact and jax.default_backend() == "cpu" else 0.1

    @property
    def places(self) -> list[int]:
        """Tokens to change: at edges of chunks, inside, and in the ragged tail."""
        unit = self.unit
        inside = [unit - 1, unit, unit + unit // 2, 2 * unit - 1, 3 * unit]
        return sorted({*inside, self.length - 1})

    def whole(self, model, tokens: np.ndarray, mask=None, rate: float = 1.0):
        """The report of `meta_loss` on a document."""
        import jax

        mask = np.ones(len(tokens), bool) if mask is None else mask
        row = np.concatenate([[model.config.bos], tokens]).astype(np.int32)
        dtype = np.asarray(model.final_norm.weight).dtype
        report = self.whole_program(model, row, mask, np.asarray(rate, dtype))
        return jax.tree.map(np.asarray, report)

    def stream(self, model, tokens: np.ndarray):
        """The report of `read` on a document."""
        return self.read(model, tokens)[1]

    def evaluate(self, model, tokens: np.ndarray) -> Losses:
        """The losses of which the lab's evaluations make their numbers."""
        return Losses(nats.read_tokens(model, tokens))

    def read(self, model, tokens: np.ndarray, cuts=()):
        """`(state, report)` of a document that is read in one call, or cut up.

        The report of a document that is cut up is its `nll` alone.
        """
        import jax

        import ttt_core as ttt

        state, parts = ttt.init_state(model, capacity=len(self.text)), []
        for piece in np.split(tokens, cuts):
            state, report = ttt.read(model, state, piece)
            parts.append(jax.tree.map(np.asarray, report))
        if not len(cuts):
            return state, parts[0]
        return state, np.concatenate([part.nll for part in parts])

    def other(self, tokens: np.ndarray) -> np.ndarray:
        """Another token of the text in the place of each."""
        random = np.random.default_rng(self.seed)
        known = np.unique(self.text)
        found = random.choice(known, len(tokens))
        beside = known[(np.searchsorted(known, found) + 1) % len(known)]
        return np.where(found == tokens, beside, found).astype(np.int32)


def unit_of(config) -> int:
    """Whole chunks of at least `LEAST` tokens together, in tokens."""
    return config.chunk * math.ceil(LEAST / config.chunk)


def needed(config) -> int:
    """Tokens of text that an audit reads of, for a model of this configuration."""
    within = config.reach is not None and config.reach <= FURTHEST
    return 2 * UNITS * unit_of(config) + (config.reach if within else 0)


def prepare(model, text: np.ndarray, *, seed: int = 0) -> Subject:
    """A subject whose programs are compiled anew, and not taken from another audit."""
    import equinox as eqx

    import ttt_core as ttt

    text, least = np.asarray(text, np.int32), needed(model.config)
    if len(text) < least or len(np.unique(text)) < 3:
        raise ValueError(
            f"this model is audited on {least:,} tokens, three of them different: got "
            f"{len(text):,} tokens, {len(np.unique(text))} different; give a longer "
            "text."
        )

    @eqx.filter_jit
    def whole(model, tokens, mask, rate):
        return ttt.meta_loss(model, tokens, mask, rate)[1]

    @eqx.filter_jit
    def batch(model, rows):
        return ttt.meta_gradient(model, rows)[1]

    return Subject(model, ttt.without_learning(model), text[:least], seed, whole, batch)


def gap(a, b) -> float:
    """The largest difference between two trees of numbers; 0 = the same, bit for bit.

    A different shape, and NaN in one of them alone, count as infinite.
    """
    import jax

    worst = 0.0
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != y.shape:
            return math.inf
        if x.size and not np.array_equal(x, y, equal_nan=True):
            apart = np.abs(x.astype(np.float64) - y.astype(np.float64))
            worst = max(worst, float(np.where(np.isnan(apart), np.inf, apart).max()))
    return worst
