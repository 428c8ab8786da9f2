"""One reading: a model, its frozen twin and a document, driven chunk by chunk.

`Reading` is a plain class that the explorer, the command and the notebooks all drive:
`step()` reads one chunk, `trace` is everything measured so far. Nothing is drawn here.

What is compared: the *learning* stream takes an inner step after each chunk; its
*frozen* twin has the same weights and never learns. If a needle is planted, both also
read the same document with filler of as many tokens instead of the needle, and after
each chunk a fork of each of the four streams is asked for the answer. Up to the needle
the two documents are the same, so one reading serves both, and a fork starts there.

What waits for what: compiling takes seconds, so `programs.py` compiles in the
background, the learning step first. The reading starts as soon as the learning step is
ready; the twin catches up, a few chunks per step, when its own program is ready.

jax is imported only when something is read: importing this file is instant.
"""

import functools
import hashlib
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from lab import runs
from lab.data import needles, tokenizers
from lab.measure import certificates
from lab.measure.answers import ask
from lab.reading.marks import Marks
from lab.reading.plan import Plan, make_plan
from lab.reading.programs import Programs, room_for
from lab.reading.speed import Speed
from lab.traces import Event, Header, Trace


# A stream that lags behind reads this many chunks in one step, of a slow model fewer:
# nothing can be stopped within a step.
CATCH_UP, CATCH_UP_SLOWLY = 4, 2
SLOW = 0.25  # seconds a chunk
MOST_ASKED = 200  # questions that a trace marks
LABEL = 120  # characters of such a mark


class Start(NamedTuple):
    """Where a reading goes on: states at a chunk's start, and what they have read.

    `states`: "learning" and "frozen". `before`: the document's tokens that were read
    already. `began`: tokens that were read before this document. `mark`: hash of the
    states' file.
    """

    states: dict[str, Any]
    before: np.ndarray
    began: int
    mark: str


