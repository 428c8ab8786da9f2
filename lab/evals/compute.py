"""Does what learning saves shrink as models and trainings grow? (Fig. 5)

Models of several widths are trained on as many tokens per weight, and the usual one on
fewer and on more tokens. Every budget is a training of its own, with its own warm-up
and cosine: a checkpoint half way of one schedule would be a worse model than a training
of half the length. Each has a plain twin.
"""

import dataclasses
from typing import ClassVar

from lab.evals.trained import Difference, Losses, Score, luck
from lab.measure.texts import TextRead


@dataclasses.dataclass(frozen=True)
class Row:
    """One model, trained on `tokens`, learning and plainly.

    `value`: its width, or its tokens, times the usual. `flops`: useful operations of
    the training that learns; `plain_flops`: of the plain twin's. `gain`: saved over the
    frozen twin; `over_plain`: over the plainly trained one.
    """

    value: float
    weights: int
    tokens: int
    flops: float
    plain_flops: float
    learning: Losses
    plain: Losses
    gain: Difference
    over_plain: Difference


@dataclasses.dataclass(frozen=True)
class Compute:
    """`widths`: by rising size. `budgets`: the usual model, by rising tokens.

    `recipe`: what was trained, with `settings` of one's own.
    """

    KIND: ClassVar[str] = "compute"
    text: TextRead
    recipe: str
    settings: tuple[str, ...]
    seeds: int
    widths: tuple[Row, ...]
    budgets: tuple[Row, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the numbers that a reader should know."""
        return (
            f"{self.seeds} training{'s' * (self.seeds > 1)} of each, with the recipe's "
            "outer rate at every width; models of other widths see as many tokens per "
            "weight.",
            luck((*self.widths, *self.budgets)),
            *self.text.notes,
        )


def row(score: Score, flops: tuple[float, float]) -> Row:
    """A score as a row; `flops`: operations per token, learning and plain."""
    return Row(
        value=score.value,
        weights=score.weights,
        tokens=score.tokens,
        flops=score.tokens * flops[0],
        plain_flops=score.tokens * flops[1],
        learning=score.learning,
        plain=score.plain,
        gain=score.gain,
        over_plain=score.over_plain,
    )
