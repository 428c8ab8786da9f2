"""One layer by hand: what fits into a matrix, and what a single step is worth.

The functions take results of `lab.lessons.by_hand`. Blue is what the step has seen,
orange what it has not.
"""

import numpy as np
import plotly.graph_objects as go

from lab.lessons.by_hand import Capacity, OneStep
from lab.plots import theme
from lab.plots.compare import OTHERS, zero_line


def capacity(found: Capacity) -> go.Figure:
    """Squared error of recall by the number of pairs, and the law of crosstalk."""
    lines = [
        _dots(found.counts, found.once, "one step on all pairs", theme.LEARNING),
        _dots(found.counts, found.one_by_one, "a step for each pair", OTHERS[0]),
        theme.line(
            found.counts,
            (found.counts - 1) / found.width,
            "(pairs - 1) / width",
            theme.INK,
            line=dict(dash="dot", width=1.6),
            hovertemplate="%{y:.2f}",
        ),
    ]
    fig = theme.tall(
        lines,
        title=f"What a matrix of {found.width} × {found.width} gives back",
        y="squared error of recall",
        xaxis=theme.axis("pairs stored", type="log", tickvals=found.counts),
        height=330,
        legend_at=-0.28,
    )
    fig.add_shape(theme.mark(found.width))
    fig.add_annotation(
        theme.label(float(np.log10(found.width)), " as many as rows", y=0.14)
    )
    return fig.update_yaxes(range=[-0.04, 1.6])


def one_step(found: OneStep) -> go.Figure:
    """Nats that one step saves on its own chunk, and on the next one, by rate."""
    lines = [
        _dots(found.rates, found.taught, "the chunk it learned from", theme.LEARNING),
        _dots(found.rates, found.after, "the chunk after that", theme.FROZEN),
    ]
    fig = theme.tall(
        lines,
        title="One step: what it saves",
        y="nats per byte",
        xaxis=theme.axis("rate", type="log", tickvals=found.rates),
        height=330,
        legend_at=-0.28,
    )
    return fig.add_shape(zero_line())


def _dots(x, y, name: str, colour: str) -> go.Scatter:
    style = dict(mode="lines+markers", hovertemplate="%{y:+.3f}")
    return theme.line(x, y, name, colour, **style)