class Reading:
    """A document being read by a model and its frozen twin, chunk by chunk.

    Args:
        programs: a model made ready, or the name of a model.
        text: the text to read.
        document: the text's name.
        needle: a `lab.data.needles.Needle` to plant, or None.
        at: where to plant the needle, from 0 (start) to 1 (end).
        tokens: read at most this many tokens, None = all.
        seed, command: recorded in the trace's provenance.
        start: where another reading ended (`lab.reading.states`), None = W0 and an
            empty window.
        rate: a factor on the model's inner rate; another one compiles nothing.

    **Raises** `ValueError` for a text, or for `tokens`, of fewer than two chunks.
    """

    def __init__(
        self,
        programs: Programs | str,
        text: str,
        *,
        document: str = "pasted text",
        needle: needles.Needle | None = None,
        at: float = 0.3,
        tokens: int | None = None,
        seed: int | None = None,
        command: str = "",
        start: Start | None = None,
        rate: float = 1.0,
    ):
        if isinstance(programs, str):
            programs = Programs(programs)
        self.programs = programs.wait("model")
        self._loaded = programs.loaded
        self._audited = certificates.line(self._loaded.hash)
        self.plan = make_plan(
            tokenizers.load(self._loaded.tokenizer),
            text,
            chunk=self.config.chunk,
            needle=needle,
            at=at,
            tokens=tokens,
        )
        if start:
            self.plan = self.plan.since(len(start.before))
        self.start, self._document, self.pace = start, document, Speed()
        self._asked: list[Event] = []
        self._provenance = {
            "command": command,
            "commit": runs.commit(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": seed,
            "document_hash": hashlib.sha256(self.plan.text).hexdigest(),
            **({"resumed": start.mark} if start else {}),
            **({"rate": rate} if rate != 1 else {}),
            **programs.changes.recorded,
        }
        room = max(programs.room, room_for(self.plan.most))
        states = start.states if start else {}
        self._learning = _Reader(
            self._loaded.model, self.plan, room, states.get("learning"), rate
        )
        # A model that never learns is its own twin, so one reading is enough.
        learns = self.config.learns
        self._frozen = (
            _Reader(programs.twin, self.plan, room, states.get("frozen"))
            if learns
            else self._learning
        )

    @property
    def document(self) -> str:
        """The text's name."""
        return self._document

    @property
    def config(self):
        """The model's configuration, `ttt_core.ModelConfig`."""
        return self._loaded.model.config

    @property
    def filled(self) -> int:
        """Number of chunks that the learning stream has read and learned from."""
        return self._learning.filled

    @property
    def reached(self) -> int:
        """Bytes of the text that have been read."""
        read = self._learning.read
        return int(self.plan.spans[read - 1, 1]) if read else 0

    def follow(self, reached: int, seconds: float) -> None:
        """Read on to where another reading of the text is, or for about `seconds`."""
        if self.reached >= reached or self.done or self.waiting:
            return
        goal = int(np.searchsorted(self.plan.spans[:, 1], reached)) + 1
        behind = goal - self._learning.read
        self.read_for(seconds, max(1, -(-behind // self.config.chunk)))

    @property
    def done(self) -> bool:
        """Whether both streams, learning and frozen, have read everything."""
        return self._learning.done and self._frozen.done

    @property
    def waiting(self) -> str | None:
        """Words on the program that the next `step` would wait for, or None."""
        stage = self._needed()
        # After an error there is nothing to wait for: the step will raise the error.
        usable = self.programs.ready(stage) or self.programs.error
        return None if usable else self.programs.words(stage)

    def step(self, chunks: int = 1) -> int:
        """Read `chunks` chunks with learning; the frozen twin follows, or catches up.

        An end of the document that fills no chunk counts as one more. A step waits for
        its programs (see `waiting`), and does nothing once the reading is `done`. From
        the needle on, questions are asked after each chunk, so a step reads one.

        Returns how many chunks were read.
        """
        self.programs.wait(self._needed())
        read = 0 if self._learning.done else self._learning.advance(chunks)
        spare = CATCH_UP_SLOWLY if self._is_slow else CATCH_UP
        due = max(spare, chunks) if self.programs.ready("twin") else 0
        while due > 0 and (behind := self._learning.read - self._frozen.read) > 0:
            due -= self._frozen.advance(min(due, -(-behind // self.config.chunk)))
        self.pace.note(self._learning.read)
        return read

    @property
    def _is_slow(self) -> bool:
        """Whether a chunk takes so long that a button would be heard late."""
        return (self.programs.seconds_per_chunk or 0.0) > SLOW

    def read_for(self, seconds: float, chunks: int) -> None:
        """Read `chunks` chunks, or as many as are read within about `seconds`.

        At least one step is taken. Pieces grow, so that a fast model reads many chunks
        in one call of its program, but never beyond what fits into the time that is
        left: nothing is heard within a piece.
        """
        until, piece = time.monotonic() + seconds, 1
        while chunks > 0 and not self.done:
            # A twin that lags behind the end of the document reads on.
            began = time.monotonic()
            chunks -= (read := self.step(min(piece, chunks)) or 1)
            now = time.monotonic()
            if now >= until or self.waiting:
                return
            fits = (until - now) * read / max(now - began, 1e-9)
            piece = max(1, min(2 * piece, int(fits)))

    @property
    def trace(self) -> Trace:
        """Everything measured so far; later steps do not change it.

        A step only appends, so the arrays are views; those that a lagging twin has yet
        to fill are copies.
        """
        learning, frozen = self._learning, self._frozen
        read, filled = learning.read, learning.filled
        own = np.array if frozen.read < read else np.asarray
        asked = [
            np.concatenate(
                [getattr(reader, name)[:filled] for reader in (learning, frozen)], 1
            )
            for name in ("asked_nll", "asked_rank")
        ]
        return Trace(
            header=self._header(),
            text=self.plan.text,
            tokens=self.plan.ids[:read],
            spans=self.plan.spans[:read],
            nll=learning.nll[:read],
            nll_twin=own(frozen.nll[:read]),
            loss_twin=own(frozen.columns["loss"][:filled]),
            **{name: column[:filled] for name, column in learning.columns.items()},
            needle_nll=asked[0],
            needle_rank=asked[1],
        )

    @property
    def states(self) -> dict[str, tuple]:
        """The `StreamState` of each stream so far, with the model that reads it.

        With `trace` they are all that a reading needs to `go_on` from here.
        """
        found = {}
        for name, reader in self._readers.items():
            found[name] = (reader.at.state, reader.model)
            if reader.at.absent is not None:
                found[f"{name}-absent"] = (reader.at.absent, reader.model)
        return found

    @property
    def way_back(self) -> dict[str, tuple[Any, Marks, Any]]:
        """By stream: its model, the states kept on the way, and where it stands."""
        return {
            name: (reader.model, reader.marks, reader.at)
            for name, reader in self._readers.items()
        }

    def go_on(self, trace: Trace, states: dict[str, Any]) -> None:
        """Take up the reading that was left with `trace` and `states`, bit for bit.

        **Raises** `ValueError` for another document, model, needle or length.
        """
        ours, theirs = self._header().identity, trace.header.identity
        if wrong := [name for name in ours if ours[name] != theirs[name]]:
            raise ValueError(f"it is a reading of another {' and '.join(wrong)}")
        self._check_whole(trace, states)
        for name, reader in self._readers.items():
            columns = {key: getattr(trace, key) for key in reader.columns}
            nll, pair = trace.nll, slice(0, 2)
            if name == "frozen":
                columns = {"loss": trace.loss_twin}
                nll, pair = trace.nll_twin, slice(2, 4)
            asked = trace.needle_nll[:, pair], trace.needle_rank[:, pair]
            state, absent = states[name], states.get(f"{name}-absent")
            reader.go_on(state, absent, nll, columns, *asked)

    def _check_whole(self, trace: Trace, states: dict[str, Any]):
        """Check that states and trace belong together, before a reader moves."""
        for name, reader in self._readers.items():
            if name not in states:
                raise ValueError(f"the stream {name!r} is missing")
            read = int(states[name].position) - reader.began
            asked = self.plan.needle and read // self.plan.chunk > self.plan.first
            if asked and f"{name}-absent" not in states:
                raise ValueError(f"the stream '{name}-absent' is missing")
            if read > trace.read or trace.needle_nll.shape[2] != len(self.plan.answer):
                raise ValueError(f"the trace does not reach to where {name!r} stands")

    @property
    def _readers(self) -> dict[str, "_Reader"]:
        """The readers by name; a model that never learns needs one."""
        found = {"learning": self._learning}
        return found | ({"frozen": self._frozen} if self.config.learns else {})

    def _needed(self) -> str:
        """The stage of `Programs` that the next step needs."""
        if self._learning.done:
            return "twin"
        return "needle" if self._learning.asks_next else "learning"

    def _header(self) -> Header:
        from ttt_core.mixers import kinds_of, remark_on

        config, loaded = self.config, self._loaded
        kinds = tuple(dict.fromkeys(kinds_of(config)))
        return Header(
            model=loaded.name,
            model_hash=loaded.hash,
            document=self._document,
            tokenizer=loaded.tokenizer,
            vocab=config.vocab,
            window=config.window,
            chunk=config.chunk,
            layers=config.layers,
            reach=config.reach or 0,
            mixers=tuple(kind.name for kind in kinds),
            carried_by=tuple(kind.title for kind in kinds if kind.is_recurrent),
            attends=any(kind.build for kind in kinds),
            remark=remark_on(config),
            audited=self._audited,
            fast_blocks=config.fast_blocks,
            inner_lr=config.inner.lr * self._learning.rate,
            total=len(self.plan.ids),
            needle=self.plan.needle,
            events=self._events(),
            provenance=self._provenance,
        )

    def note_question(self, words: str, chunk: int | None = None) -> None:
        """Mark that a question was asked after `chunk` chunks, None = all so far."""
        after = self.filled if chunk is None else min(chunk, self.filled)
        if after and len(self._asked) < MOST_ASKED:
            place, label = after * self.config.chunk, f"asked: {words}"
            self._asked.append(Event(after - 1, place, "asked", label[:LABEL]))

    def _events(self) -> tuple[Event, ...]:
        """The moments so far that deserve a mark."""
        chunk, refused = self.config.chunk, self._learning.columns["refused"]
        events = [
            Event(int(i), int(i * chunk), "refused", "inner step refused")
            for i in np.flatnonzero(refused[: self.filled])
        ]
        events += self._asked
        if needle := self.plan.needle:
            places = [(needle.start, "needle-in", "needle planted")]
            if reach := self.config.reach:
                out = needle.stop + reach
                places.append((out, "needle-out", "needle leaves reach"))
            events += [Event(t // chunk, t, kind, label) for t, kind, label in places]
        events = [event for event in events if event.chunk < self.filled]
        return tuple(sorted(events, key=lambda event: event.token))


class _At(NamedTuple):
    """Where a reader is: its states, chunks filled and tokens read.

    The place changes by one assignment at the end of a step, so that a step that is
    interrupted anywhere has not happened.
    """

    state: Any
    absent: Any = None
    filled: int = 0
    read: int = 0


class _Reader:
    """One model reading a plan and, from the needle on, also its twin without needle.

    Arrays are as long as the plan and are filled from the front. `room`: tokens that
    full attention has room for, from the start, so that its programs are made once.
    `state`: where to start from, None = the state before the first token. `rate`: a
    factor on the inner rate.
    """

    def __init__(self, model, plan: Plan, room: int, state=None, rate: float = 1.0):
        import ttt_core as ttt

        self.model, self.plan, self.rate = model, plan, rate
        self.at = _At(state or ttt.init_state(model, capacity=room))
        self.began = int(self.at.state.position)
        self.marks = Marks(self.at.state, learns=model.config.learns)
        n, chunks = len(plan.ids), len(plan.ids) // plan.chunk
        self.nll = np.full(n, np.nan, np.float32)
        numbers = ("loss", "grad_norm", "update_norm")
        self.columns = {name: np.full(chunks, np.nan, np.float32) for name in numbers}
        self.columns |= {k: np.zeros(chunks, bool) for k in ("learned", "refused")}
        self.columns["drift"] = np.zeros((chunks, model.config.fast_blocks), np.float32)
        self.asked_nll = np.full((chunks, 2, len(plan.answer)), np.nan, np.float32)
        self.asked_rank = np.full(self.asked_nll.shape, -1, np.int32)

    @property
    def filled(self) -> int:
        return self.at.filled

    @property
    def read(self) -> int:
        return self.at.read

    @property
    def done(self) -> bool:
        return self.read == len(self.plan.ids)

    @property
    def asks_next(self) -> bool:
        """Whether the next step will ask for the needle."""
        last = self.filled == len(self.columns["loss"])
        return not last and self.filled >= self.plan.first

    def advance(self, chunks: int = 1) -> int:
        """Read at most `chunks` chunks, and the end that fills none.

        Nobody looks between chunks before the needle; from there on, one is read.
        Returns how many were read; an end of the text that fills none counts as one.
        """
        calm = max(1, min(chunks, self.plan.first - self.filled))
        done = self._read_on(calm)
        while done < calm and not self.done:
            done += self._read_on(calm - done)
        return done

    def _read_on(self, chunks: int) -> int:
        """Read at most `chunks` chunks in a call, up to the next state that is kept."""
        import ttt_core as ttt

        chunk, (before, absent, filled, start) = self.plan.chunk, self.at
        asks, most = self.asks_next, min(chunks, self.marks.until_next(filled))
        tokens = self.plan.ids[start : start + most * chunk]
        read, whole = start + len(tokens), len(tokens) // chunk
        # `read`, unlike `read_chunk`, enlarges the buffers of full attention.
        read_on = functools.partial(ttt.read, self.model, rate=self.rate)
        state, report = read_on(before, tokens)
        self.nll[start:read] = report.nll
        for name, column in self.columns.items():
            column[filled : filled + whole] = np.asarray(getattr(report, name))
        if asks:
            # Up to the needle both documents are the same: one state serves both.
            absent = before if absent is None else absent
            absent, _ = read_on(absent, self.plan.absent[start:read])
            self._ask(filled, (state, absent))
        if len(tokens) == whole * chunk:  # not one with an open chunk
            self.marks.note(filled + whole, state)
        self.at = _At(state, absent, filled + whole, read)
        return -(-len(tokens) // chunk)

    def go_on(self, state, absent, nll, columns: dict, asked_nll, asked_rank) -> None:
        """Stand where another reader of the same plan stood, with what was measured."""
        read = int(state.position) - self.began
        filled = read // self.plan.chunk
        self.nll[:read] = nll[:read]
        for name, values in columns.items():
            self.columns[name][:filled] = values[:filled]
        self.asked_nll[:filled] = asked_nll[:filled]
        self.asked_rank[:filled] = asked_rank[:filled]
        self.at = _At(state, absent, filled, read)

    def _ask(self, filled: int, states) -> None:
        for which, state in enumerate(states):
            found = ask(self.model, state, self.plan.prompt, self.plan.answer)
            self.asked_nll[filled, which] = found.nll
            self.asked_rank[filled, which] = found.rank
