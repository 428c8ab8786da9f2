"""What commands print with: text as it was written, on any console.

`[bold]` in a title is part of the title, and no text moves the cursor. That nothing
printed can fail is seen to in `lab.cli`: a character that the console does not have is
replaced.
"""

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
