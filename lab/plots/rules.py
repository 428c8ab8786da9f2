"""Inner rules side by side: what each saves at its best rate, and at every rate."""

import plotly.graph_objects as go

from lab.evals.rules import PAPERS, Rules
from lab.plots import theme
from lab.plots.compare import SYMBOLS, zero_line


def gain_by_rule(result: Rules) -> go.Figure:
    """What each rule saves over the frozen twin, with 95 % intervals over documents."""
    gains = [row.gain for row in result.rows]
    ends = [[getattr(one, end) for one in gains] for end in ("mean", "low", "high")]
    bars = go.Bar(
        x=[f"{row.rule}<br>{row.rate:g}" for row in result.rows],
        y=ends[0],
        marker_color=[
            theme.LEARNING if row.rule == PAPERS else theme.BLOCKS[1]
            for row in result.rows
        ],
        error_y=theme.whiskers(*ends),
        hovertemplate="%{y:+.3f}",
    )
    fig = theme.tall(
        [bars],
        title=f"{result.model}: what each inner rule saves at its best rate",
        y="nats per token",
        x="inner rule, best rate",
        shapes=[zero_line()],
        bargap=0.3,
    )
    return fig.update_layout(showlegend=False).update_xaxes(type="category")


def gain_over_sgd(result: Rules) -> go.Figure:
    """What each rule saves over the paper's, paired over documents; 95 % intervals."""
    rows = [row for row in result.rows if row.rule != PAPERS]
    overs = [row.over_sgd for row in rows]
    ends = [[getattr(one, end) for one in overs] for end in ("mean", "low", "high")]
    points = go.Scatter(
        x=[f"{row.rule}<br>{row.rate:g}" for row in rows],
        y=ends[0],
        mode="markers",
        marker=dict(color=theme.BLOCKS[1], size=10),
        error_y=theme.whiskers(*ends),
        hovertemplate="%{y:+.4f}",
    )
    fig = theme.tall(
        [points],
        title=f"{result.model}: what each inner rule saves over the paper's",
        y="nats per token",
        x="inner rule, best rate",
        shapes=[zero_line()],
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
