"""What do window, chunk and fast blocks matter? One varied, the rest as it is (Fig. 4).

Each setting is trained anew over the same tokens, in two ways: to learn while reading,
and plainly. Losses are on held-out documents; differences to the usual setting are
paired by document and seed.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

from lab.evals.trained import Difference, Losses, Score, luck
from lab.measure.texts import TextRead


@dataclasses.dataclass(frozen=True)
class Row:
    """One setting.

    `weights`: of a model. `learning`, `plain`: losses by seed and document. `gain`:
    saved over the frozen twin; `over_plain`: over the plainly trained twin;
    `over_usual`: over the same way of training at the usual setting; `plain_over_usual`
    the same of plain twins.
    """

    value: int
    weights: int
    learning: Losses
    plain: Losses
    gain: Difference
    over_plain: Difference
    over_usual: Difference
    plain_over_usual: Difference


@dataclasses.dataclass(frozen=True)
class Ablation:
    """The settings of an ablation, by rising value.

    `usual`: the value that the size has by itself. `recipe`: what was trained, with
    `settings` of one's own; `tokens`: of each training; `seq`: of a training sequence.
    """

    AXIS: ClassVar[str]
    text: TextRead
    recipe: str
    settings: tuple[str, ...]
    tokens: int
    seq: int
    seeds: int
    usual: int
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row:
        """The setting that reads best, learning."""
        return min(self.rows, key=lambda row: row.learning.overall.mean)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the numbers that a reader should know."""
        many = "trainings" if self.seeds > 1 else "training"
        return (
            f"{self.seeds} {many} of each setting, of {self.tokens:,} tokens in "
            f"sequences of {self.seq:,}; the outer rate is the recipe's in all.",
            luck(self.rows),
            *self.text.notes,
        )


class WindowAblation(Ablation):
    """Loss against the tokens that attention sees (k)."""

    KIND: ClassVar[str] = "ablation-window"
    AXIS = "window"


class ChunkAblation(Ablation):
    """Loss against the tokens between two inner steps (b)."""

    KIND: ClassVar[str] = "ablation-chunk"
    AXIS = "chunk"


class LayersAblation(Ablation):
    """Loss against the number of blocks with fast weights."""

    KIND: ClassVar[str] = "ablation-layers"
    AXIS = "layers"


ABLATIONS: dict[str, type[Ablation]] = {
    kind.AXIS: kind for kind in (WindowAblation, ChunkAblation, LayersAblation)
}


def rows(scores: list[Score], usual: int) -> tuple[Row, ...]:
    """The settings' rows; `usual`: the value of the setting that others are beside."""
    own: Callable[[Score], bool] = lambda score: score.value == usual
    reference = next(filter(own, scores))
    return tuple(
        Row(
            value=int(score.value),
            weights=score.weights,
            learning=score.learning,
            plain=score.plain,
            gain=score.gain,
            over_plain=score.over_plain,
            over_usual=score.learning.saves(reference.learning),
            plain_over_usual=score.plain.saves(reference.plain),
        )
        for score in scores
    )
