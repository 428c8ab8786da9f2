"""Models and readings that visitors share a machine for.

One model serves all its readers. Programs are made one model after the other, because
two compilers on two cores are slower than one, and those that a visitor waits for come
before those that somebody may want. Nothing is taken from a visitor: each session holds
the `Programs` it has chosen, so a model leaves the shelf when no session and none of
the last few orders holds it. A visitor who leaves takes reading and order along.
"""

import threading
import time
from collections import deque
from weakref import WeakSet, WeakValueDictionary

from lab.reading.changes import AS_TRAINED, Changes
from lab.reading.programs import STAGES, Programs
from lab.reading.session import Reading


RECENT = 2  # models that are kept although nobody holds them


class Shelf:
    """Programs by the names of their models, made in turn; and the live readings."""

    def __init__(self):
        self.readings: WeakSet[Reading] = WeakSet()
        self._known: WeakValueDictionary[str, Programs] = WeakValueDictionary()
        self._recent: deque[Programs] = deque(maxlen=RECENT)
        self._waiting: dict[str, bool] = {}  # names in order; does anybody wait?
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()

    def programs(self, model: str, changes: Changes = AS_TRAINED) -> Programs:
        """The programs of `model`, the same for everybody who holds them.

        A model with changes is another one, by the name `changes.called(model)`.
        """
        with self._lock:
            name = changes.called(model)
            found = self._known.get(name)
            if found is None:
                found = self._known[name] = Programs(model, changes=changes)
            if found not in self._recent:
                self._recent.append(found)
            return found

    @property
    def models(self) -> dict[str, Programs]:
        """The models on the shelf by name, in alphabetical order."""
        with self._lock:
            return dict(sorted(self._known.items()))

    def order(self, model: str, *, now: bool, after: float = 0.0) -> None:
        """Have the programs of `model` made, `after` seconds from now or later.

        `now`: a visitor waits for them, so they come before all that nobody waits for.
        """
        with self._lock:
            found = self._known.get(model)
            if found is None or found.finished:
                return
            self._waiting[model] = now or self._waiting.get(model, False)
            if self._worker is None:
                make = threading.Thread(target=self._make, args=(after,), daemon=True)
                self._worker = make
                make.start()

    def forget(self, model: str) -> None:
        """Try anew what has failed, when a visitor asks again."""
        with self._lock:
            if (found := self._known.get(model)) and found.error:
                del self._known[model]
                self._recent = deque(
                    (p for p in self._recent if p is not found), RECENT
                )

    def _make(self, after: float) -> None:
        time.sleep(after)
        while programs := self._next():
            try:
                programs.wait(list(STAGES)[-1])
            except ValueError:
                # The page of whoever waits shows `programs.error`.
                continue

    def _next(self) -> Programs | None:
        """The programs to be made next, None (and the end of the worker) if none."""
        with self._lock:
            order = sorted(self._waiting, key=lambda model: not self._waiting[model])
            for model in order:
                del self._waiting[model]
                # A model that nobody holds any more is not made.
                found = self._known.get(model)
                if found is not None and not found.finished:
                    return found
            self._worker = None
            return None
