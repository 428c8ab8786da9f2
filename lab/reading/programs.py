"""A model made ready in the background: opened, then compiled stage by stage.

A screen must never freeze while XLA compiles. So a thread does the work, the learning
step first because a reading can start with that alone. Callers ask for the progress:
`ready` answers at once, `wait` blocks, `words` is for people.

Importing this file is instant; `open` or that thread imports jax.

A thread that compiles while the interpreter is taken down aborts the process, so the
interpreter waits at its end for the program that is being compiled (`_leave`).
"""

import atexit
import dataclasses
import functools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.reading.changes import AS_TRAINED, Changes


# The stages, in order: words for a stage while it is being made, and once it is ready.
STAGES = {
    "model": ("opening the model", "model open"),
    "learning": ("compiling the learning step", "learning step ready"),
    "twin": ("compiling the frozen twin", "frozen twin ready"),
    "needle": ("compiling questions", "questions ready"),
}
# Stages that are made only when somebody asks for them, behind the others (`also`).
LATER = {"writing": ("compiling the writing", "writing ready")}
# Full attention keeps all that was read: room for so many tokens, or a multiple.
ROOM = 4_096
ASKED = 512  # tokens of a needle, its question and its answer, and more


PATIENCE = 30.0  # seconds that the end of the process waits for a program
_at_work: "weakref.WeakSet[threading.Thread]" = weakref.WeakSet()
_leaving = threading.Event()
_saved = threading.local()  # seconds of compiling that the cache on disk saved
_SAVED = "/jax/compilation_cache/compile_time_saved_sec"


@dataclass(frozen=True)
class Loaded:
    """A model (a `ttt_core.Transformer`) with its name, tokenizer's name and hash."""

    model: object
    name: str
    tokenizer: str
    hash: str


def load_model(name: str) -> Loaded:
    """The published model `name`, or the one in the file at that path.

    **Raises** what `lab.checkpoints.load` raises.
    """
    from lab import checkpoints

    model, card = checkpoints.load(name), checkpoints.card(name)
    digest = checkpoints.model_hash(model)
    return Loaded(model, Path(name).stem, card["tokenizer"], digest)


