"""Does it still know the needle? Nats above, rank below, chunk by chunk.

Nats are a difference: the answer's cost with the needle replaced by filler, minus the
cost with the needle. So zero means "no better than never having read the needle", and
the frozen twin falls to exactly zero once the needle is out of attention's reach.
"""

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme
from lab.traces import Trace


def recall(trace: Trace, *, extent: int | None = None) -> go.Figure:
    """Nats of the answer recalled, and the place of its worst token (1 = first)."""
    x = trace.ends
    nats = [
        theme.line(
            x,
            trace.recall(learning=learning),
            name,
            colour,
            hovertemplate="%{y:+.3f} nats",
            **_dots(trace),
        )
        for learning, name, colour in _sides()
    ]
    ranks = [
        theme.line(
            x,
            _place(trace.worst_rank(stream)),
            f"{name}: worst token's place",
            colour,
            yaxis="y2",
            showlegend=False,
            line=dict(dash=dash, width=1.8),
            hovertemplate="%{y:,.0f}",
            **_dots(trace),
        )
        for stream, name, colour, dash in (
            (0, "with learning", theme.LEARNING, "solid"),
            (1, "with learning, no needle", theme.LEARNING, "dot"),
            (2, "frozen twin", theme.FROZEN, "solid"),
            (3, "frozen twin, no needle", theme.FROZEN, "dot"),
        )
    ]
    events = [e for e in trace.header.events if e.kind.startswith("needle")]
    end = extent or max(trace.read, trace.header.chunk)
    return theme.figure(
        nats + ranks,
        title="Needle recall",
        y="nats recalled",
        height=390,
        xaxis=theme.axis("tokens read", range=[0, end], anchor="y2", tickformat=","),
        yaxis=theme.axis("nats recalled", domain=[0.48, 1]) | dict(zeroline=True),
        yaxis2=theme.axis(
            "place (1 = first)", domain=[0, 0.4], type="log", autorange="reversed"
        )
        | dict(nticks=4),
        shapes=[theme.mark(event.token) for event in events],
        annotations=[_word(event, end) for event in events],
    )


def _sides():
    yield False, "frozen twin", theme.FROZEN
    yield True, "with learning", theme.LEARNING


def _place(rank: np.ndarray) -> np.ndarray:
    return np.where(rank < 0, np.nan, 1.0 + rank)


def _dots(trace: Trace) -> dict:
    """Dots as long as few chunks have been asked: one point makes no line."""
    asked = np.isfinite(trace.recall(learning=True)).sum()
    return dict(mode="lines+markers", marker_size=5) if asked < 40 else {}


def _word(event, end: int) -> dict:
    left = event.token < 0.6 * end
    return theme.label(
        event.token,
        f" {theme.literal(event.label[:60])} ",
        xanchor="left" if left else "right",
        y=1.0 if event.kind == "needle-in" else 0.92,
    )
