"""Does it still know the needle? Nats above, rank below, chunk by chunk.

Nats are a difference: the answer's cost with the needle replaced by filler, minus the
cost with the needle. So zero means "no better than never having read the needle", and
the frozen twin falls to exactly zero once the needle is out of attention's reach.
"""

import math

import numpy as np
import plotly.graph_objects as go

from lab.plots import events as marks
from lab.plots import theme
from lab.traces import Trace


def recall(
    trace: Trace, *, extent: int | None = None, frame: Trace | None = None
) -> go.Figure:
    """Nats of the answer recalled, and the place of its worst token (1 = first).

    `frame`: the whole of the trace drawn, for whose numbers the y axis is made.
    """
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
        [*nats, *ranks, marks.signs(trace, end, at=0.04)],
        yaxis9=marks.AXIS,
        title="Needle recall",
        y="nats recalled",
        height=390,
        xaxis=theme.axis("tokens read", range=[0, end], anchor="y2", tickformat=","),
        yaxis=theme.axis("nats recalled", domain=[0.48, 1], **_range(frame))
        | dict(zeroline=True),
        yaxis2=_places(trace.header.vocab),
        shapes=[theme.mark(event.token) for event in events],
        annotations=[_word(event, end) for event in events],
        showlegend=True,
    )


def _places(vocab: int) -> dict:
    """A logarithmic axis of places, from the last (below) to the first, whole tens."""
    last = math.log10(max(vocab, 10))
    tens = [10**i for i in range(1 + int(last))]
    axis = theme.axis("place (1 = first)", domain=[0, 0.4], type="log")
    ticks = dict(tickvals=tens, ticktext=[f"{ten:,}" for ten in tens])
    return axis | ticks | dict(range=[last + 0.1, -0.15])


def _range(frame: Trace | None) -> dict:
    """A range of doubled nats, so that it seldom changes while a reading grows."""
    if frame is None:
        return {}
    found = np.concatenate([frame.recall(learning=side) for side in (True, False)])
    found = found[np.isfinite(found)]
    ends = [2.0, 2.0]
    for i, most in enumerate((-found.min(initial=0), found.max(initial=0))):
        while ends[i] < most:
            ends[i] *= 2
    return dict(range=[-1.05 * ends[0], 1.15 * ends[1]])


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
        bgcolor="rgba(128, 136, 148, 0.25)",
    )


def verdict(trace: Trace) -> str:
    """What the last answers mean, in words: the learner's guess, and its twin's."""
    header = trace.header
    asked = np.flatnonzero(np.isfinite(trace.recall(learning=True)))
    if not len(asked):
        return "nobody has asked yet"
    said = []
    for name, stream in (("the learner", 0), ("the frozen twin", 2)):
        place = int(trace.worst_rank(stream)[asked[-1]]) + 1
        said.append(f"{name} {_known(place, header.vocab)}")
        if header.its_own_twin:
            break
    return "; ".join(said)


def _known(place: int, vocab: int) -> str:
    """A place among all tokens, in words."""
    if place < 1:
        return "was not asked"
    where = f"place {place:,} of {vocab:,}"
    if place == 1:
        return "would say it (first of all guesses)"
    if place <= 10:
        return f"nearly knows it ({where})"
    if place <= vocab // 50:
        return f"has an inkling of it ({where})"
    return f"does not know it ({where})"
