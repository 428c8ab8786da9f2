"""Loss against window, chunk or fast blocks; each small open mark is one training."""

import plotly.graph_objects as go

from lab.evals.ablation import Ablation
from lab.evals.trained import Difference, Losses
from lab.plots import theme
from lab.plots.compare import OTHERS, zero_line


PLAIN = OTHERS[0]
TITLES = {
    "window": ("Loss by window", "tokens that attention sees"),
    "chunk": ("Loss by chunk", "tokens between two inner steps"),
    "layers": ("Loss by fast blocks", "blocks with fast weights"),
}


def loss_by_setting(result: Ablation) -> go.Figure:
    """Mean loss at each value, learning and plain twin; each seed as an open mark."""
    at = [row.value for row in result.rows]
    ours = [row.learning for row in result.rows]
    twins = [row.plain for row in result.rows]
    traces = losses(at, ours, "learning", theme.LEARNING, "circle")
    traces += losses(at, twins, "plain twin", PLAIN, "square")
    return _figure(result, traces, TITLES[result.AXIS][0])


def gain_by_setting(result: Ablation) -> go.Figure:
    """What learning saves at each value, with 95 % intervals over documents."""
    lines = [
        differences(result.rows, "over_plain", "over the plain twin", PLAIN, "square"),
        differences(result.rows, "gain", "over frozen", theme.FROZEN, "circle"),
    ]
    return _figure(result, lines, "What learning saves").add_shape(zero_line())


def saved_against_usual(result: Ablation) -> go.Figure:
    """What each value saves against the usual one, of the same way of training."""
    lines = [
        differences(result.rows, "over_usual", "learning", theme.LEARNING, "circle"),
        differences(result.rows, "plain_over_usual", "plain twin", PLAIN, "square"),
    ]
    title = f"What it saves against {result.usual}"
    return _figure(result, lines, title).add_shape(zero_line())


def losses(at: list, found: list[Losses], name: str, colour: str, symbol: str) -> list:
    """A line of means, and behind it an open mark for each seed's training."""
    marks = go.Scatter(
        x=[x for x, one in zip(at, found, strict=True) for _ in one.seeds],
        y=[loss for one in found for loss in one.seeds],
        mode="markers",
        marker=dict(color=colour, symbol=f"{symbol}-open", size=6),
        showlegend=False,
        hovertemplate="%{y:.4f}, one training",
        name=name,
    )
    means = [one.overall.mean for one in found]
    return [marks, _line(at, means, name, colour, symbol, "%{y:.4f}")]


def differences(rows, part: str, name: str, colour: str, symbol: str) -> go.Scatter:
    """A line of differences at each row's value, with their intervals."""
    found: list[Difference] = [getattr(row, part) for row in rows]
    overall = [(one.overall.mean, one.overall.low, one.overall.high) for one in found]
    mean, low, high = map(list, zip(*overall, strict=True))
    at = [row.value for row in rows]
    drawn = _line(at, mean, name, colour, symbol, "%{y:+.4f}")
    return drawn.update(error_y=theme.whiskers(mean, low, high))


def _line(x: list, y: list, name: str, colour: str, symbol: str, hover: str):
    look = dict(line=dict(width=1.8), marker=dict(symbol=symbol, size=8))
    return theme.line(
        x, y, name, colour, mode="lines+markers", hovertemplate=hover, **look
    )


def _figure(result: Ablation, traces: list, title: str) -> go.Figure:
    at: list[int] = [row.value for row in result.rows]
    words = f"{TITLES[result.AXIS][1]}, usual: {result.usual}"
    if result.AXIS == "layers":
        axis = theme.axis(words) | dict(tickvals=at)
    else:
        axis = theme.token_axis(words, at)
    return theme.tall(traces, title=title, y="nats per token", xaxis=axis)
