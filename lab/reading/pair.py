"""A model and its frozen twin, side by side: both read, are asked, and write.

The learner takes an inner step after each chunk. Its *frozen* twin has the same weights
and never learns. Both are given the same tokens and the same random numbers, so what
differs is what was learned.

jax is imported only when a pair is opened: importing this file is instant.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lab import memories
from lab.data import tokenizers
from lab.measure.answers import Answer, ask
from lab.reading.programs import load_model, room_for
from lab.reading.writing import write


LEARNING, FROZEN = "learning", "frozen twin"


@dataclass
class Side:
    """One of the two: a model, its state, and how many inner steps were taken."""

    model: object
    state: object
    steps: int = 0

    def read(self, ids: np.ndarray):
        """Read tokens, with an inner step after each chunk if the model learns."""
        import ttt_core as ttt

        self.state, report = ttt.read(self.model, self.state, ids)
        self.steps += int(np.asarray(report.learned).sum())


class Pair:
    """A model and its frozen twin, each with its state.

    Args:
        name: a published model's name, or a path.
        load: opens the model (default: `lab.reading.programs.load_model`).
        memory, alpha: a memory that the learner starts with, and how much of it
            (`lab.memories.load`); the twin starts without.

    Attributes:
        sides: label -> `Side`; a model that never learns has no twin.
        tokenizer: the model's.
    """

    def __init__(
        self,
        name: str,
        *,
        load: Callable | None = None,
        memory: str | None = None,
        alpha: float = 1.0,
    ):
        import ttt_core as ttt

        self.loaded, self._memory = (load or load_model)(name), (memory, alpha)
        model = self.loaded.model
        self.tokenizer = tokenizers.load(self.loaded.tokenizer)
        learns = model.config.learns
        labels = (LEARNING, FROZEN) if learns else (self.loaded.name,)
        models = (model, ttt.without_learning(model))
        self.sides = {
            label: Side(one, None) for label, one in zip(labels, models, strict=False)
        }
        self.make_room(0)

    def make_room(self, tokens: int):
        """Begin anew, with room for so many tokens in full attention's buffers."""
        import ttt_core as ttt

        chunk = self.loaded.model.config.chunk
        capacity = room_for(tokens + 3 * chunk)
        for side in self.sides.values():
            side.state = ttt.init_state(side.model, capacity=capacity)
        memory, alpha = self._memory
        if memory is not None:
            learner, found = next(iter(self.sides.values())), self.loaded.model
            learner.state = memories.load(memory, found, alpha=alpha, capacity=capacity)

    def read(self, ids: np.ndarray, report: Callable[[int], None] = lambda done: None):
        """Read tokens on both sides, in turns; `report` is told how many.

        A turn is as many chunks as one call of the program reads.
        """
        from ttt_core.stream import rows_at_once

        chunk = self.loaded.model.config.chunk
        turn = rows_at_once(chunk) * chunk
        for start in range(0, len(ids), turn):
            for side in self.sides.values():
                side.read(ids[start : start + turn])
            report(min(start + turn, len(ids)))

    def ask(self, prompt: list[int], answer: list[int]) -> dict[str, Answer]:
        """Label -> nats and ranks of an answer, on forks that learn nothing."""
        return {
            label: ask(side.model, side.state, prompt, answer)
            for label, side in self.sides.items()
        }

    def write(
        self,
        label: str,
        prompt: list[int],
        length: int,
        *,
        stops: tuple[str, ...] = (),
        seed: int = 0,
        learns: bool = True,
        **dials,
    ) -> Iterator[str]:
        """What one side writes after `prompt`, in pieces of whole characters.

        The side's own state does not change. `learns`: whether the learner goes on
        learning from the prompt and from what it writes. `dials`: those of
        `ttt_core.decode.Dials`.
        """
        side = self.sides[label]
        return write(
            side.model,
            side.state,
            self.tokenizer,
            prompt,
            length,
            stops=stops,
            seed=seed,
            learns=learns,
            **dials,
        )
