"""What goes wrong, reader by reader: loss, drift, and a passage that nobody reads.

The functions take a `lab.reading.failures.Failure`. `upto`: draw so many points of each
reader only, on axes that stay.
"""

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme


GREEN, GOLD, PURPLE = theme.BLOCKS[1], theme.BLOCKS[3], theme.BLOCKS[4]
# A line of its own for each reader, so that no two differ in colour only.
LOOKS = {
    "learner": [(theme.LEARNING, "solid")],
    "frozen": [(theme.FROZEN, "dot")],
    "remedy": [(GREEN, "dash")],
    "broken": [(PURPLE, "solid"), (GOLD, "dashdot"), (theme.SUMMARY, "longdash")],
}
ROOM = 0.06  # of the axis, above and below


def loss_when_broken(failure, *, upto: int | None = None) -> go.Figure:
    """Nats per token of each chunk; crosses are steps that were refused."""
    lines = _lines(failure, "loss", upto, 1.0, ".3f") + _refused(failure, upto)
    title, y = "Loss per chunk", "nats per token"
    if failure.name == "tail":
        title = "The last chunk, from the weights alone"
    return _figure(failure, lines, title, y, "loss", 1.0)


def drift_when_broken(failure, *, upto: int | None = None) -> go.Figure:
    """How far the block that moved furthest is from W0, in per cent of its norm."""
    lines = _lines(failure, "drift", upto, 100.0, ".3g")
    title, y = "Drift of the fast weights", "% of their norm"
    return _figure(failure, lines, title, y, "drift", 100.0)


def held_back_when_broken(failure, *, upto: int | None = None) -> go.Figure:
    """Nats per token of a passage that nobody reads, from the weights alone."""
    lines = _lines(failure, "probe", upto, 1.0, ".3f", mode="lines+markers")
    title, y = "A passage held back, from the weights alone", "nats per token"
    return _figure(failure, lines, title, y, "probe", 1.0)


def _lines(failure, column: str, upto, factor: float, digits: str, **more) -> list:
    looks = {role: iter(choices) for role, choices in LOOKS.items()}
    found = []
    for line in failure.lines:
        colour, dash = next(looks[line.role])
        x, y = np.array(line.ends), factor * np.array(getattr(line, column))
        there = np.isfinite(y) & (np.arange(len(y)) < (upto or len(y)))
        stepped = "hv" if failure.name == "tail" else "linear"
        style = dict(
            line=dict(dash=dash, width=2, shape=stepped),
            hovertemplate=f"%{{y:{digits}}}",
        )
        found.append(theme.line(x[there], y[there], line.name, colour, **style | more))
    return found


def _refused(failure, upto) -> list:
    """Crosses at the foot of the figure, one for each step that was refused."""
    x = sorted(
        {
            end
            for line in failure.lines
            for end, refused in zip(line.ends[:upto], line.refused, strict=False)
            if refused
        }
    )
    if not x:
        return []
    low, high = _limits(failure, "loss", 1.0)
    foot = low + ROOM * (high - low) / 2
    cross = dict(symbol="x-thin", size=7, line=dict(color=theme.INK, width=1.5))
    how = dict(mode="markers", marker=cross, hovertemplate="refused")
    return [theme.line(x, [foot] * len(x), "step refused", theme.INK, **how)]


def _figure(failure, lines, title: str, y: str, column: str, factor: float):
    end = max(line.ends[-1] for line in failure.lines)
    is_tail = failure.name == "tail"
    x = "tokens of the last chunk read" if is_tail else "tokens read"
    low, high = _limits(failure, column, factor)
    is_wide = column == "drift" and high > 1e3
    ends = [-0.5, np.log10(high)] if is_wide else [low, high]
    yaxis = theme.axis(y, range=ends) | (dict(type="log", nticks=4) if is_wide else {})
    return theme.figure(
        lines,
        title=title,
        y=y,
        height=300 if column == "loss" else 220,
        xaxis=theme.axis(x, range=[0, end], tickformat=","),
        yaxis=yaxis,
        shapes=[theme.mark(mark.token) for mark in failure.marks],
        annotations=[
            theme.label(mark.token, mark.label, yanchor="bottom")  # above the lines
            for mark in failure.marks[:1]
        ],
        legend=dict(orientation="h", x=0, y=-0.24, yanchor="top", xanchor="left"),
        showlegend=column == "loss",  # the figures share their readers
        margin=dict(l=52, r=10, t=56, b=90 if column == "loss" else 36),
    )


def _limits(failure, column: str, factor: float) -> tuple[float, float]:
    """Ends of the y axis, the same however much is drawn."""
    values = np.concatenate([getattr(line, column) for line in failure.lines]) * factor
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    room = ROOM * (high - low) or 0.1
    return low - room, high + room
