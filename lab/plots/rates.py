"""One text at several inner rates: where learning too slowly turns into too fast.

The functions take a `lab.lessons.rates.Sweep`.
"""

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme
from lab.plots.compare import zero_line


def gain_by_rate(sweep, *, naive: bool = False) -> go.Figure:
    """Mean gain over the text at each inner rate, with 95 % intervals.

    `naive`: no rate is the one that the model was trained for, and the axis is
    logarithmic (a rate of zero is not on it).
    """
    mean, half = sweep.mean_gain()
    shown = sweep.rates > 0 if naive else sweep.rates >= 0
    line = theme.line(
        sweep.rates[shown],
        mean[shown],
        "mean gain",
        theme.LEARNING,
        mode="lines+markers",
        marker_size=8,
        error_y=dict(array=half[shown], thickness=1.4, width=5),
        hovertemplate="%{y:+.3f}",
        showlegend=False,
    )
    fig = theme.figure(
        [line],
        title="What learning saved, by inner rate",
        y="nats per token",
        x="inner rate, times the one it was trained for",
        shapes=[zero_line()],
    )
    if naive:
        ticks = dict(type="log", tickvals=sweep.rates[shown])
        return fig.update_xaxes(title_text="inner rate", **ticks)
    fig.add_shape(theme.mark(1.0))
    return fig.add_annotation(theme.label(1.0, " trained for this", y=0.08))


def gain_by_chunk(sweep, *, limits: tuple[float, float] | None = None) -> go.Figure:
    """Gain of each chunk, one colour per rate.

    `limits`: ends of the y axis, to keep it still.
    """
    ends = sweep.chunk * (1 + np.arange(sweep.gain.shape[1]))
    lines = [
        theme.line(
            ends,
            gain,
            f"{rate:g}",
            theme.BLOCKS[i % len(theme.BLOCKS)],
            line=dict(dash=theme.DASHES[i % len(theme.DASHES)]),
            hovertemplate="%{y:+.3f}",
        )
        for i, (rate, gain) in enumerate(zip(sweep.rates, sweep.gain, strict=True))
    ]
    yaxis = theme.axis("nats per token")
    return theme.figure(
        lines,
        title="What learning saved, chunk by chunk",
        y="nats per token",
        yaxis=yaxis | dict(range=limits) if limits else yaxis,
        shapes=[zero_line()],
        showlegend=True,
        legend_title_text="inner rate",
    )
