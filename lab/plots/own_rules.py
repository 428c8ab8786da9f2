"""Texts with rules of their own: loss by position, and the gain over a training.

The functions take arrays and a `Progress` of `lab.lessons.own_rules`. Colours are those
of `lab.plots.toy`; the best possible reader is grey and dotted.
"""

import numpy as np
import plotly.graph_objects as go

from lab.lessons.own_rules import Progress
from lab.plots import theme, toy


BEST = "best possible"
NAMES = {
    "best": BEST,
    "none": "no learning",
    "naive": "naive",
    "b1": "end to end, b = 1",
    "b16": "end to end, b = 16",
}
COLOURS = toy.COLOURS | {"best": theme.INK}
DASHES = toy.DASHES | {"best": "dot"}
WIDE = 4  # positions to a point: single positions are noisy, and 4 divides every chunk


def by_position(
    curves: dict[str, np.ndarray], *, title: str, top: float = 4.0
) -> go.Figure:
    """Mean loss by position, `[length]` for each of `NAMES`, in bins of four."""
    lines = [_line(kind, *_bins(loss)) for kind, loss in curves.items()]
    length = max(len(loss) for loss in curves.values())
    fig = theme.tall(
        lines,
        title=title,
        y="nats per symbol",
        xaxis=theme.axis("position in the text, t"),
        height=380,
        legend_at=-0.24,
    )
    fig.update_xaxes(tickvals=[1, *range(16, length + 1, 16)], range=[0, length + 1])
    return fig.update_yaxes(range=[0, top])


def over_training(
    found: Progress, levels: dict[str, float], *, kind: str = "b1", until: int = 0
) -> go.Figure:
    """Mean loss after so many outer steps, learning and frozen.

    `levels`: losses of other readers, drawn as lines. `until`: the end of the axis,
    which keeps a picture still that grows.
    """
    end = max(until, int(found.steps[-1]), 1)
    lines = [
        _line(kind, found.steps, found.learning.mean(axis=1), NAMES[kind]),
        _line("none", found.steps, found.frozen.mean(axis=1), "the same, frozen"),
    ]
    for level, loss in levels.items():
        lines.append(_line(level, np.array([0, end]), np.array([loss, loss])))
    for line in lines[:2]:
        line.update(mode="lines+markers")
    fig = theme.tall(
        lines,
        title="Held-out loss over meta-training",
        y="nats per symbol",
        xaxis=theme.axis("outer steps"),
        height=380,
        legend_at=-0.24,
    )
    fig.update_xaxes(range=[-0.02 * end, 1.02 * end])
    return fig.update_yaxes(range=[1.5, 4.0])


def _line(kind: str, x, y, name: str = "") -> go.Scatter:
    style = dict(dash=DASHES.get(kind, "solid"), width=2.0)
    label = name or NAMES[kind]
    return theme.line(x, y, label, COLOURS[kind], line=style, hovertemplate="%{y:.3f}")


def _bins(loss) -> tuple[np.ndarray, np.ndarray]:
    """Means over neighbouring positions, and the middles of their bins."""
    count = len(loss) // WIDE
    means = np.asarray(loss)[: count * WIDE].reshape(count, WIDE).mean(axis=1)
    return WIDE * np.arange(count) + (WIDE + 1) / 2, means
