"""Run a notebook in a kernel of its own, and notice when nothing happens any more.

A limit of time cannot tell a busy machine from a lost answer: on two crowded cores a
kernel may take a minute to import its packages, and now and then a kernel has answered
and the client never wakes. So a cell may take as long as it works. The client looks
once a second, and a kernel that has used no processor time for `SILENT_S` is given up:
the notebook is run again, once, in a new kernel.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty

import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from lab import stopping


SILENT_S = 60.0
LEAST_CPU_S = 0.5  # a kernel that only waits uses less than this in `SILENT_S`
TRIES = 2
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stalled(RuntimeError):
    """A kernel that does nothing and has not answered."""


class CellFailed(ValueError):
    """A cell that raised an error, as a sentence."""


class PatientClient(NotebookClient):
    """A client that waits while the kernel works, in slices of a second."""

    silent_s = SILENT_S
    asked = 0  # the signal that asked for an end

    async def async_start_new_kernel_client(self):
        """Start as usual, and let the channel of answers be looked at every second."""
        client = await super().async_start_new_kernel_client()
        self._end_when_asked()
        self._kernel = psutil.Process(self.km.provisioner.pid)
        channel, look = client.shell_channel, client.shell_channel.get_msg

        async def get_msg(timeout: float | None = None):
            watch = _Watch(self._kernel, self.silent_s)
            end = time.monotonic() + (timeout or float("inf"))
            while True:
                try:
                    return await look(timeout=1.0)
                except Empty:
                    watch.look()
                    if time.monotonic() > end:
                        raise

        channel.get_msg = get_msg
        return client

    async def _async_poll_kernel_alive(self):
        """As usual; a watch that outlives its kernel after a stop says nothing."""
        try:
            await super()._async_poll_kernel_alive()
        except AssertionError:
            if self.kc is not None:
                raise

    def _end_when_asked(self):
        """Let Ctrl-C end the run; the client's own handler ends the kernel alone."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def end(number):
            self.asked = number
            task.cancel()

        try:
            for number in SIGNALS:
                loop.add_signal_handler(number, end, number)
        except (RuntimeError, ValueError, NotImplementedError):
            pass  # another thread than the main one, or Windows


class _Watch:
    """Has a process done anything of late?"""

    def __init__(self, process: psutil.Process, silent_s: float):
        self.process, self.silent_s = process, silent_s
        self.since, self.used = time.monotonic(), self._cpu()

    def look(self):
        """Raise `Stalled` if nothing was done for `silent_s`."""
        used, now = self._cpu(), time.monotonic()
        if used - self.used > LEAST_CPU_S:
            self.since, self.used = now, used
        if now - self.since > self.silent_s:
            raise Stalled(f"the kernel has done nothing for {self.silent_s:.0f} s")

    def _cpu(self) -> float:
        try:
            times = self.process.cpu_times()
        except psutil.Error:  # it has ended, which the client notices by itself
            return float("inf")
        return times.user + times.system + times.children_user


def run(
    notebook,
    folder: Path,
    *,
    environment: dict[str, str],
    cell_done: Callable[[int], None] = lambda cells: None,
    say: Callable[[str], None] = lambda sentence: None,
):
    """A notebook from top to bottom, in place; outputs are in its cells afterwards.

    Args:
        notebook: as `nbformat.read` gives it.
        folder: the kernel's working folder.
        environment: variables that the kernel has beside this process's own.
        cell_done: called with the number of code cells that are done.
        say: called with a sentence if a kernel is given up.

    **Raises** `CellFailed` naming the cell, `Stalled` after `TRIES` silent kernels.
    """
    for left in reversed(range(TRIES)):
        done = _Count(cell_done)
        client = PatientClient(
            notebook,
            timeout=None,
            coalesce_streams=True,
            extra_arguments=["--log-level=40"],  # what a cell prints is shown
            resources={"metadata": {"path": str(folder)}},
            on_cell_executed=done,
        )
        try:
            with _handlers_kept():
                return client.execute(env=os.environ | environment)
        except BaseException as error:
            if client.asked:
                raise stopping.error_of(client.asked) from error
            if isinstance(error, CellExecutionError):
                raise CellFailed(_sentence(notebook, error)) from error
            if not (left and isinstance(error, Stalled)):
                raise
            say(f"{error} and gives no answer; a new kernel begins again.")


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """A context after which signals go where they went before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            try:
                signal.signal(number, handler)
            except ValueError:  # another thread than the main one
                pass


class _Count:
    """Counts the code cells that are done."""

    def __init__(self, tell: Callable[[int], None]):
        self.tell, self.cells = tell, 0

    def __call__(self, **_):
        self.cells += 1
        self.tell(self.cells)


def _sentence(notebook, error: CellExecutionError) -> str:
    """Which cell failed, and of what."""
    failed = [
        number
        for number, cell in enumerate(notebook.cells, start=1)
        if any(o.output_type == "error" for o in cell.get("outputs", []))
    ]
    where = f"cell {failed[0]}" if failed else "a cell"
    return f"{where} failed: {error.ename}: {error.evalue}".strip().rstrip(".:") + "."