class Programs:
    """A model and its compiled programs, made ready one stage after another.

    `start` begins in a background thread and returns at once; `open` opens the model
    here and compiles nothing, for whoever has something to check first. `words`
    describes the state of a stage, for a screen; `wait` blocks until a stage is ready.

    Args:
        name: a published model's name, or a path.
        load: opens the model (default: `load_model`).
        text, tokens: what will be read, and at most how much, if that is known. The
            programs of full attention are made for that length, and so once; without
            it, for `ROOM` tokens.
        changes: what is changed in the model's way of learning; `called` is a name for
            both together.
    """

    def __init__(
        self,
        name: str,
        *,
        load: Callable[[str], Loaded] | None = None,
        text: str = "",
        tokens: int | None = None,
        changes: Changes = AS_TRAINED,
    ):
        self.name, self.changes = name, changes
        self.called = changes.called(name)
        self.room = ROOM
        self._text, self._tokens = text, tokens
        self.loaded: Loaded | None = None
        self.twin = None
        self.error: str | None = None
        self._load = load or load_model
        self._began: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._compiled: dict[str, float] = {}
        self._chunk_took: dict[str, float] = {}
        self._ready = {stage: threading.Event() for stage in STAGES | LATER}
        self._later: set[str] = set()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def open(self) -> "Programs":
        """Open the model in this thread, unless somebody has begun to.

        **Raises** what `load` raises.
        """
        with self._starting:
            if self._thread is None and not self._ready["model"].is_set():
                self._make("model")
        return self

    def start(self, *, after: float = 0.0) -> "Programs":
        """Begin, unless already begun; wait `after` seconds for a first picture."""
        with self._starting:
            if self._thread is None:
                work = threading.Thread(
                    target=self._prepare, args=(after,), daemon=True
                )
                self._thread = work
                _at_work.add(work)
                work.start()
        return self

    def also(self, stage: str) -> "Programs":
        """Begin with a stage of `LATER` in the background, unless already begun."""
        self.start()
        with self._starting:
            if stage in self._later:
                return self
            self._later.add(stage)
            work = threading.Thread(target=self._add, args=(stage,), daemon=True)
            _at_work.add(work)
            work.start()
        return self

    def ready(self, stage: str) -> bool:
        """Whether `stage` is ready to be used."""
        return self._ready[stage].is_set() and self.error is None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen: all stages are ready, or one has failed."""
        return self.error is not None or all(map(self.ready, STAGES))

    def wait(self, stage: str, timeout: float | None = None) -> "Programs":
        """Block until `stage` is ready.

        **Raises** `ValueError` with the reason if the model cannot be used,
        `TimeoutError` after `timeout` seconds.
        """
        if not self._ready[stage].is_set():
            self.start()
        if not self._ready[stage].wait(timeout):
            raise TimeoutError(f"{self.words(stage)}: not ready within {timeout:g} s.")
        if self.error:
            raise ValueError(self.error)
        return self

    def words(self, stage: str) -> str:
        """A few words on a stage, such as "compiling the learning step, 4 s"."""
        doing, done = (STAGES | LATER)[stage]
        if stage in self._took:
            return f"{done} in {self._took[stage]:.1f} s"
        if stage in self._began and not self.error:
            return f"{doing}, {time.monotonic() - self._began[stage]:.0f} s"
        return f"{doing}: waiting its turn"

    @property
    def seconds_per_chunk(self) -> float | None:
        """What a chunk took here, the twin's included; None before that is known.

        A model that never learns is its own twin.
        """
        learns = self.loaded is not None and self.loaded.model.config.learns
        parts = ("learning", "twin") if learns else ("learning",)
        found = [self._chunk_took.get(part) for part in parts]
        return None if None in found else sum(found)

    @property
    def now(self) -> str:
        """The work in progress, in one line; empty when finished."""
        if self.finished:
            return ""
        return next((self.words(s) for s in STAGES if not self.ready(s)), "")

    def _prepare(self, after: float):
        time.sleep(after)
        try:
            for stage in STAGES:
                if _leaving.is_set():
                    break
                if not self._ready[stage].is_set():
                    self._make(stage)
        # The screen must show every error in this thread, whatever its kind.
        except Exception as error:  # noqa: BLE001
            self.error = f"The model {self.name!r} cannot be used: {error}"
        finally:
            for event in self._ready.values():
                event.set()

    def _add(self, stage: str):
        self._ready[list(STAGES)[-1]].wait()
        try:
            if not (self.error or _leaving.is_set()):
                self._make(stage)
        # As in `_prepare`: the screen shows the error.
        except Exception as error:  # noqa: BLE001
            self.error = f"The model {self.name!r} cannot write: {error}"
        finally:
            self._ready[stage].set()

    @property
    def seconds_to_compile(self) -> float | None:
        """What a fresh compiling of these programs takes; None before all is ready.

        Of a program that came out of the cache on disk, the time that JAX noted when
        the program was compiled.
        """
        parts = [self._compiled.get(stage) for stage in STAGES if stage != "model"]
        return None if None in parts else sum(parts)

    def _make(self, stage: str):
        self._began[stage] = time.monotonic()
        _saved.seconds = 0.0
        make = getattr(self, f"_make_{stage}")
        try:
            make()
        except SystemError:
            # Python loses count when two threads parse source at once, as a library
            # here and a page of the explorer may (cpython issue 106905): once more.
            make()
        self._took[stage] = time.monotonic() - self._began[stage]
        self._compiled[stage] = self._took[stage] + _saved.seconds
        self._ready[stage].set()

    def _make_model(self):
        import ttt_core as ttt

        # The last to register is the first to run: before JAX takes itself down.
        atexit.unregister(_leave)
        atexit.register(_leave)
        _listen()
        self.loaded = self._changed(self._load(self.name))
        self.twin = ttt.without_learning(self.loaded.model)
        self.room = self._room()

    def _changed(self, loaded: Loaded) -> Loaded:
        """The model with the changes, and with a hash of its own."""
        from lab import checkpoints

        if not self.changes:
            return loaded
        config = checkpoints.config_to_dict(loaded.model.config)
        self.changes = self.changes.beyond(config)
        model = self.changes.apply(loaded.model, loaded.name)
        digest = checkpoints.model_hash(model)
        return dataclasses.replace(loaded, model=model, hash=digest)

    def _room(self) -> int:
        """Tokens that the text will fill, as far as the text is known."""
        from lab.data import tokenizers
        from ttt_core.mixers import kinds_of

        config = self.loaded.model.config
        if not any(kind.grows for kind in kinds_of(config)):
            return ROOM
        count = len(tokenizers.load(self.loaded.tokenizer).encode(self._text))
        read = min(count, self._tokens or count)
        return room_for(read + ASKED + 2 * config.chunk)

    def _make_learning(self):
        self._chunk_took["learning"] = _read_nothing(self.loaded.model, self.room)

    def _make_twin(self):
        self._chunk_took["twin"] = _read_nothing(self.twin, self.room)

    def _make_needle(self):
        import ttt_core as ttt

        for model in (self.loaded.model, self.twin):
            state = ttt.init_state(model, capacity=self.room)
            ttt.predict(model, state, []).block_until_ready()

    def _make_writing(self):
        import jax

        import ttt_core as ttt
        from ttt_core.decode import Dials, write

        model = self.loaded.model
        state = ttt.init_state(model, capacity=self.room)
        next(write(model, state, key=jax.random.key(0), dials=Dials(), rate=0.0))


def room_for(tokens: int) -> int:
    """Room for so many tokens in full attention's buffers.

    Steps of `ROOM` tokens let texts of about one length share their programs.
    """
    return -(-tokens // ROOM) * ROOM


def _read_nothing(model, room: int) -> float:
    """Compile reading, on two chunks: the second starts from a computed state.

    Returns the seconds that a third one takes.
    """
    import jax

    import ttt_core as ttt

    state = ttt.init_state(model, capacity=room)
    tokens = np.zeros(model.config.chunk, np.int32)
    for _ in range(3):
        began = time.perf_counter()
        state, report = ttt.read_chunk(model, state, tokens)
        jax.block_until_ready(report)
    return time.perf_counter() - began


@functools.cache
def _listen() -> None:
    """Add up, thread by thread, the compiling that the cache on disk saves."""
    import jax

    def note(event: str, seconds: float, **_):
        if event == _SAVED:
            _saved.seconds = getattr(_saved, "seconds", 0.0) + seconds

    jax.monitoring.register_event_duration_secs_listener(note)


def _leave() -> None:
    """Let the program that is being compiled end before the interpreter does.

    Compiling cannot be interrupted. After `PATIENCE` seconds the process ends at once,
    as a failure: whoever leaves so early did not get what was asked for.
    """
    _leaving.set()
    until = time.monotonic() + PATIENCE
    for work in list(_at_work):
        work.join(max(0.0, until - time.monotonic()))
    if any(work.is_alive() for work in _at_work):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


atexit.register(_leave)
