"""What a token costs against context; a mark where a line crosses the reference's.

Both axes are logarithmic: a flat line is a constant cost. Times are the best of some
turns.
"""

import math
from collections.abc import Collection

import plotly.graph_objects as go

from lab.evals.latency import Act, Latency
from lab.measure.positions import short
from lab.plots import theme
from lab.plots.compare import is_drawn, looks


def prompt_cost(result: Latency, only: Collection[str] | None = None) -> go.Figure:
    """The mean cost of a prompt's token, for prompts of each length."""
    return _figure(result, only, "prompt", "What a prompt's token costs")


def decode_cost(result: Latency, only: Collection[str] | None = None) -> go.Figure:
    """The cost of writing a token after each context, including inner steps."""
    return _figure(result, only, "writing", "What writing a token costs")


def training_cost(result: Latency, only: Collection[str] | None = None) -> go.Figure:
    """The cost of training on a token, in sequences of each length."""
    return _figure(result, only, "training", "What training on a token costs")


def _figure(result: Latency, only, act: str, title: str) -> go.Figure:
    styles = looks(row.system for row in result.rows)
    drawn = [row for row in result.rows if is_drawn(row.system, only)]
    lines = [_line(row.system, getattr(row, act), styles[row.system]) for row in drawn]
    found: Act = getattr(result.rows[0], act)
    axis = theme.token_axis("context in tokens", list(found.at))
    fig = theme.tall(lines, title=title, y="ms per token (logarithmic)", xaxis=axis)
    names = {row.system for row in drawn}
    crossed = [one for one in result.crossings if one.act == act and one.other in names]
    for one in crossed:
        if not one.always and not math.isnan(one.at):
            _mark(fig, one.other, one.at, styles[one.other].colour)
    values = [ms for row in result.rows for ms in getattr(row, act).ms]
    spans = [math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))]
    return fig.update_yaxes(type="log", range=spans, dtick=1)


def _mark(fig: go.Figure, other: str, at: float, colour: str):
    """Where a system becomes dearer than the reference; on a logarithmic axis a word's
    place is the logarithm, and a line's is not."""
    fig.add_shape(theme.mark(at, colour))
    fig.add_annotation(theme.label(math.log10(at), f" {other}: {short(round(at))}"))


def _line(name: str, found: Act, style: theme.Look) -> go.Scatter:
    return theme.line(
        found.at,
        found.ms,
        name,
        style.colour,
        mode="lines+markers",
        line=dict(width=1.8),
        marker=dict(symbol=style.symbol, size=7),
        hovertemplate="%{y:.3f} ms",
    )
