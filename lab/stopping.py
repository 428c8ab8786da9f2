"""How a command ends when it is asked to stop: Ctrl-C, and SIGTERM of a batch system.

Both arrive as `KeyboardInterrupt`. A command that has kept something, or can go on,
says so itself; any other one ends with "ttt-lab: stopped." and promises nothing:

    try:
        read(...)
    except KeyboardInterrupt as error:
        path = save(...)
        raise Stopped(f"stopped at token {n:,}; {path} holds what was read") from error
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(KeyboardInterrupt):
    """A command that was stopped, with the sentence that it ends with.

    The sentence says what is kept, and promises only what the same command does.
    """


@contextmanager
def interrupts() -> Iterator[None]:
    """A context in which SIGTERM raises `KeyboardInterrupt`, as Ctrl-C does.

    Python gives signals to the main thread alone; in another thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def sentence(error: KeyboardInterrupt) -> str:
    """What a stopped command says: its own sentence, if it has one."""
    return f"{error}." if isinstance(error, Stopped) else "stopped."


def exit_code(error: BaseException | None) -> int:
    """The exit status: 143 if SIGTERM is anywhere behind the error, else 130."""
    while error is not None:
        if isinstance(error, _Terminated):
            return 128 + signal.SIGTERM
        error = error.__cause__ or error.__context__
    return 128 + signal.SIGINT


def error_of(number: int) -> KeyboardInterrupt:
    """The error that a signal raises."""
    return _Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


class _Terminated(KeyboardInterrupt):
    """SIGTERM."""


def _interrupt(number, frame):
    raise error_of(number)
