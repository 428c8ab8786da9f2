"""How far is a long command? A progress line, or plain lines without a terminal.

with Bar(total=tokens) as bar:
    bar.show(done, "tiny-e2e pretrain", "loss 3.141  12,000 tokens/s")
"""

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column


LINES = 40  # about this many plain lines, if the output is not a terminal


class Bar:
    """A title, a bar, some words, and the time left; empty before `show` is called.

    Args:
        total: the work to do, in any unit that is proportional to time.
        console: where to print, None = standard output.
    """

    def __init__(self, total: float, console: Console | None = None):
        rest = Column(ratio=1, no_wrap=True)  # words are cut to the width, times not
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[words]}", table_column=rest),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self.total, self.console = total, console or Console()
        self._progress = Progress(
            *columns,
            console=self.console,
            speed_estimate_period=120,
            expand=True,
            disable=not self.console.is_terminal,
        )
        self._task, self._next_line = None, 0.0

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
        if self._task is None:
            self._task = self._progress.add_task(title, total=self.total, words=words)
            self._progress.start()
        self._progress.update(
            self._task, completed=done, description=title, words=words
        )
        if self.console.is_terminal:
            return
        if news or done >= min(self._next_line, self.total):
            self.console.print(f"{title} {words}", soft_wrap=True)
            self._next_line = done + self.total / LINES
