"""What are trainings of one setting worth? Held-out documents, read by every seed's.

A learning model, its frozen twin and the plainly trained twin read the same passages.
A document is the unit: its passages are averaged, then the seeds, and every difference
is paired by document. Documents say nothing of how much luck a training has; so losses
are kept seed by seed too, and a finding is one that all seeds share.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lab.measure.intervals import Interval, interval
from lab.measure.parts import Keep, fresh
from lab.measure.texts import Passage
from lab.recipes.grids import Pair


@dataclasses.dataclass(frozen=True)
class Difference:
    """Nats per token saved: over documents, and by each seed's trainings."""

    overall: Interval
    seeds: tuple[float, ...]

    @property
    def sign(self) -> int:
        """+1 or -1 where the interval excludes zero and several seeds agree, else 0."""
        sign = self.overall.sign
        agree = all(sign * one > 0 for one in self.seeds)
        return sign if agree and len(self.seeds) > 1 else 0


@dataclasses.dataclass(frozen=True)
class Losses:
    """Mean nats of one kind of training: `[seeds][units]`."""

    by_seed: tuple[tuple[float, ...], ...]

    @property
    def overall(self) -> Interval:
        """The mean over seeds, with an interval over documents."""
        return interval(np.mean(self.by_seed, axis=0))

    @property
    def seeds(self) -> tuple[float, ...]:
        """The mean of each seed's training."""
        return tuple(float(np.mean(row)) for row in self.by_seed)

    @property
    def apart(self) -> float:
        """How far the best and the worst seed's trainings are from each other."""
        return max(self.seeds) - min(self.seeds)

    def saves(self, than: "Losses") -> Difference:
        """By how much these losses are below others, paired by document and seed."""
        gaps = np.array(than.by_seed) - np.array(self.by_seed)
        means = tuple(float(mean) for mean in gaps.mean(axis=1))
        return Difference(interval(gaps.mean(axis=0)), means)


@dataclasses.dataclass(frozen=True)
class Score:
    """A setting's losses: learning, with learning switched off, and the plain twin's.

    `value`: of what is varied. `tokens`: of each training. `weights`: of a model.
    """

    value: float
    tokens: int
    weights: int
    learning: Losses
    frozen: Losses
    plain: Losses

    @property
    def gain(self) -> Difference:
        """What learning while reading saves: over the frozen twin."""
        return self.learning.saves(self.frozen)

    @property
    def over_plain(self) -> Difference:
        """What meta-training and learning save: over the plainly trained twin."""
        return self.learning.saves(self.plain)


def luck(rows) -> str:
    """A sentence on how much a seed matters, from rows with `learning` and `plain`."""
    apart = [one.apart for row in rows for one in (row.learning, row.plain)]
    if not any(apart):
        return "One training of each: what another seed would change is not known."
    return f"Seeds of one setting are up to {max(apart):.3f} nats apart."


def measure(
    pairs: list[Pair],
    cards: dict[str, Path],
    passages: list[Passage],
    *,
    report: Callable[[int, int], None] | None = None,
    keep: Keep = fresh,
) -> list[Score]:
    """Every setting's losses on `passages`, which are all equally long.

    `cards`: of the trainings, by name. `report(done, total)`: called with counts of
    tokens. `keep`: keeps each model's losses (`lab.measure.parts`).
    """
    tell, done = report or (lambda done, total: None), 0
    total = cost(pairs, passages)
    reader = _Reader(passages, keep)
    found = []
    for pair in pairs:
        both = [reader.both(cards[one.name]) for one in pair.learning]
        learning, frozen = zip(*both, strict=True)
        plain = [reader.both(cards[one.name])[1] for one in pair.plain]
        done += cost([pair], passages)
        tell(done, total)
        losses = (Losses(tuple(rows)) for rows in (learning, frozen, plain))
        weights = reader.weights[cards[pair.learning[0].name]]
        found.append(Score(pair.value, pair.tokens, weights, *losses))
    return found


def cost(pairs: list[Pair], passages: list[Passage]) -> int:
    """Tokens that `measure` reports."""
    readings = sum(2 * len(pair.learning) + len(pair.plain) for pair in pairs)
    return readings * sum(len(passage.tokens) for passage in passages)


class _Reader:
    """Reads the passages with one model after another."""

    def __init__(self, passages: list[Passage], keep: Keep):
        self.passages, self.keep = passages, keep
        self.units = list(dict.fromkeys(one.novel for one in passages))
        self.weights: dict[Path, int] = {}

    def both(self, card: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean nats of each document, learning (if the model learns) and frozen."""
        import equinox as eqx
        import jax

        import ttt_core as ttt
        from lab import checkpoints

        model = checkpoints.load(card)
        arrays = jax.tree.leaves(eqx.filter(model, eqx.is_array))
        self.weights[card] = sum(array.size for array in arrays)
        frozen = self._read(ttt.without_learning(model))
        return (self._read(model) if model.config.learns else frozen), frozen

    def _read(self, model) -> tuple[float, ...]:
        from lab import checkpoints
        from lab.training.held_out import losses

        bos = np.full((len(self.passages), 1), model.config.bos, np.int32)
        tokens = np.stack([one.tokens for one in self.passages])
        rows = np.concatenate([bos, tokens], axis=1)  # [passages, length + 1]
        nats = lambda: [losses(model, rows)]
        (found,) = self.keep(nats, checkpoints.model_hash(model), rows)
        owners = np.array([one.novel for one in self.passages])
        return tuple(float(found[owners == unit].mean()) for unit in self.units)
