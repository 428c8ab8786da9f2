"""How far is a long command? A progress line, or plain lines without a terminal.

with Bar(total=tokens) as bar:
    bar.show(done, "tiny-e2e pretrain", "loss 3.141  12,000 tokens/s")

with counting("reading", "tokens") as report:
    read_all(readers, passages, report=report)

Progress goes to standard error, so that a command's output is its result alone.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from lab.commands.terminal import Terminal
from lab.visible import visible


LINES = 40  # about this many plain lines, if the output is not a terminal
FEW = 10  # and of a command that has nothing new to say in each line
SILENCE = 20.0  # seconds after which a plain line is due in any case


class Bar:
    """A title, a bar, some words, and the time left; empty before `show` is called.

    Args:
        total: the work to do, in any unit that is proportional to time.
        console: where to print, None = standard error.
        lines: about this many plain lines are printed without a terminal.
        passing: whether the bar disappears at the end.
    """

    def __init__(
        self,
        total: float,
        console: Console | None = None,
        *,
        lines: int = LINES,
        passing: bool = False,
    ):
        columns = (
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=8),
            _Words(Column(ratio=1, no_wrap=True)),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self.total, self.console = total, console or Terminal(error=True)
        self.lines = lines
        self._progress = Progress(
            *columns,
            console=self.console,
            speed_estimate_period=120,
            expand=True,
            transient=passing,
            disable=not self.console.is_terminal,
        )
        self._task, self._next_line, self._said_at = None, 0.0, 0.0
        self._last = None  # what the last plain line said

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_):
        self._progress.stop()

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was shown."""
        return self._task is None

    def show(self, done: float, title: str, words: str = "", *, news: bool = False):
        """Show `done` of the total; `news` prints a plain line in any case."""
        title, words, now = visible(title), visible(words), time.monotonic()
        if self._task is None:
            self._task = self._progress.add_task(title, total=self.total, words=words)
            self._progress.start()
            self._began, self._from = now, done
        self._progress.update(
            self._task, completed=done, total=self.total, description=title, words=words
        )
        if self.console.is_terminal:
            return
        is_silent = now > self._said_at + SILENCE
        is_due = done >= min(self._next_line, self.total)
        if (news or is_silent or is_due) and (done, words) != self._last:
            line = f"{title} {words}".rstrip()
            line = f"{line}  {self._rest(done, now)}"
            self.console.print(line, soft_wrap=True, markup=False, emoji=False)
            self._said_at, self._last = now, (done, words)
            self._next_line = done + self.total / self.lines

    def _rest(self, done: float, now: float) -> str:
        """The share that is done, and the time left once a speed is known."""
        share = f"{done / self.total:.0%}" if self.total else "100%"
        speed = (done - self._from) / max(now - self._began, 1e-9)
        if speed <= 0:
            return share
        return f"{share}, {duration((self.total - done) / speed)} left"


class _Words(ProgressColumn):
    """The words beside a bar."""

    def render(self, task) -> "_Parts":
        return _Parts(task.fields["words"])


class _Parts:
    """Words in parts, two spaces apart; parts that do not fit are left out whole.

    Half a number is a wrong number, so only the first part may be cut.
    """

    def __init__(self, words: str):
        self.parts = words.split("  ")

    def __rich_console__(self, console, options):
        parts = list(self.parts)
        while len(parts) > 1 and cell_len("  ".join(parts)) > options.max_width:
            parts.pop()
        yield Text("  ".join(parts), no_wrap=True, overflow="ellipsis")

    def __rich_measure__(self, console, options):
        return Measurement(1, max(1, cell_len("  ".join(self.parts))))


@contextmanager
def counting(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A `report(done, total)` that is shown: `title`, and counts of `unit`."""
    with Bar(1, lines=FEW, passing=True) as bar:

        def report(done: int, total: int):
            bar.total = total
            if total:
                bar.show(done, title, f"{done:,} of {total:,} {unit}")

        yield report


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Say what takes a while and cannot be counted."""
    console = Terminal(error=True)
    if not console.is_terminal:
        console.print(f"{words} ...", soft_wrap=True)
        yield
        return
    with console.status(Text(visible(words))):
        yield


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(42), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
