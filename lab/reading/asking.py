"""Questions to what was read: what does each of its memories answer?

A reader has two memories of a text, the window and the fast weights, and either can be
taken away. So a question goes to four *columns*:

    window and weights     the reader as it is
    weights only           an empty window: the document is gone, the weights remain
    window only            W0, the weights from before reading, and the twin's window
    neither                the model that has read nothing

All of it happens on forks, so no question changes a reading. An `Asking` works in small
pieces: `step` returns after a moment, `columns` is what was answered so far. Screens
draw between two steps, and whoever has enough does not ask for another.
"""

import re
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lab import memories
from lab.data import scripts, tokenizers
from lab.measure.answers import Answer, ask
from lab.memories import Memory
from lab.reading.marks import walk
from lab.reading.programs import Programs, room_for
from lab.reading.session import Reading
from lab.reading.writing import write


BOTH, WEIGHTS = "window and weights", "weights only"
WINDOW, NEITHER = "window only", "neither"
COLUMNS = (BOTH, WEIGHTS, WINDOW, NEITHER)
ASK, COMPLETE, CONTINUE = "ask", "complete", "continue"
STEP = 0.25  # seconds that a step takes, about
MOST = 512  # tokens that a column writes at most
LONGEST = 2_000  # characters of a question, or of its answer
Work = Generator[str, None, Any]  # words on the work, and what comes of it
ALPHA = 1.5  # of the change of the weights, at most
# The end of a sentence is certain once something follows: 3.5 is one number.
_CLOSING = "[\"'”’»)」』]*"
_END = re.compile(
    rf"[.!?।]+{_CLOSING}(?=\s)|[。！？]+{_CLOSING}(?=[^。！？\"'”’»)」』])"
)


