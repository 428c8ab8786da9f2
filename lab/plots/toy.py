"""The toy experiment: five curves over the positions of short sequences.

Losses have no bands: novels differ far more than the curves do, in the same way for all
curves. Gains are paired by novel, and have bands.
"""

import numpy as np
import plotly.graph_objects as go

from lab.evals.toy import Toy
from lab.plots import theme
from lab.plots.compare import OTHERS, zero_line


COLOURS = {
    "b1": theme.LEARNING,
    "b16": OTHERS[2],
    "full": OTHERS[0],
    "none": theme.FROZEN,
    "naive": OTHERS[1],
}
START = 4  # at the first positions nothing is known yet, and losses are far higher
DASHES = {"none": "dash", "naive": "dot", "full": "longdash"}


def loss_by_index(result: Toy) -> go.Figure:
    """Mean loss at each position, one line per model."""
    lines = [
        _line(kind, line.label, line.loss.mean, "%{y:.3f}")
        for kind, line in result.curves.items()
    ]
    figure = _figure(result, lines, "Loss by position")
    return figure.update_yaxes(range=_without_the_start(lines))


def _without_the_start(lines: list[go.Scatter]) -> list[float] | None:
    """The range of all losses but the first few, which would flatten the rest."""
    later = [loss for line in lines for loss in line.y[START:]]
    if not later:
        return None
    low, high = min(later), max(later)
    return [low - 0.05 * (high - low), high + 0.05 * (high - low)]


def gain_by_index(result: Toy) -> go.Figure:
    """What each model saves over no attention at each position, with 95 % bands."""
    lines = []
    for kind, line in result.curves.items():
        if gain := line.gain:
            x = np.arange(1, result.length + 1)
            lines.append(theme.band(x, gain.low, gain.high, _colour(kind)))
            lines.append(_line(kind, line.label, gain.mean, "%{y:+.3f}"))
    figure = _figure(result, lines, "What is saved over no attention")
    return figure.add_shape(zero_line())


def _line(kind: str, label: str, values: list, hover: str) -> go.Scatter:
    x = np.arange(1, len(values) + 1)
    style = dict(dash=DASHES.get(kind, "solid"), width=1.8)
    return theme.line(x, values, label, _colour(kind), line=style, hovertemplate=hover)


def _colour(kind: str) -> str:
    return COLOURS.get(kind, OTHERS[3])


def _figure(result: Toy, lines: list, title: str) -> go.Figure:
    axis = theme.axis("position in the sequence, t")
    ticks = [1, *range(16, result.length + 1, 16)]
    fig = theme.tall(lines, title=title, y="nats per token", xaxis=axis)
    return fig.update_xaxes(tickvals=ticks)
