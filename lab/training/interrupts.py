"""Ctrl-C and SIGTERM in a training: what was learned is saved before the end.

The first signal asks: the loop finishes its step, saves, and ends. If everything is
saved already, or at a second signal, the training ends at once. (One of several
processes finishes the step in any case, so that all end together.) Python runs no code
while XLA compiles or computes, so that a thread listens as well: it ends the process if
the training has not ended by itself within `GRACE_S`.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from lab import runs, stopping
from lab.stopping import Stopped
from lab.training.hosts import are_several


SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 3.0
SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it
GO_ON = "the same command goes on from there"


class Interrupts:
    """A context in which a training is asked to stop, instead of being broken off.

    Attributes:
        asked: the number of the first signal, 0 as long as there was none.
        done: steps done by this process or before.
        saved: steps of the newest checkpoint that this process has written.
    """

    def __init__(self, run: Path, say: Callable[[str], None] | None = None):
        """Prepare for the run folder `run`; `say` gets a sentence when a save begins.

        Until the context is entered, no signal is received.
        """
        self.run, self.say = run, say or (lambda text: None)
        self.asked = self.done = self.saved = 0
        self._over, self._before = threading.Event(), {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is not threading.main_thread():
            return self  # Python gives signals to the main thread alone
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        self._are_several = are_several()
        self._wakeup = signal.set_wakeup_fd(
            self._mouth.fileno(), warn_on_full_buffer=False
        )
        self._before = {n: signal.signal(n, self._receive) for n in SIGNALS}
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._over.set()
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._mouth.close()

    def stopped(self, number: int) -> Stopped:
        """The end of a training that was asked to stop by signal `number`."""
        if self.saved == self.done:
            return self._end(number, f"at step {self.done}; saved: {GO_ON}")
        jumped = f"at step {self.done}, which is not saved because its loss has jumped"
        return self._end(number, f"{jumped}; {kept(self.run)}")

    def _at_once(self, number: int) -> Stopped:
        when = f"at step {self.done}, unsaved" if self._has_unsaved else "at once"
        return self._end(number, f"{when}; {kept(self.run)}")

    @staticmethod
    def _end(number: int, how: str) -> Stopped:
        end = Stopped(f"stopped {how}")
        end.__cause__ = stopping.error_of(number)
        return end

    @property
    def _has_unsaved(self) -> bool:
        return self.done != self.saved

    @property
    def _goes_on(self) -> bool:
        """Whether a first signal waits for the end of the step."""
        return self._has_unsaved or (self._are_several and self.done > 0)

    def _receive(self, number, frame):
        is_second, self.asked = bool(self.asked), self.asked or number
        if is_second or not self._goes_on:
            raise self._at_once(number)

    def _listen(self):
        count = 0
        while heard := self._ear.recv(64):
            for number in filter(SIGNALS.__contains__, heard):
                count += 1
                if count == 1 and self._goes_on:
                    self.say("stopping: this step is finished and saved first")
                elif not self._over.wait(GRACE_S):
                    self._leave(number, count)
        self._ear.close()

    def _leave(self, number: int, count: int):
        """End the process, unless the loop has taken a first signal after all."""
        if count == 1 and self._goes_on:
            return
        cursor = SHOW_CURSOR if sys.stderr.isatty() else ""
        print(f"{cursor}\nttt-lab: {self._at_once(number)}.", file=sys.stderr)
        sys.stderr.flush()
        os._exit(128 + number)


def kept(run: Path) -> str:
    """What of a run is on the disk, and what the same command does with it."""
    if newest := runs.newest_checkpoint(run):
        return f"the last whole checkpoint is of step {newest}: {GO_ON}"
    return "nothing is saved yet: the same command begins again"
