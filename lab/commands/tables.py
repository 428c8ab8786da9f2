"""Numbers as cells: what the tables of several commands share."""

from rich.console import Console

from lab.measure.intervals import Curve, Interval
from lab.measure.positions import short


def signed(value: Interval, digits: int = 3) -> str:
    """`+0.351 ±0.036`; the mean alone where one novel gives no interval."""
    if not value.novels:
        return "none"
    if not value.is_known:
        return f"{value.mean:+.{digits}f}"
    return f"{value.mean:+.{digits}f} ±{value.half:.{digits}f}"


def spans(curve: Curve) -> list[str]:
    """What the bins of a curve are called."""
    edges = curve.edges
    return [span(*ends) for ends in zip(edges[:-1], edges[1:], strict=True)]


def span(start: int, stop: int) -> str:
    """`1K-2K`."""
    return f"{short(start)}-{short(stop)}"


def say(notes, console: Console | None = None):
    """Sentences below a table."""
    console = console or Console()
    for note in notes:
        console.print(f"[dim]{note}[/dim]")
