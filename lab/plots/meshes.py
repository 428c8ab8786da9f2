"""The course: where a model lies on a mesh, how far meshes differ, what must fit.

The functions take a `lab.lessons.meshes.Layout`, differences as arrays, and plans.
"""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme


COPY = "#aab2bc"  # opaque, so that plotly finds the colour of its letters on dark pages
PIECES = [
    [0, COPY],
    [0.001, COPY],
    [0.001, "#2a8fd0"],
    [0.5, "#8a6fd1"],
    [1, "#c2659b"],
]
LOOKS = (  # of differences; the first is what the others are compared with
    theme.Look(theme.INK, "circle"),
    theme.Look(theme.LEARNING, "x"),
    theme.Look(theme.SUMMARY, "diamond"),
)
GIB = 2**30
MOST = 2_000  # points of a colour: more would only cover each other


def who_holds(layout) -> go.Figure:
    """Device by device, the piece of each array that lies there; grey is a copy."""
    cells = layout.cells
    shade = [
        (piece - 0.5) / many if many > 1 else piece * 0
        for piece, many in cells.values()
    ]
    words = [
        [f"{one} of {many}" if many > 1 else "all" for one in piece]
        for piece, many in cells.values()
    ]
    devices = [f"device {i}" for i in range(1, layout.data * layout.cut + 1)]
    map_ = go.Heatmap(
        x=devices,
        y=list(cells),
        z=shade,
        zmin=0,
        zmax=1,
        text=words,
        texttemplate="%{text}",
        colorscale=PIECES,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{y} on %{x}: %{text}<extra></extra>",
    )
    title = f"Who holds what? data {layout.data} x model {layout.cut}"
    fig = theme.figure([map_], title=title, y="", x="", height=420, hovermode="closest")
    fig.update_xaxes(tickangle=-35, title=None, nticks=20, showgrid=False)
    return fig.update_yaxes(autorange="reversed", title=None, nticks=20, showgrid=False)


def moved_apart(gradient: np.ndarray, apart: Mapping[str, np.ndarray]) -> go.Figure:
    """Differences between meshes, weight by weight, against the gradient's size.

    `gradient [weights]`; `apart`: words -> differences `[weights]`, three at most, of
    which the first is what the others are compared with. Zeros are left out, and where
    points lie close, most of them.
    """
    points = []
    for (words, difference), look in zip(apart.items(), LOOKS, strict=False):
        there = _spread(abs(gradient), (difference > 0) & (gradient != 0))
        marker = dict(color=look.colour, symbol=look.symbol, size=5, opacity=0.55)
        x, y = abs(gradient[there]), difference[there]
        points.append(go.Scatter(x=x, y=y, name=words, mode="markers", marker=marker))
    log = dict(type="log", exponentformat="power")
    return theme.figure(
        points,
        title="How far apart are the new weights?",
        y="difference",
        height=340,
        hovermode="closest",
        xaxis=theme.axis("size of the weight's gradient") | log,
        yaxis=theme.axis("difference") | log,
        showlegend=True,
    )


def _spread(x: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Indices of at most `MOST` points that are there, spread along a log axis."""
    found = np.flatnonzero(there)
    if len(found) <= MOST:
        return found
    found = found[np.argsort(x[found])]
    places = np.geomspace(x[found[0]], x[found[-1]], MOST)
    nearest = np.searchsorted(x[found], places).clip(max=len(found) - 1)
    return found[np.unique(nearest)]


def memory(plans: Mapping[str, Mapping[str, int]], limit: float) -> go.Figure:
    """Bytes of a device by part, a bar for each plan; a line where the memory ends.

    `plans`: words -> part -> bytes. `limit`: GiB of the device.
    """
    names = list(plans)
    parts = list(next(iter(plans.values())))
    bars = [
        go.Bar(
            y=names,
            x=[plans[name][part] / GIB for name in names],
            name=part,
            orientation="h",
            marker_color=theme.BLOCKS[i % len(theme.BLOCKS)],
            hovertemplate="%{x:.1f} GiB",
        )
        for i, part in enumerate(parts)
    ]
    below = -55 / (60 + 42 * len(names))  # the axis and its title take 55 pixels
    fig = theme.figure(
        bars,
        title="Memory of one device",
        y="",
        x="GiB",
        height=180 + 42 * len(names),
        barmode="stack",
        bargap=0.35,
        hovermode="closest",
        shapes=[theme.mark(limit, theme.INK, "solid")],
        annotations=[theme.label(limit, f"it has {limit:g}", yanchor="bottom")],
        legend=dict(orientation="h", x=0, y=below, yanchor="top", traceorder="normal"),
    )
    return fig.update_yaxes(autorange="reversed", title=None, automargin=True)
