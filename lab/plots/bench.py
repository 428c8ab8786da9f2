"""What a token costs after more and more tokens, in milliseconds.

Both axes are logarithmic: a flat line means a constant cost, full attention's slope is
one.
"""

import math

import plotly.graph_objects as go

from lab.bench.reading import ReadingBench, Row
from lab.plots import theme
from lab.plots.compare import looks


def reading_cost(result: ReadingBench) -> go.Figure:
    """The cost of reading a token, at each position."""
    return _figure(result, "reading_ms", "What reading a token costs")


def writing_cost(result: ReadingBench) -> go.Figure:
    """The cost of writing a token, at each position, including inner steps."""
    return _figure(result, "writing_ms", "What writing a token costs")


def _figure(result: ReadingBench, part: str, title: str) -> go.Figure:
    styles = looks(row.system for row in result.rows)
    lines = [_line(row, part, styles[row.system]) for row in result.rows]
    axis = theme.token_axis("tokens read before", result.rows[0].positions)
    y = "ms per token (logarithmic)"
    fig = theme.tall(lines, title=title, y=y, xaxis=axis)
    values = [ms for row in result.rows for ms in getattr(row, part)]
    spans = [math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))]
    return fig.update_yaxes(type="log", range=spans, dtick=1)


def _line(row: Row, part: str, style: theme.Look) -> go.Scatter:
    return theme.line(
        row.positions,
        getattr(row, part),
        row.system,
        style.colour,
        mode="lines+markers",
        line=dict(width=1.8),
        marker=dict(symbol=style.symbol, size=7),
        hovertemplate="%{y:.3f} ms",
    )
