"""Numbers as cells: shared by the tables of several commands."""

from lab.commands.terminal import Terminal
from lab.measure.intervals import Curve, Interval
from lab.measure.positions import short


def signed(value: Interval, digits: int = 3) -> str:
    """A number such as `+0.351 ±0.036`; the mean alone if there is no interval."""
    if not value.novels:
        return "none"
    mean = round(value.mean, digits) + 0.0  # never -0.000
    if not value.is_known:
        return f"{mean:+.{digits}f}"
    return f"{mean:+.{digits}f} ±{value.half:.{digits}f}"


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
