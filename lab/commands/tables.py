"""Numbers as cells: shared by the tables of several commands."""

from lab.commands.terminal import Terminal
from lab.measure.intervals import Curve
from lab.measure.intervals import signed as signed
from lab.measure.positions import short


def spans(curve: Curve) -> list[str]:
    """Names of the bins of a curve."""
    edges = curve.edges
    return [span(*ends) for ends in zip(edges[:-1], edges[1:], strict=True)]


def span(start: int, stop: int) -> str:
    """`1K-2K`."""
    return f"{short(start)}-{short(stop)}"


def say(notes, console: Terminal | None = None):
    """Print sentences below a table."""
    console = console or Terminal()
    for note in notes:
        console.print(note, style="dim")
