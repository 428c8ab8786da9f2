"""What happens chunk by chunk: loss, gain, drift, and the whole reading in one strip.

All functions take a `lab.traces.Trace` and draw as much as has been read. `extent` is
the right end of the x axis in tokens and keeps the axis still while a reading grows.
"""

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme
from lab.traces import Trace, running_mean


SMOOTH = 16


def loss_per_chunk(trace: Trace, *, extent: int | None = None) -> go.Figure:
    """Nats per token of each chunk, learning and frozen; thick = mean of 16 chunks."""
    pairs = (
        ("frozen twin", theme.FROZEN, trace.loss_twin),
        ("with learning", theme.LEARNING, trace.loss),
    )
    lines = [
        theme.line(trace.ends, loss, name, colour, faint=True)
        for name, colour, loss in pairs
    ] + [
        theme.line(
            trace.ends,
            running_mean(loss, SMOOTH),
            name,
            colour,
            hovertemplate="%{y:.3f}",
        )
        for name, colour, loss in pairs
    ]
    return theme.figure(
        lines,
        title="Loss per chunk",
        y="nats per token",
        xaxis=_tokens(trace, extent),
        shapes=_marks(trace),
    )


def gain(trace: Trace, *, extent: int | None = None) -> go.Figure:
    """Nats per token that learning saved: a bar per chunk, a line for the mean."""
    helped = trace.gain >= 0
    bars = go.Bar(
        x=trace.ends - trace.header.chunk / 2,
        y=trace.gain,
        width=trace.header.chunk,
        marker=dict(
            color=np.where(helped, theme.LEARNING, theme.FROZEN),
            opacity=0.55,
            line_width=0,
        ),
        name="this chunk",
        hovertemplate="%{y:+.3f}",
        showlegend=False,
    )
    mean = theme.line(
        trace.ends,
        trace.mean_gain,
        "mean so far",
        theme.SUMMARY,
        hovertemplate="%{y:+.4f}",
    )
    zero = dict(type="line", x0=0, x1=1, xref="paper", y0=0, y1=0, line_width=1)
    return theme.figure(
        [bars, mean],
        title="What learning saved (frozen minus learning)",
        y="nats per token",
        xaxis=_tokens(trace, extent),
        shapes=[zero | dict(line_color=theme.INK), *_marks(trace)],
    )


def drift(trace: Trace, *, extent: int | None = None) -> go.Figure:
    """How far each block's fast weights are from their start, in per cent."""
    lines = [
        theme.line(
            trace.ends,
            100 * trace.drift[:, block],
            name,
            theme.BLOCKS[block % len(theme.BLOCKS)],
            hovertemplate="%{y:.2f} %",
        )
        for block, name in enumerate(_blocks(trace))
    ]
    return theme.figure(
        lines,
        title="Drift of the fast weights",
        y="% of their norm",
        xaxis=_tokens(trace, extent),
        yaxis=theme.axis("% of their norm", rangemode="tozero"),
        shapes=_marks(trace),
        showlegend=True,
    )


def overview(
    trace: Trace, *, cursor: float | None = None, extent: int | None = None
) -> go.Figure:
    """The whole reading at a glance: each block's drift as colour, chunk by chunk.

    `cursor`: a chunk to mark.
    """
    strip = go.Heatmap(
        x=trace.ends - trace.header.chunk / 2,
        y=_blocks(trace),
        z=100 * trace.drift.T,
        colorscale=[[0, "rgba(42, 143, 208, 0.06)"], [1, theme.LEARNING]],
        showscale=False,
        hovertemplate="%{y}, token %{x:.0f}: %{z:.2f} %<extra></extra>",
    )
    at = (
        []
        if cursor is None
        else [theme.mark(cursor * trace.header.chunk, dash="solid")]
    )
    fig = theme.figure(
        [strip],
        title="The whole reading: drift, block by block",
        y="",
        height=64 + 34 * max(1, trace.header.fast_blocks),
        margin=dict(l=52, r=10, t=30, b=24),
        xaxis=_tokens(trace, extent),
        shapes=_marks(trace) + at,
        hovermode="closest",
    )
    return fig.update_xaxes(title=None)


def _blocks(trace: Trace) -> list[str]:
    first = trace.header.layers - trace.header.fast_blocks
    return [f"block {1 + first + i}" for i in range(trace.header.fast_blocks)]


def _tokens(trace: Trace, extent: int | None) -> dict:
    end = extent or max(trace.read, trace.header.chunk)
    return theme.axis("tokens read", range=[0, end], tickformat=",")


def _marks(trace: Trace) -> list[dict]:
    return [theme.mark(event.token) for event in trace.header.events]
