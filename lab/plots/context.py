"""Loss against context: the same tokens with more and more text before them.

A marker is open if the context is longer than a system's training sequences.
"""

from collections.abc import Collection

import numpy as np
import plotly.graph_objects as go

from lab.evals.context import Contexts, Score
from lab.measure.intervals import Interval
from lab.measure.positions import short
from lab.plots import theme
from lab.plots.compare import is_drawn, looks, zero_line


APART = 0.38  # octaves; intervals stand within this distance of their context
_GAP_HOVER = "%{y:+.4f} at %{customdata}"


def loss_by_context(result: Contexts, only: Collection[str] | None = None) -> go.Figure:
    """Mean loss over documents at each context, one line per system and frozen twin.

    `only`: labels to draw (default: all).
    """
    lines = [
        _line(label, rows, "loss", style, "%{y:.4f}")
        for label, rows, style in _labels(result, only)
    ]
    return _figure(result, lines, "Loss against context")


def gap_by_context(result: Contexts, only: Collection[str] | None = None) -> go.Figure:
    """How much worse than the reference each system reads, with 95 % intervals.

    The intervals of eight systems would hide each other, so they stand side by side
    around their context. `only`: labels to draw (default: all).
    """
    found = [
        (label, [row for row in rows if row.gap], style)
        for label, rows, style in _labels(result, only)
    ]
    found = [(label, rows, style) for label, rows, style in found if rows]
    aside = 2.0 ** np.linspace(-APART, APART, len(found) + 2)[1:-1]
    lines = [
        _line(label, rows, "gap", style, _GAP_HOVER).update(
            x=[row.context * factor for row in rows],
            customdata=[short(row.context) for row in rows],
            error_y=_whiskers([row.gap for row in rows]),
        )
        for factor, (label, rows, style) in zip(aside, found, strict=True)
    ]
    title = f"Above {result.reference}, at the same context, ± 95 %"
    drawn = _figure(result, lines, title).add_shape(zero_line())
    return drawn.update_layout(hovermode="closest")


def _whiskers(gaps: list[Interval]) -> dict:
    ends = zip(*((gap.mean, gap.low, gap.high) for gap in gaps), strict=True)
    return theme.whiskers(*ends)


def _labels(result: Contexts, only: Collection[str] | None):
    """Every label to draw with its scores and its style."""
    styles = looks(result.systems)
    for label, scores in result.by_label().items():
        if is_drawn(label, only):
            yield label, list(scores.values()), styles[label]


def _line(label: str, rows: list[Score], part: str, style: theme.Look, hover: str):
    symbol = style.symbol.removesuffix("-open")
    symbols = [symbol + ("-open" if row.extrapolated else "") for row in rows]
    return theme.line(
        [row.context for row in rows],
        [getattr(row, part).mean for row in rows],
        label,
        style.colour,
        mode="lines+markers",
        line=dict(dash=style.dash, width=1.8),
        marker=dict(symbol=symbols, size=8),
        hovertemplate=hover,
    )


def _figure(result: Contexts, lines: list, title: str) -> go.Figure:
    words = "context in tokens, open: beyond training"
    axis = theme.token_axis(words, result.contexts)
    return theme.tall(lines, title=title, y="nats per token", xaxis=axis)
