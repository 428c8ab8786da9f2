"""One look for every figure: which colour means what, and the frame around the data.

Blue is always the model that learns, orange its frozen twin, pink a summary over both;
the three stay apart for colour-blind eyes and on light and dark pages alike.
Backgrounds are transparent, text is a grey that reads on either.
"""

import plotly.graph_objects as go


LEARNING = "#2a8fd0"
FROZEN = "#e0641a"
SUMMARY = "#c2659b"
INK = "#7d8590"
GRID = "rgba(128, 136, 148, 0.22)"

# Blocks, first to last: light to dark blue would vanish on one of the two pages.
BLOCKS = ("#2a8fd0", "#2fa37c", "#c2659b", "#c79a1e", "#8a6fd1", "#e0641a")


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
    """A plain line; `faint=True` is a thin one without a legend entry."""
    faint = more.pop("faint", False)
    style = dict(color=colour, width=1 if faint else 2.4) | more.pop("line", {})
    if faint:
        more = dict(opacity=0.3, showlegend=False, hoverinfo="skip") | more
    return go.Scatter(x=x, y=y, name=name, line=style, **{"mode": "lines"} | more)


def mark(x: float, colour: str = INK, dash: str = "dot") -> dict:
    """A vertical line over the whole height, as a layout shape."""
    ends = dict(x0=x, x1=x, y0=0, y1=1, xref="x", yref="paper")
    return dict(type="line", line=dict(color=colour, width=1.3, dash=dash), **ends)


def label(x: float, text: str, y: float = 1.0, **more) -> dict:
    """A small word beside a `mark`, as a layout annotation."""
    place = dict(x=x, y=y, xref="x", yref="paper", xanchor="left", yanchor="top")
    return place | dict(text=text, showarrow=False, font_size=11) | more
