"""What happens chunk by chunk: loss, gain, drift, and the whole reading in one strip.

All functions take a `lab.traces.Trace` and draw as much as has been read. `extent` is
the right end of the x axis in tokens and keeps the axis still while a reading grows;
`frame` is a trace, the whole of the one drawn, whose numbers the y axis is made for.
"""

import math

import numpy as np
import plotly.graph_objects as go

from lab.plots import events, theme
from lab.traces import Trace, running_mean


SMOOTH = 16
# Colours of blocks that are neither the learner's, the twin's nor the summary's.
MOVED = ("#2fa37c", "#c79a1e", "#8a6fd1", "#7a8f2a", "#3f7f8f", "#a06a4a")
REFUSED = "#c0392b"


def loss_per_chunk(
    trace: Trace, *, extent: int | None = None, frame: Trace | None = None
) -> go.Figure:
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
        [*lines, _signs(trace, extent)],
        title="Loss per chunk",
        y="nats per token",
        yaxis9=events.AXIS,
        xaxis=_tokens(trace, extent),
        yaxis=theme.axis("nats per token", **_losses(frame)),
        shapes=_marks(trace),
        showlegend=True,
    )


def gain(
    trace: Trace, *, extent: int | None = None, frame: Trace | None = None
) -> go.Figure:
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
        [bars, mean, _signs(trace, extent), _refused(trace)],
        yaxis9=events.AXIS,
        title="What learning saved (frozen minus learning)",
        y="nats per token",
        xaxis=_tokens(trace, extent),
        yaxis=theme.axis("nats per token", **_gains(frame)),
        showlegend=True,
        shapes=[zero | dict(line_color=theme.INK), *_marks(trace)],
    )


def drift(
    trace: Trace, *, extent: int | None = None, frame: Trace | None = None
) -> go.Figure:
    """How far each block's fast weights are from their start, in per cent."""
    lines = [
        theme.line(
            trace.ends,
            100 * trace.drift[:, block],
            name,
            MOVED[block % len(MOVED)],
            line=dict(dash=theme.DASHES[block % len(theme.DASHES)]),
            hovertemplate="%{y:.2f} %",
        )
        for block, name in enumerate(_blocks(trace))
    ]
    return theme.figure(
        [*lines, _signs(trace, extent)],
        yaxis9=events.AXIS,
        title="Drift of the fast weights",
        y="% of their norm",
        xaxis=_tokens(trace, extent),
        yaxis=theme.axis("% of their norm", **_drifts(frame)),
        shapes=_marks(trace),
        showlegend=True,
    )


def gradients(
    trace: Trace,
    *,
    extent: int | None = None,
    frame: Trace | None = None,
    whole: Trace | None = None,
) -> go.Figure:
    """The norm of each inner gradient, and the clip as a red line, if steps met it.

    No value is refused for its size: what is above the clip is shortened to it, and
    only a step that is not finite is refused (a red cross). `whole`: the trace before
    chunks were taken together, whose steps show the clip.
    """
    norms = theme.line(
        trace.ends,
        np.where(np.isfinite(trace.grad_norm), trace.grad_norm, np.nan),
        "norm of the gradient",
        theme.LEARNING,
        hovertemplate="%{y:.3f}",
    )
    bound = clip_of(whole or trace)
    line = dict(type="line", x0=0, x1=1, xref="paper", y0=bound, y1=bound)
    red = [] if bound is None else [line | dict(line=dict(color=REFUSED, width=1.6))]
    word = [] if bound is None else [_above(bound)]
    return theme.figure(
        [norms, _refused(trace), _signs(trace, extent)],
        yaxis9=events.AXIS,
        title="Norm of each inner gradient",
        y="norm",
        xaxis=_tokens(trace, extent),
        yaxis=theme.axis("norm", **_norms(frame)),
        shapes=[*_marks(trace), *red],
        annotations=word,
        showlegend=True,
    )


def clip_of(trace: Trace) -> float | None:
    """The norm to which gradients were shortened; None if no step shows it.

    A step of the paper's rule is as long as rate times norm, unless the clip makes the
    step shorter: all shortened steps are then of one length.
    """
    if trace.header.inner_lr <= 0:
        return None
    taken = np.isfinite(trace.grad_norm) & (trace.update_norm > 0)
    norms, steps = trace.grad_norm[taken], trace.update_norm[taken]
    steps = steps / trace.header.inner_lr
    short = steps[norms > 1.01 * steps]
    if len(short) < 2 or short.max() > 1.01 * short.min():
        return None
    return float(np.median(short))


def _above(bound: float) -> dict:
    """What the red line is, at its right end."""
    label = theme.label(1.0, f"clip {bound:.3g} ", y=bound, xref="paper", yref="y")
    colours = dict(font_color=REFUSED, bgcolor="rgba(128, 136, 148, 0.25)")
    return label | dict(xanchor="right", yanchor="bottom") | colours


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
        colorscale=[[0, "rgba(47, 163, 124, 0.06)"], [1, MOVED[0]]],
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
    """Lines where the needle is; refused steps and questions may be many."""
    found = trace.header.events
    return [theme.mark(e.token) for e in found if e.kind.startswith("needle")]


def _signs(trace: Trace, extent: int | None) -> go.Scatter:
    return events.signs(trace, extent or max(trace.read, trace.header.chunk))


def _refused(trace: Trace) -> go.Scatter:
    """A cross at each inner step that was refused, however many these are."""
    at = trace.ends[trace.refused]
    return go.Scatter(
        x=at,
        y=np.zeros(len(at)),
        mode="markers",
        marker=dict(symbol="x", color=REFUSED, size=7),
        name="step refused",
        hovertemplate="refused: not a finite step",
    )


def _losses(frame: Trace | None) -> dict:
    """A range of whole, even nats, so that it seldom changes while a reading grows."""
    if frame is None:
        return {}
    found = _finite(frame.loss, frame.loss_twin)
    if not len(found):
        return dict(range=[0, 2 * math.ceil(math.log(frame.header.vocab) / 2)])
    low, high = 2 * math.floor(found.min() / 2), 2 * math.ceil(found.max() / 2)
    return dict(range=[low, max(high, low + 2)])


def _gains(frame: Trace | None) -> dict:
    if frame is None:
        return {}
    found = _finite(frame.gain)
    sides = [max(0.0, -found.min(initial=0)), found.max(initial=0)]
    low, high = (1.05 * _round_up(side, 0.5) for side in sides)
    return dict(range=[-low, high])


def _norms(frame: Trace | None) -> dict:
    if frame is None:
        return dict(rangemode="tozero")
    found = _finite(frame.grad_norm)
    return dict(range=[0, 1.06 * _round_up(found.max(initial=0), 1.0)])


def _drifts(frame: Trace | None) -> dict:
    if frame is None:
        return dict(rangemode="tozero")
    return dict(range=[0, 1.03 * _round_up(100 * frame.drift.max(initial=0), 1.0)])


def _finite(*values: np.ndarray) -> np.ndarray:
    found = np.concatenate(values)
    return found[np.isfinite(found)]


def _round_up(value: float, least: float) -> float:
    """`least`, doubled until it is at least `value`: an axis that seldom changes."""
    while least < value and math.isfinite(value):
        least *= 2
    return least
