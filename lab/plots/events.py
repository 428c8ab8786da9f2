"""Marks on the time line of a reading: chapters, questions, the needle.

Each is a small sign at the top of a figure, which says what happened there when a
pointer rests on it, and can be clicked like any point.
"""

import numpy as np
import plotly.graph_objects as go

from lab.data.headings import chapters
from lab.plots import theme
from lab.traces import Event, Trace


APART = 1 / 60  # of the axis, at least, between two chapters: more signs are one smear
LONGEST = 70  # characters of a label
_SIGNS = {"chapter": "triangle-down-open", "asked": "circle", "refused": "x"}
_COLOURS = {"asked": theme.SUMMARY}
# An axis of its own, so that signs stand at the top whatever is drawn below.
AXIS = dict(overlaying="y", range=[0, 1], visible=False, fixedrange=True)


def chapters_read(trace: Trace) -> list[Event]:
    """The chapters that have begun in what was read, at their first tokens."""
    if not trace.read:
        return []
    found = chapters(trace.text)
    places = np.searchsorted(trace.spans[:, 1], [one.start for one in found], "right")
    first, last = trace.spans[0, 0], trace.spans[-1, 1]
    return [
        Event(int(at // trace.header.chunk), int(at), "chapter", one.words)
        for one, at in zip(found, places, strict=True)
        if first <= one.start < last
    ]


def signs(trace: Trace, extent: int, at: float = 0.97) -> go.Scatter:
    """The signs, for a figure whose layout has `yaxis9=AXIS`.

    `extent`: tokens on the x axis, which say how many chapters can be told apart. `at`:
    how high the signs stand, from 0 to 1.
    """
    others = [event for event in trace.header.events if event.kind != "refused"]
    shown = [*_apart(chapters_read(trace), APART * extent), *others]
    return go.Scatter(
        x=[event.token for event in shown],
        y=[at] * len(shown),
        yaxis="y9",
        mode="markers",
        marker=dict(
            symbol=[_SIGNS.get(event.kind, "diamond") for event in shown],
            color=[_COLOURS.get(event.kind, theme.INK) for event in shown],
            size=8,
            opacity=1,
        ),
        selected=dict(marker_opacity=1),
        unselected=dict(marker_opacity=1),
        text=[theme.literal(event.label[:LONGEST]) for event in shown],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _apart(events: list[Event], least: float) -> list[Event]:
    """Events no two of which are nearer to each other than `least`."""
    kept: list[Event] = []
    for event in events:
        if not kept or event.token - kept[-1].token >= least:
            kept.append(event)
    return kept


def now_in(trace: Trace) -> str:
    """The heading of the chapter that was read last; empty in a text without any."""
    found = chapters_read(trace)
    return found[-1].label if found else ""
