"""One look for every figure: which colour means what, and the frame around the data.

Blue is always the model that learns, orange its frozen twin, pink a summary of both.
The three are distinct for colour-blind eyes and on light and dark pages. Backgrounds
are transparent, and text is a grey that is legible on both.
"""

import html
import math
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from lab.measure.positions import short
from lab.visible import visible


LEARNING = "#2a8fd0"
FROZEN = "#e0641a"
SUMMARY = "#c2659b"
INK = "#7d8590"
GRID = "rgba(128, 136, 148, 0.22)"
# Colours of blocks, first to last: shades of blue would vanish on one of the two pages.
BLOCKS = ("#2a8fd0", "#2fa37c", "#c2659b", "#c79a1e", "#8a6fd1", "#e0641a")
# Six colours cannot all be told apart by colour-blind eyes; with these, lines can.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

# Signed numbers, orange below zero and blue above; small ones fade into either page.
SIGNED = (
    (0.0, FROZEN),
    (0.5, "rgba(128, 136, 148, 0.08)"),
    (1.0, LEARNING),
)


class Look(NamedTuple):
    """How a line is drawn, so that no two lines differ in colour only."""

    colour: str
    symbol: str
    dash: str = "solid"


def figure(data: list, *, title: str, y: str, x: str = "tokens read", **layout):
    """A `go.Figure` of `data` in the common frame; `layout` overrides parts of it."""
    frame = dict(
        title=dict(text=title, x=0, xanchor="left", font_size=15, pad_l=4),
        height=250,
        margin=dict(l=52, r=10, t=56, b=36),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font=dict(color=INK, size=12),
        hovermode="x unified",
        hoverlabel=dict(font_size=12),
        legend=dict(orientation="h", x=0, y=1.0, yanchor="bottom", xanchor="left"),
        xaxis=axis(x),
        yaxis=axis(y),
        uirevision="keep",
        bargap=0,
    )
    return go.Figure(data, layout=frame | layout)


def tall(data: list, *, legend_at: float = -0.2, **layout):
    """A `figure` to be studied alone: taller, with its legend below."""
    legend = dict(orientation="h", x=0, y=legend_at, yanchor="top", xanchor="left")
    frame = dict(height=430, margin=dict(l=52, r=12, t=40, b=36), legend=legend)
    return figure(data, **frame | layout).update_layout(showlegend=True)


def axis(title: str, **more) -> dict:
    """An axis with a quiet grid."""
    return dict(
        title=dict(text=title, standoff=6, font_size=12),
        gridcolor=GRID,
        zeroline=False,
        automargin=True,
        nticks=7,
        **more,
    )


def line(x, y, name: str, colour: str, **more) -> go.Scatter:
    """A plain line; with `faint=True`, a thin line without a legend entry."""
    faint = more.pop("faint", False)
    if not len(x):
        x, y = [None], [None]  # a line without a point would lose its legend
    style = dict(color=colour, width=1 if faint else 2.4) | more.pop("line", {})
    if faint:
        more = dict(opacity=0.3, showlegend=False, hoverinfo="skip") | more
    return go.Scatter(x=x, y=y, name=name, line=style, **{"mode": "lines"} | more)


def token_axis(title: str, ticks: list[int]) -> dict:
    """A logarithmic axis of token counts, with short labels at `ticks`."""
    words = [short(tick) for tick in ticks]
    ticked = dict(tickvals=ticks, ticktext=words, hoverformat=",.0f")
    return axis(f"{title} (logarithmic)", type="log") | ticked


def band(x, low, high, colour: str) -> go.Scatter:
    """An interval as a pale area; None and NaN mean that there is no interval."""
    x, low, high = (np.array(a, float) for a in (x, low, high))
    there = np.isfinite(low)
    x, low, high = x[there], low[there], high[there]
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=pale(colour),
        line=dict(width=0),
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def whiskers(mean, low, high, **style) -> dict:
    """Intervals as lines through their means (`error_y`); NaN means no interval."""
    away = lambda ends: [
        None if math.isnan(end) else abs(end - middle)
        for middle, end in zip(mean, ends, strict=True)
    ]
    return dict(array=away(high), arrayminus=away(low), thickness=1.2, width=3) | style


def pale(colour: str) -> str:
    """A colour as pale as a band behind a line."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.16)"


def mark(x: float, colour: str = INK, dash: str = "dot") -> dict:
    """A vertical line over the whole height, as a layout shape."""
    ends = dict(x0=x, x1=x, y0=0, y1=1, xref="x", yref="paper")
    return dict(type="line", line=dict(color=colour, width=1.3, dash=dash), **ends)


def label(x: float, text: str, y: float = 1.0, **more) -> dict:
    """A small word beside a `mark`, as a layout annotation."""
    place = dict(x=x, y=y, xref="x", yref="paper", xanchor="left", yanchor="top")
    return place | dict(text=text, showarrow=False, font_size=11) | more


def literal(text: str) -> str:
    """Text by anybody as plotly shows it, which knows some HTML and mathematics."""
    return html.escape(visible(text), quote=False).replace("$", "&#36;")
