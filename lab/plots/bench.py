"""What a token costs after more and more tokens, and how near all is to the peak.

The cost's axes are both logarithmic: a flat line means a constant cost, full
attention's slope is one.
"""

import math
from collections.abc import Collection

import plotly.graph_objects as go

from lab.bench.reading import ReadingBench, Row
from lab.bench.speed import SpeedBench
from lab.plots import theme
from lab.plots.compare import is_drawn, looks


def reading_cost(
    result: ReadingBench, only: Collection[str] | None = None
) -> go.Figure:
    """The cost of reading a token, at each position; of the systems in `only`."""
    return _figure(result, only, "reading_ms", "What reading a token costs")


def writing_cost(
    result: ReadingBench, only: Collection[str] | None = None
) -> go.Figure:
    """The cost of writing a token, at each position, including inner steps."""
    return _figure(result, only, "writing_ms", "What writing a token costs")


def speed_shares(result: SpeedBench) -> go.Figure:
    """What share of the machine's peak each row reaches, and reached before."""
    names = [row.what for row, _ in result.pairs()]
    percent = lambda row: None if row is None else 100 * row.share_of_peak
    columns = {"now": [percent(row) for row, _ in result.pairs()]}
    if result.before:
        columns["before"] = [percent(was) for _, was in result.pairs()]
    styles = looks(columns)
    bars = [
        go.Bar(
            y=names,
            x=values,
            name=name,
            orientation="h",
            marker=dict(color=styles[name].colour, pattern_shape="/" * (name != "now")),
            hovertemplate="%{x:.1f} %",
        )
        for name, values in columns.items()
    ]
    title = f"Share of the peak of float32 products, {result.model}"
    knobs = {"x": "% of the peak", "barmode": "group", "height": 560}
    fig = theme.tall(bars, title=title, y="", legend_at=-0.12, **knobs)
    return fig.update_yaxes(type="category", autorange="reversed", tickvals=names)


def _figure(result: ReadingBench, only, part: str, title: str) -> go.Figure:
    styles = looks(row.system for row in result.rows)
    drawn = [row for row in result.rows if is_drawn(row.system, only)]
    lines = [_line(row, part, styles[row.system]) for row in drawn]
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
