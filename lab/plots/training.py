"""What a training looks like: outer loss, what learning saves, how far weights move.

All functions take the `lab.training.watching.Curves` of a run and of its plain twin,
None if it has none, and draw as much as there is. The x axis is as long as the run.
"""

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme
from lab.plots.compare import zero_line


PLAIN = theme.BLOCKS[1]
GREY = theme.INK


def outer_loss(run, plain=None) -> go.Figure:
    """Outer loss of a run and of its plain twin; thick = mean of 8 steps."""
    lines = []
    shown = (
        (plain, "plain twin", PLAIN, "dash"),
        (run, "trained to learn", theme.LEARNING, "solid"),
    )
    for curves, name, colour, dash in shown:
        if curves is not None:
            lines.append(
                theme.line(curves.tokens, curves.loss, name, colour, faint=True)
            )
            lines.append(_curve(curves.tokens, curves.smooth, name, colour, dash))
    axis = theme.axis("nats per token", range=_zoom(run, plain))
    return _figure(run, lines, "Outer loss", "", yaxis=axis)


def gain_over_training(run) -> go.Figure:
    """What learning while reading saves: on held-out text, and on training batches."""
    batch, held = np.isfinite(run.gain), np.isfinite(run.held_out_gain)
    dots = theme.line(
        run.tokens[batch],
        run.gain[batch],
        "training batches",
        GREY,
        mode="markers",
        marker=dict(color=GREY, size=6, symbol="circle-open"),
        hovertemplate="%{y:+.4f}",
    )
    line = theme.line(
        run.tokens[held],
        run.held_out_gain[held],
        "held-out text",
        theme.LEARNING,
        mode="lines+markers",
        hovertemplate="%{y:+.4f}",
    )
    title = "What learning saves (frozen minus learning)"
    return _figure(run, [dots, line], title, "nats per token", shapes=[zero_line()])


def drift_over_training(run) -> go.Figure:
    """How far one sequence moves the fast weights, in per cent of their norm."""
    line = _curve(run.tokens, 100 * run.drift, "drift", theme.LEARNING, digits=1)
    axis = theme.axis("% of their norm", rangemode="tozero")
    title = "How far one text moves the fast weights"
    return _figure(run, [line], title, "", yaxis=axis, showlegend=False)


def _curve(x, y, name: str, colour: str, dash: str = "solid", digits: int = 3):
    hover = f"%{{y:.{digits}f}}"
    return theme.line(x, y, name, colour, line=dict(dash=dash), hovertemplate=hover)


def _zoom(run, plain) -> list[float] | None:
    """Without the first fall, which is as high as all that follows is low."""
    begun = max(1, run.steps // 10)
    if len(run.loss) < 3 * begun:
        return None
    lows = [np.nanmin(one.loss) for one in (run, plain) if one and len(one.loss)]
    low, high = min(lows), run.smooth[begun]
    return [low - 0.1 * (high - low), high] if high > low else None


def _figure(run, lines: list, title: str, y: str, **layout) -> go.Figure:
    per_step = run.tokens[0] if len(run.tokens) else 1
    axis = theme.axis("tokens trained on", range=[0, run.steps * per_step])
    layout = dict(xaxis=axis | dict(tickformat="~s"), showlegend=True) | layout
    return theme.figure(lines, title=title, y=y, **layout)