@dataclass(frozen=True)
class Question:
    """What is asked, and how the answer is drawn.

    Attributes:
        kind: `ASK` (a new paragraph, answered up to the paragraph's end), `COMPLETE`
            (the same, up to the sentence's end) or `CONTINUE` (the text goes on).
        text: the beginning of a sentence; empty only to continue.
        answer: its right end, whose probability is wanted, or "".
        tokens: how many each column writes at most.
        temperature, top_p, seed: as in `ttt_core.generate`; 0 = always the likeliest.
        alpha: how much of what was learned: 1 = all, 0 = the weights before reading.

    **Raises** `ValueError` for a question that means nothing.
    """

    kind: str = ASK
    text: str = ""
    answer: str = ""
    tokens: int = 32
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    alpha: float = 1.0

    def __post_init__(self):
        tidy = {name: " ".join(getattr(self, name).split()) for name in _TYPED}
        for name, text in tidy.items():
            if len(text) > LONGEST:
                raise ValueError(
                    f"The {_TYPED[name]} has {len(text):,} characters; {LONGEST:,} are "
                    "enough for a sentence."
                )
            object.__setattr__(self, name, text)
        if not self.text and self.kind != CONTINUE:
            raise ValueError(
                "There is no question yet: type the beginning of a sentence, such as "
                "“The safe opens with”."
            )
        self._check_dials()

    def _check_dials(self):
        if not 1 <= self.tokens <= MOST:
            raise ValueError(f"Write 1 to {MOST} tokens: got {self.tokens}.")
        if not 0 <= self.temperature <= 5:
            raise ValueError(f"A temperature is 0 to 5: got {self.temperature:g}.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"`top_p` is above 0, up to 1: got {self.top_p:g}.")
        if not 0 <= self.alpha <= ALPHA:
            raise ValueError(
                f"The weights' change is taken 0 to {ALPHA:g} times: got "
                f"{self.alpha:g}."
            )

    @property
    def lead(self) -> str:
        """What is read before the writing begins."""
        return f"\n\n{self.text}" if self.text else ""

    @property
    def end(self) -> str:
        """The right answer as it follows on the question."""
        return self.answer and scripts.gap(self.text, self.answer) + self.answer


_TYPED = {"text": "question", "answer": "answer"}


@dataclass
class Column:
    """What one column says, so far.

    `found`: nats and ranks of the right answer, None without one. `written`: text.
    `done`: whether nothing is added any more.
    """

    found: Answer | None = None
    written: str = ""
    done: bool = False

    @property
    def probability(self) -> float:
        """Of the whole answer, from 0 to 1."""
        return float(np.exp(-self.found.nll.sum()))

    def times(self, other: "Column") -> float:
        """How many times as probable the answer is as in another column.

        Bounded at a hundred nats, which no screen tells from more.
        """
        nats = other.found.nll.sum() - self.found.nll.sum()
        return float(np.exp(np.clip(nats, -100, 100)))

    @property
    def place(self) -> int:
        """The place of the answer's worst token among all; 1 = the model's choice."""
        return 1 + int(self.found.rank.max())


@dataclass(frozen=True)
class OfReading:
    """The columns of a live reading, after one of its chunks.

    `chunk`: chunks read, None = all that was read by now, an open chunk included.
    """

    reading: Reading
    chunk: int | None = None

    @property
    def programs(self) -> Programs:
        return self.reading.programs

    @property
    def read(self) -> int:
        """Tokens read at that place."""
        read = self.reading.way_back["learning"][2].read
        return read if self.chunk is None else min(read, self.chunk * self._size)

    def states(self, alpha: float = 1.0) -> Work:
        """Yields words on the work, and returns the states by column."""
        read, found = self.read, {}
        for name, (model, marks, at) in self.reading.way_back.items():
            found[name] = yield from self._walk(model, marks, at, read)
        model = self.programs.loaded.model
        return columns(model, found["learning"], found.get("frozen"), alpha)

    def _walk(self, model, marks, at, read: int) -> Work:
        """From the nearest state that is known to the one after `read` tokens."""
        state, start = at.state, at.read
        if at.read > read:
            mark, state = marks.before(read // self._size)
            start = mark * self._size
        way = walk(model, state, self.reading.plan.ids[start:read])
        told = lambda done: f"reading again: {done:,} of {read - start:,} tokens"
        return (yield from _spoken(way, told))

    @property
    def _size(self) -> int:
        return self.reading.plan.chunk


@dataclass(frozen=True)
class OfMemory:
    """The columns of a memory file: its weights behind an empty window, and W0.

    `called`: the file's name, for sentences.
    """

    programs: Programs
    memory: Memory
    called: str

    def states(self, alpha: float = 1.0) -> Work:
        """As `OfReading.states`.

        **Raises** `ValueError` as `lab.memories.fast_weights` does.
        """
        import dataclasses

        import ttt_core as ttt

        model = self.programs.wait("model").loaded.model
        empty = ttt.init_state(model, capacity=self.programs.room)
        fast = memories.fast_weights(self.memory, model, alpha, called=self.called)
        learned = dataclasses.replace(empty, fast=fast)
        yield "opening the memory"
        return {WEIGHTS: learned, NEITHER: empty}


def _spoken(way: Generator, told: Callable) -> Generator:
    """What `way` yields, in words; returns what it returns."""
    while True:
        try:
            done = next(way)
        except StopIteration as end:
            return end.value
        yield told(done)


def columns(model, learned, frozen=None, alpha: float = 1.0) -> dict[str, Any]:
    """The states of the four columns; two for a model that never learns.

    Args:
        learned, frozen: states of the reader and of its twin, after the same tokens.
        alpha: how much of what was learned; 1 gives `learned` itself.

    An empty window still has the last token, which is the next input.
    """
    import dataclasses

    import ttt_core as ttt
    from ttt_core.mixers.full import capacity_of

    room = capacity_of(learned.mixers) or room_for(1)
    empty = ttt.init_state(model, capacity=room)
    empty = dataclasses.replace(empty, open=empty.open.at[0].set(learned.last))
    if frozen is None:
        return {WINDOW: learned, NEITHER: empty}
    fast = _scaled(model.fast_mlps, learned.fast, alpha)
    # The twin keeps no state of an inner rule, and programs are made for a reader's.
    before = {"fast": model.fast_mlps, "rule_state": learned.rule_state}
    return {
        BOTH: dataclasses.replace(learned, fast=fast),
        WEIGHTS: dataclasses.replace(empty, fast=fast),
        WINDOW: dataclasses.replace(frozen, **before),
        NEITHER: empty,
    }


def _scaled(start, learned, alpha: float):
    from ttt_core import fast

    if alpha == 1:
        return learned
    return fast.add(start, fast.scale(fast.subtract(learned, start), alpha))


@dataclass
class Asking:
    """One question on its way: drive it with `step`, look at `columns`.

    Attributes:
        source: an `OfReading` or an `OfMemory`.
        question: what is asked.
        columns: column -> what it says so far, in the order of `COLUMNS`.
        status: words on what is being done; "" when done.
        error: a sentence, if it cannot be answered.
        done: whether all is said, or the asking was stopped.
        stopped: whether it was stopped before all was said.
    """

    source: OfReading | OfMemory
    question: Question
    columns: dict[str, Column] = field(default_factory=dict)
    status: str = "beginning"
    error: str = ""
    done: bool = False
    stopped: bool = False

    def __post_init__(self):
        self._work = self._answer()

    def step(self, seconds: float = STEP) -> "Asking":
        """Work for about so many seconds; what fails becomes `error`."""
        until = time.monotonic() + seconds
        while not self.done and time.monotonic() < until:
            try:
                self.status = next(self._work)
            except StopIteration:
                self._end()
            except (ValueError, OSError) as error:
                self.error = str(error)
                self._end()
        return self

    def is_of(self, source) -> bool:
        """Whether the same reading, or the same memory, was asked."""
        if isinstance(self.source, OfReading) and isinstance(source, OfReading):
            return self.source.reading is source.reading
        return self.source == source

    def finish(self) -> "Asking":
        """Step to the end."""
        while not self.done:
            self.step()
        return self

    def stop(self) -> None:
        """End here; what was said stays."""
        self.stopped = not self.done
        self._end()

    def _end(self) -> None:
        self._work.close()
        self.done, self.status = True, ""
        for column in self.columns.values():
            column.done = True

    def _answer(self) -> Iterator[str]:
        programs = self.source.programs
        yield from self._wait("needle")
        words = tokenizers.load(programs.loaded.tokenizer)
        states = yield from self.source.states(self.question.alpha)
        self.columns.update({name: Column() for name in states})
        if self.question.answer:
            yield from self._grade(states, words)
        programs.also("writing")
        yield from self._wait("writing")
        yield from self._write(states, words)

    def _wait(self, stage: str) -> Iterator[str]:
        """Words, as long as a program is not ready.

        **Raises** `ValueError` where it cannot be made.
        """
        programs = self.source.programs.start()
        while not programs.ready(stage):
            if programs.error:
                raise ValueError(programs.error)
            yield programs.words(stage)
            time.sleep(0.05)

    def _grade(self, states: dict, words) -> Iterator[str]:
        """Nats and ranks of the right answer, column by column."""
        model = self.source.programs.loaded.model
        row = words.encode(self.question.lead), words.encode(self.question.end)
        for name, state in states.items():
            yield "weighing the answer"
            self.columns[name].found = ask(model, state, *row)

    def _write(self, states: dict, words) -> Iterator[str]:
        """The columns write in turn, a piece each; all are given the same dice."""
        asked, model = self.question, self.source.programs.loaded.model
        prompt = words.encode(asked.lead)
        dials = {"temperature": asked.temperature, "top_p": asked.top_p}
        more = {"seed": asked.seed, "learns": False, **dials}
        stops = () if asked.kind == CONTINUE else ("\n\n",)
        begin = lambda state: write(
            model, state, words, prompt, asked.tokens, stops=stops, **more
        )
        waiting = {name: begin(state) for name, state in states.items()}
        while waiting:
            for name in list(waiting):
                yield "writing"
                piece = next(waiting[name], None)
                if piece is None or self._said(self.columns[name], piece):
                    self.columns[name].done = True
                    del waiting[name]

    def _said(self, column: Column, piece: str) -> bool:
        """Add a piece; whether a sentence that was to be completed is at its end."""
        column.written += piece
        end = _END.search(column.written)
        if self.question.kind != COMPLETE or end is None:
            return False
        column.written = column.written[: end.end()]
        return True
