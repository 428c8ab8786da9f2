"""What is left of a needle, by length of the text and by depth of its place?

A needle is planted at several depths of a text that is read to several lengths, and
asked for at the end. A cell is how many nats the needle saves on a token of its answer,
against the same text with filler in the needle's place. Beyond attention's reach a
reader without learning is at zero exactly; what is left there is in the weights.

The grid fills cell by cell, the short texts first. Up to the needle all texts of one
length are the same, so that part is read once; the questions of a length are asked
together (`ttt_core.score_many`).
"""

import itertools
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lab.data import needles, tokenizers
from lab.reading.marks import walk
from lab.reading.programs import Programs
from lab.reading.session import Reading


LENGTHS = (512, 1024, 2048, 4096)
DEPTHS = (0.0, 0.25, 0.5, 0.75, 0.95)
STEP = 0.25  # seconds that a step takes, about


@dataclass
class Grid:
    """A grid on its way: drive it with `step`, look at `nats`.

    Attributes:
        programs: the model's.
        text: the text, long enough for the longest of `lengths`.
        needle: what is planted.
        reading: whose text it is, None = of no reading.
        lengths: tokens read, in growing order; those that the text does not fill are
            left out.
        depths: where the needle stands, from 0 (start) to 1 (end).
        nats: `[depths, lengths]`, saved per token of the answer; NaN = not yet known.
        distances: `[depths, lengths]`, tokens behind the needle's end.
        done, error, status: as in `lab.reading.asking.Asking`.
        read, total: tokens read so far, and in all.

    **Raises** `ValueError` for a text that fills no length.
    """

    programs: Programs
    text: str
    needle: needles.Needle
    lengths: tuple[int, ...] = LENGTHS
    depths: tuple[float, ...] = DEPTHS
    reading: Reading | None = None
    nats: np.ndarray = field(init=False)
    distances: np.ndarray = field(init=False)
    status: str = "beginning"
    error: str = ""
    done: bool = False
    read: int = 0
    total: int = 0

    def __post_init__(self):
        loaded = self.programs.wait("model").loaded
        self._words = tokenizers.load(loaded.tokenizer)
        self._plan()
        self.nats = np.full((len(self.depths), len(self.lengths)), np.nan)
        self._work = self._fill()

    @classmethod
    def of(cls, reading: Reading, needle: needles.Needle, longest: int) -> "Grid":
        """The grid of a reading's text and model, with lengths up to `longest`.

        **Raises** `ValueError` for a text that is too short.
        """
        plan = reading.plan
        known = tokenizers.load(reading.programs.loaded.tokenizer)
        text = plan.text if plan.absent is None else known.decode_bytes(plan.absent)
        lengths = tuple(n for n in LENGTHS if n <= longest)
        words = text.decode("utf-8", "ignore")
        return cls(reading.programs, words, needle, lengths, reading=reading)

    @property
    def reach(self) -> int | None:
        """Tokens that attention sees back, None without a bound."""
        return self.programs.loaded.model.config.reach

    @property
    def learns(self) -> bool:
        """Whether the model learns while reading."""
        return self.programs.loaded.model.config.learns

    @property
    def beyond(self) -> tuple[float, int]:
        """Mean of the cells out of attention's reach that are known, and how many."""
        far = np.isfinite(self.nats) & (self.distances > (self.reach or np.inf))
        return (float(self.nats[far].mean()) if far.any() else np.nan), int(far.sum())

    def step(self, seconds: float = STEP) -> "Grid":
        """Work for about so many seconds."""
        until = time.monotonic() + seconds
        while not self.done and time.monotonic() < until:
            try:
                self.status = next(self._work)
            except StopIteration:
                self.stop()
            except ValueError as error:
                self.error = str(error)
                self.stop()
        return self

    def finish(self) -> "Grid":
        """Step to the end."""
        while not self.done:
            self.step()
        return self

    def stop(self) -> None:
        """End here; cells that are known stay."""
        self._work.close()
        self.done, self.status = True, ""

    def _plan(self):
        """The texts of all cells, and how much reading they are."""
        spans = self._words.spans(self.text)[1]
        told = len(self._words.encode(" " + self.needle.sentence))
        fit = [n for n in self.lengths if n <= len(spans) + told]
        if not fit:
            raise ValueError(
                f"The text has {len(spans):,} tokens, and the grid begins at "
                f"{self.lengths[0]:,}: give a longer text."
            )
        self.lengths = tuple(fit)
        until = lambda n: self.text.encode()[: spans[n - told - 1, 1]]
        texts = [until(n).decode("utf-8", "ignore") for n in fit]
        plant = lambda text, at: needles.plant(self._words, text, self.needle, at)
        self._rows = [[plant(text, at) for at in self.depths] for text in texts]
        behind = [[len(one.present) - one.stop for one in row] for row in self._rows]
        self.distances = np.array(behind).T
        self._chunk = self.programs.loaded.model.config.chunk
        self.total = sum(map(self._cost, self._rows))

    def _cost(self, row: list) -> int:
        """Tokens read for one length: to the last fork, then both texts to the end."""
        forks = self._forks(row)
        return forks[-1] + sum(
            2 * (len(one.present) - fork) for one, fork in zip(row, forks, strict=True)
        )

    def _forks(self, row: list) -> list[int]:
        """Where each text leaves the one whose needle stands last, in whole chunks."""
        apart = [_apart(one.present[: one.start], row[-1].present) for one in row]
        # Whoever walks along the last text does not go back.
        forks = list(itertools.accumulate(reversed(apart), min))[::-1]
        return [fork // self._chunk * self._chunk for fork in forks]

    def _fill(self) -> Iterator[str]:
        yield from self._wait()
        for j, row in enumerate(self._rows):
            states, state, read = [], self._start(), 0
            for one, fork in zip(row, self._forks(row), strict=True):
                state = yield from self._walk(state, row[-1].present[read:fork])
                read = fork
                for ids in (one.present, one.absent):
                    states.append((yield from self._walk(state, ids[read:])))
            yield "asking"
            self.nats[:, j] = self._ask(row, states)

    def _start(self):
        import ttt_core as ttt

        return ttt.init_state(self._model, capacity=self.programs.room)

    def _walk(self, state, ids: np.ndarray) -> Generator[str, None, Any]:
        """Read `ids`, counting them; returns the state behind."""
        before, way = self.read, walk(self._model, state, ids)
        while True:
            try:
                self.read = before + next(way)
            except StopIteration as end:
                return end.value
            yield "reading"

    @property
    def _model(self):
        return self.programs.loaded.model

    def _wait(self) -> Iterator[str]:
        self.programs.start()
        while not self.programs.ready("needle"):
            if self.programs.error:
                raise ValueError(self.programs.error)
            yield self.programs.words("needle")
            time.sleep(0.05)

    def _ask(self, row: list, states: list) -> np.ndarray:
        """Nats saved per answer token at each depth: filler's cost less the needle's.

        All questions are alike, so each pair of states is asked for one answer.
        """
        import jax
        import jax.numpy as jnp

        import ttt_core as ttt

        stack = jax.tree.map(lambda *arrays: jnp.stack(arrays), *states)
        asked = [row[0].prompt], [row[0].answer]
        (nats,) = ttt.score_many(self._model, stack, *asked)  # [2 * depths, answer]
        present, absent = np.asarray(nats).mean(axis=1).reshape(-1, 2).T
        return absent - present


def _apart(ids: np.ndarray, other: np.ndarray) -> int:
    """Number of tokens from the start that two texts share."""
    most = min(len(ids), len(other))
    different = np.flatnonzero(ids[:most] != other[:most])
    return int(different[0]) if len(different) else most
