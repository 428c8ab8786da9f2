"""Inner rules side by side: what each saves at its best rate, and at every rate."""

import plotly.graph_objects as go

from lab.evals.rules import PAPERS, Row, Rules
from lab.measure.intervals import Interval
from lab.plots import theme
from lab.plots.compare import SYMBOLS, zero_line


def gain_by_rule(result: Rules) -> go.Figure:
    """What each rule saves over the frozen twin, with 95 % intervals over documents."""
    colours = [
        theme.LEARNING if row.rule == PAPERS else theme.BLOCKS[1] for row in result.rows
    ]
    title = f"{result.model}: what each inner rule saves at its best rate"
    gains = {_named(row): row.gain for row in result.rows}
    return _by_rule(gains, colours, title)


def gain_over_sgd(result: Rules) -> go.Figure:
    """What each rule saves over the paper's, paired over documents; 95 % intervals."""
    rows = [row for row in result.rows if row.rule != PAPERS]
    title = f"{result.model}: what each inner rule saves over the paper's"
    overs = {_named(row): row.over_sgd for row in rows}
    return _by_rule(overs, [theme.BLOCKS[1]] * len(rows), title)


def _named(row: Row) -> str:
    return f"{row.rule}<br>{row.rate:g}"


def _by_rule(found: dict[str, Interval], colours: list[str], title: str) -> go.Figure:
    """A mark with its interval for each rule, by name."""
    parts = ("mean", "low", "high")
    ends = [[getattr(one, part) for one in found.values()] for part in parts]
    marks = go.Scatter(
        x=list(found),
        y=ends[0],
        mode="markers",
        marker=dict(color=colours, size=10),
        error_y=theme.whiskers(*ends),
        hovertemplate="%{y:+.4f}",
    )
    x = "inner rule, best rate"
    fig = theme.tall(
        [marks], title=title, y="nats per token", x=x, shapes=[zero_line()]
    )
    return fig.update_layout(showlegend=False).update_xaxes(type="category")


def gain_by_rate_and_rule(result: Rules) -> go.Figure:
    """What each rule saves at every rate tried; below the frame, it does harm."""
    lines, colours = [], (theme.LEARNING, *theme.BLOCKS[1:], theme.INK)
    rows = sorted(result.rows, key=lambda row: (row.rule != PAPERS, row.rule))
    for i, row in enumerate(rows):
        best = max(range(len(row.tried)), key=lambda n: row.tried[n].rate == row.rate)
        lines.append(
            theme.line(
                [n - best for n in range(len(row.tried))],
                [one.gain for one in row.tried],
                row.rule,
                colours[i % len(colours)],
                mode="lines+markers",
                line=dict(dash=theme.DASHES[i % len(theme.DASHES)]),
                marker=dict(symbol=SYMBOLS[i % len(SYMBOLS)], size=8),
                customdata=[one.rate for one in row.tried],
                hovertemplate="%{y:+.3f} at rate %{customdata:g}",
            )
        )
    gains = [one.gain for row in result.rows for one in row.tried]
    most = max((gain for gain in gains if gain == gain), default=1.0)
    fig = theme.tall(
        lines,
        title="What each saves at other rates (train text)",
        y="nats per token",
        x="rate, in steps of about three from the best",
        shapes=[zero_line()],
    )
    fig.update_xaxes(hoverformat="d", dtick=1)
    return fig.update_yaxes(range=[-1.5 * abs(most), 1.2 * abs(most)])
