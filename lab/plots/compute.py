"""What learning saves against size and tokens of the training."""

import dataclasses

import plotly.graph_objects as go

from lab.evals.compute import Compute, Row
from lab.plots import theme
from lab.plots.ablation import PLAIN, differences, losses
from lab.plots.compare import zero_line


def gain_by_size(result: Compute) -> go.Figure:
    """What learning saves in models of several widths, tokens in proportion."""
    return _gains(result.widths, "weights", "What learning saves, by size")


def gain_by_tokens(result: Compute) -> go.Figure:
    """What learning saves in the usual model, trained on fewer and on more tokens."""
    return _gains(result.budgets, "tokens", "What learning saves, by tokens")


def loss_by_compute(result: Compute) -> go.Figure:
    """Loss against what a training cost: a model that learns costs more to train."""
    rows = sorted(result.budgets, key=lambda row: row.tokens)
    ours = losses(
        [row.flops for row in rows],
        [row.learning for row in rows],
        "learning",
        theme.LEARNING,
        "circle",
    )
    twins = losses(
        [row.plain_flops for row in rows],
        [row.plain for row in rows],
        "plain twin",
        PLAIN,
        "square",
    )
    axis = _axis("operations of the training", [row.flops for row in rows], ".2g")
    title = "Loss by what the training cost"
    return theme.tall([*ours, *twins], title=title, y="nats per token", xaxis=axis)


def _gains(rows: tuple[Row, ...], part: str, title: str) -> go.Figure:
    placed = [dataclasses.replace(row, value=getattr(row, part)) for row in rows]
    lines = [
        differences(placed, "over_plain", "over the plain twin", PLAIN, "square"),
        differences(placed, "gain", "over frozen", theme.FROZEN, "circle"),
    ]
    words = {"weights": "weights of the model", "tokens": "tokens of the training"}
    axis = _axis(words[part], [row.value for row in placed], ",.3s")
    fig = theme.tall(lines, title=title, y="nats per token", xaxis=axis)
    return fig.add_shape(zero_line())


def _axis(title: str, at: list[float], form: str) -> dict:
    """A logarithmic axis with a tick at each value."""
    ticked = dict(type="log", tickvals=at, tickformat=form, hoverformat=form)
    return theme.axis(f"{title} (logarithmic)") | ticked
