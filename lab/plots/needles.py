"""Needles by depth and length: RULER's grid, red where lost, green where found.

Colours of a red-yellow-green scale that stay apart for colour-blind eyes (green is a
bluish one), and every square says its number. Above the broken line a needle lies out
of the reach of attention: what is found there, weights remember.
"""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lab.data.needles import TASKS
from lab.evals.needles import Needles
from lab.measure.positions import short
from lab.plots import theme
from lab.plots.compare import OTHERS, SYMBOLS, zero_line


FOUND = ((0.0, "#b2382f"), (0.5, "#e8c84a"), (1.0, "#1f8f7a"))
TICKS = [64, 256, 1_024, 4_096, 16_384]
NATS = 4.0  # saved nats a token that count as a full colour


def exact_by_depth(result: Needles) -> go.Figure:
    """Share of needles found again, greedy and exact."""
    shown = lambda cell: (cell.exact.mean, f"{cell.exact.mean:.0%}")
    return _grids(result, shown, "Found again: whole answers, greedy", 1.0)


def nats_by_depth(result: Needles) -> go.Figure:
    """Nats that the needle saves on a token of its answer."""
    shown = lambda cell: (cell.nats.mean, f"{cell.nats.mean:+.2f}")
    return _grids(result, shown, "Nats that the needle saves on an answer token", NATS)


def nats_by_distance_back(result: Needles) -> go.Figure:
    """Nats that a needle saves on a token of its answer, by how far back it lies."""
    title = "Nats that a needle saves on an answer token"
    return _by_distance(result, "nats", title, "nats per token", "%{y:+.2f}")


def found_by_distance_back(result: Needles) -> go.Figure:
    """Share of needles found again, by how far back they lie."""
    title = "Needles found: whole answers, greedy"
    fig = _by_distance(result, "exact", title, "share", "%{y:.0%}")
    return fig.update_yaxes(range=[-0.02, 1.04], tickformat=".0%")


def _by_distance(result: Needles, name: str, title: str, y: str, hover: str):
    """A line for each reader, over the means of all tasks at each place."""
    lines, colours = [], (theme.LEARNING, theme.FROZEN, *OTHERS)
    for i, label in enumerate(result.labels):
        points = _points(result, label, name)
        lines.append(
            theme.line(
                [x for x, _ in points],
                [value for _, value in points],
                label,
                colours[i % len(colours)],
                mode="lines+markers",
                line=dict(dash=theme.DASHES[i % len(theme.DASHES)]),
                marker=dict(symbol=SYMBOLS[i % len(SYMBOLS)], size=7),
                hovertemplate=hover,
            )
        )
    reaches = {reach for reach in result.reaches.values() if reach}
    axis = theme.token_axis("tokens between needle and question", TICKS)
    shapes = [zero_line(), *(theme.mark(reach) for reach in reaches)]
    return theme.tall(lines, title=title, y=y, xaxis=axis, shapes=shapes)


def _points(result: Needles, label: str, name: str) -> list[tuple]:
    """How far back and what is found there, with a gap between two lengths of text."""
    found = []
    for length in result.lengths:
        at = {}
        for cell in result.cells:
            if (cell.label, cell.length) == (label, length):
                at.setdefault(cell.depth, []).append(cell)
        found += sorted(
            (
                max(1.0, float(np.mean([cell.behind for cell in cells]))),
                float(np.mean([getattr(cell, name).mean for cell in cells])),
            )
            for cells in at.values()
        )
        found.append((None, None))
    return found


def several_at_once(result: Needles) -> go.Figure:
    """Of several needles in one text: right answers, right picks, decoys answered."""
    longest = max((one.length for one in result.several), default=0)
    fig = make_subplots(
        rows=1,
        cols=3,
        subplot_titles=("answer exact", "right one picked", "decoy answered"),
        shared_yaxes=True,
        horizontal_spacing=0.03,
    )
    for i, label in enumerate(result.labels):
        rows = [
            one
            for one in result.several
            if one.label == label and one.length == longest
        ]
        colour = (theme.LEARNING, theme.FROZEN, *OTHERS)[i % (2 + len(OTHERS))]
        for col, name in enumerate(("exact", "picked", "decoy"), start=1):
            spans = [getattr(one, name) for one in rows]
            fig.add_bar(
                x=[str(one.many) for one in rows],
                y=[span.mean for span in spans],
                error_y=theme.whiskers(
                    [span.mean for span in spans],
                    [max(0.0, span.low) for span in spans],
                    [min(1.0, span.high) for span in spans],
                ),
                name=label,
                marker_color=colour,
                legendgroup=label,
                showlegend=col == 1,
                row=1,
                col=col,
                hovertemplate="%{y:.0%}",
            )
    fig.update_yaxes(range=[0, 1.05], tickformat=".0%", gridcolor=theme.GRID)
    fig.update_xaxes(title="needles in the text", type="category")
    title = f"Several needles at once, {short(longest)} tokens"
    return fig.update_layout(_layout(title, 380) | {"barmode": "group"})


def _grids(result: Needles, shown, title: str, most: float) -> go.Figure:
    """A grid for each reader (down) and task (across)."""
    tasks, labels = result.tasks, result.labels
    fig = make_subplots(
        rows=len(labels),
        cols=len(tasks),
        subplot_titles=[f"{one}: {TASKS[t].title}" for one in labels for t in tasks],
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=min(0.1, 0.22 / max(1, len(labels))),
    )
    depths = [f"{depth:.0%}" for depth in result.depths]
    lengths = [short(length) for length in result.lengths]
    for row, label in enumerate(labels, start=1):
        for col, task in enumerate(tasks, start=1):
            cells = result.of(task, label)
            at = lambda depth, found=cells: [
                found.get((length, depth)) for length in result.lengths
            ]
            rows = [
                [shown(cell) if cell else None for cell in at(d)] for d in result.depths
            ]
            fig.add_heatmap(
                z=[[one[0] if one else None for one in line] for line in rows],
                text=[[one[1] if one else "not read" for one in line] for line in rows],
                texttemplate="%{text}",
                textfont_color="white",
                x=lengths,
                y=depths,
                zmin=0,
                zmax=most,
                colorscale=FOUND,
                showscale=False,
                xgap=2,
                ygap=2,
                hovertemplate="%{x} tokens, depth %{y}: %{text}<extra></extra>",
                row=row,
                col=col,
            )
            for line in _reach(result, cells):
                fig.add_scatter(**line, row=row, col=col)
    fig.update_yaxes(autorange="reversed", type="category")
    fig.update_yaxes(title="depth", col=1)
    fig.update_xaxes(title="tokens", row=len(labels), type="category")
    return fig.update_layout(_layout(title, 120 + 170 * len(labels)))


def _reach(result: Needles, cells: dict):
    """The border between needles beyond the reach of attention and those within."""
    x, y = [], []
    for i, length in enumerate(result.lengths):
        beyond = [
            bool((cell := cells.get((length, depth))) and cell.beyond)
            for depth in result.depths
        ]
        edge = sum(beyond) - 0.5
        x += [i - 0.5, i + 0.5]
        y += [edge, edge]
    if any(cell.beyond for cell in cells.values()):
        yield dict(
            x=x,
            y=y,
            mode="lines",
            line=dict(color="white", width=3, dash="dash"),
            hoverinfo="skip",
            showlegend=False,
        )


def _layout(title: str, height: int) -> dict:
    return dict(
        title=dict(text=title, x=0, xanchor="left"),
        height=height,
        margin=dict(l=60, r=10, t=70, b=50),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font=dict(color=theme.INK),
        legend=dict(orientation="h", y=-0.25),
    )
