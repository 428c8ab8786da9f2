"""What a second text does to the memory of a first, and what helps against it."""

import numpy as np
import plotly.graph_objects as go

from lab.analysis.interference import PLAIN, Interference
from lab.plots import theme


def interference_matrix(result: Interference) -> go.Figure:
    """What reading B changes of the gain on A; on the diagonal, A is read again.

    Colours are scaled to the other cells, because reading A again does far more.
    """
    one = result.remedies[PLAIN]
    names = [name.rpartition("/")[2] for name in result.documents]
    change = np.array(one.after) - np.array(one.before)[:, None]
    others = change[~np.eye(len(change), dtype=bool)]
    most = float(np.abs(others).max()) or 1.0
    told = np.stack(
        [np.broadcast_to(np.array(one.before)[:, None], change.shape), one.after]
        + [np.array(one.alone)],
        axis=-1,
    )
    square = go.Heatmap(
        z=change,
        x=names,
        y=names,
        colorscale=theme.SIGNED,
        zmin=-most,
        zmax=most,
        customdata=told,
        colorbar=dict(title=dict(text="nats per token", side="right"), thickness=12),
        hovertemplate="A %{y}, then B %{x}: %{z:+.3f}<br>gain on A after A "
        "%{customdata[0]:+.3f}, after B too %{customdata[1]:+.3f}, after B only "
        "%{customdata[2]:+.3f}<extra></extra>",
    )
    drawn = theme.figure(
        [square],
        title="What reading B changes of A's gain",
        y="A, read first",
        x="B, read second (diagonal: A again)",
        height=480,
        hovermode="closest",
    )
    drawn.update_xaxes(showgrid=False, nticks=0, tickangle=-40)
    return drawn.update_yaxes(autorange="reversed", showgrid=False, nticks=0)


def remedies_side_by_side(result: Interference) -> go.Figure:
    """For each way of reading: gain on A before and after B, A's own, and gain on B."""
    bars = (
        ("on A, after A", "first", theme.INK),
        ("on A, after A and B", "left", theme.LEARNING),
        ("of it A's own", "kept", theme.SUMMARY),
        ("on B, after A and B", "new", theme.FROZEN),
    )
    labels = {
        "smaller rate": f"smaller rate<br>× {result.slower:g}",
        "anchored": f"anchored<br>{result.anchor:g} a chunk",
        PLAIN: "one after<br>the other",
    }
    traces = []
    for name, part, colour in bars:
        found = [getattr(one, part) for one in result.remedies.values()]
        ends = zip(*((one.mean, one.low, one.high) for one in found), strict=True)
        traces.append(
            go.Bar(
                x=[labels.get(way, way) for way in result.remedies],
                y=[one.mean for one in found],
                name=name,
                marker=dict(color=colour, opacity=0.85),
                error_y=theme.whiskers(*ends, color=theme.INK),
                hovertemplate="%{y:+.3f}",
            )
        )
    return theme.tall(
        traces,
        title="Two texts in one memory: what helps?",
        y="nats per token gained",
        x="",
        barmode="group",
        bargap=0.25,
    )
