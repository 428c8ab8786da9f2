"""Needles asked for alone and routed, by how far back they lie; and at what cost.

A colour says who reads, blue for the model that learns and orange for its frozen twin;
a dashed line with open marks is routed.
"""

import numpy as np
import plotly.graph_objects as go

from lab.evals.route import ROUTED, Route
from lab.measure.positions import short
from lab.plots import theme
from lab.plots.compare import zero_line
from lab.plots.needles import TICKS


FROZEN = ", frozen"
BM25 = "passage holds the answer (BM25)"


def found_by_distance_routed(result: Route) -> go.Figure:
    """Share of needles found alone and routed, and BM25's own share of hits."""
    lines = [*_lines(result, "exact", "%{y:.0%}"), _hits(result)]
    fig = _by_distance(result, lines, "Needles found, alone and routed", "share")
    return fig.update_yaxes(range=[-0.02, 1.04], tickformat=".0%")


def nats_by_distance_routed(result: Route) -> go.Figure:
    """Nats that a needle saves on a token of its answer, alone and routed."""
    title = "Nats that a needle saves on an answer token, alone and routed"
    lines = _lines(result, "nats", "%{y:+.2f}")
    return _by_distance(result, lines, title, "nats per token")


def several_at_once_routed(result: Route) -> go.Figure:
    """Of several needles in one text: right answers, beside BM25's share of hits."""
    longest = result.found.lengths[-1]
    bars = []
    for label in result.found.labels:
        rows = [one for one in result.found.several if one.label == label]
        spans = {one.many: one.exact for one in rows if one.length == longest}
        low = [max(0.0, span.low) for span in spans.values()]
        high = [min(1.0, span.high) for span in spans.values()]
        mean = [span.mean for span in spans.values()]
        bar = go.Bar(x=list(map(str, spans)), y=mean, name=label, marker=_mark(label))
        error = theme.whiskers(mean, low, high)
        bars.append(bar.update(error_y=error, hovertemplate="%{y:.0%}"))
    hits = [one for one in result.hits if not one.task and one.length == longest]
    x, y = [str(one.many) for one in hits], [one.rate.mean for one in hits]
    look = dict(mode="markers", marker=dict(symbol="line-ew-open", size=40))
    hover = dict(hovertemplate="%{y:.0%}")
    bars.append(theme.line(x, y, BM25, theme.INK, **look, **hover))
    title = f"Several needles at once, {short(longest)} tokens: whole answers"
    fig = theme.tall(bars, title=title, y="share", x="needles in the text", bargap=0.3)
    fig.update_xaxes(type="category")
    return fig.update_yaxes(range=[0, 1.05], tickformat=".0%")


def cost_of_a_question(result: Route) -> go.Figure:
    """Milliseconds of a question, alone and routed."""
    bars = [
        go.Bar(
            x=[one.label.replace(", ", "<br>")],
            y=[one.ms],
            marker=_mark(one.label),
            customdata=[(one.again, one.indexing)],
            hovertemplate="%{y:.1f} ms, %{customdata[0]:.0f} tokens read again, "
            "%{customdata[1]:.1f} ms to index 1,000 tokens<extra></extra>",
        )
        for one in result.costs
    ]
    title = "What a question costs, searching included"
    fig = theme.tall(bars, title=title, y="milliseconds", x="")
    return fig.update_layout(showlegend=False, bargap=0.4)


def _mark(label: str) -> dict:
    """How a reader's bar is filled: hatched where a passage is put back."""
    shape = dict(shape="/" if label.endswith(ROUTED) else "", fillmode="overlay")
    return dict(color=_colour(label), pattern=shape | dict(fgcolor="white"))


def _by_distance(result: Route, lines: list, title: str, y: str) -> go.Figure:
    reaches = {reach for reach in result.found.reaches.values() if reach}
    axis = theme.token_axis("tokens between needle and question", TICKS)
    shapes = [zero_line(), *(theme.mark(reach) for reach in reaches)]
    return theme.tall(lines, title=title, y=y, xaxis=axis, shapes=shapes)


def _lines(result: Route, name: str, hover: str) -> list:
    """A line for each reader and way."""
    lines = []
    for label in result.found.labels:
        routed = label.endswith(ROUTED)
        x, y = _points(
            (cell.length, cell.behind, getattr(cell, name).mean)
            for cell in result.found.cells
            if cell.label == label
        )
        marker = dict(symbol="circle-open" if routed else "circle", size=8)
        look = dict(mode="lines+markers", marker=marker, hovertemplate=hover)
        line = dict(dash="dash" if routed else "solid")
        lines.append(theme.line(x, y, label, _colour(label), line=line, **look))
    return lines


def _hits(result: Route):
    """BM25's share of hits, where the needles lie."""
    cells = {(one.task, one.length, one.depth): one for one in result.found.cells}
    x, y = _points(
        (one.length, cells[one.task, one.length, one.depth].behind, one.rate.mean)
        for one in result.hits
        if one.task
    )
    look = dict(mode="lines", hovertemplate="%{y:.0%}", line=dict(dash="dot"))
    return theme.line(x, y, BM25, theme.INK, **look)


def _points(found) -> tuple[list, list]:
    """Means over tasks at each place, with a gap between two lengths of text."""
    by_length: dict[int, dict[int, list[float]]] = {}
    for length, behind, value in found:
        # Needles of other tasks have other lengths; the places are the same.
        at = by_length.setdefault(length, {})
        near = next((one for one in at if abs(one - behind) < 100), max(1, behind))
        at.setdefault(near, []).append(value)
    x, y = [], []
    for at in by_length.values():
        for behind, values in sorted(at.items()):
            x.append(behind)
            y.append(float(np.mean(values)))
        x.append(None)
        y.append(None)
    return x, y


def _colour(label: str) -> str:
    return theme.FROZEN if FROZEN in label else theme.LEARNING
