"""What commands print with: text as it was written, on any console.

`[bold]` in a title is part of the title, and no text moves the cursor. That nothing
printed can fail is seen to in `lab.cli`: a character that the console does not have is
replaced.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from rich.console import Console
from rich.text import Text

from lab.visible import visible


class Terminal(Console):
    """A rich console for text by anybody: no markup, no emoji codes, no orders.

    Args:
        error: print to standard error, where progress goes.
        options: what `rich.console.Console` takes.
    """

    def __init__(self, *, error: bool = False, **options):
        plain = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(stderr=error, **plain | options)

    def render_str(self, text: str, **how) -> Text:
        """A string as a `rich.text.Text`; every string printed comes through here."""
        return super().render_str(visible(text), **how)

    def on_broken_pipe(self) -> None:
        """Nobody reads on, as after `| head`: `lab.cli` ends the command quietly."""
        raise BrokenPipeError


class _Held(io.StringIO):
    """What would have been printed, for a console of some encoding."""

    encoding = None


@contextmanager
def fitted() -> Iterator[None]:
    """Break what is printed between words, where a line is wider than the terminal."""
    said, out = _Held(), sys.stdout
    said.encoding, said.isatty = out.encoding, out.isatty  # for boxes and colours
    try:
        with redirect_stdout(said):
            yield
    finally:
        for line in said.getvalue().splitlines():
            Terminal(file=out).print(Text.from_ansi(line))
