"""A gap taken apart: the better start, and learning while reading.

Orange is the part that the frozen twin already has, blue the part that learning adds,
pink their sum, the gap.
"""

import plotly.graph_objects as go

from lab.evals.decompose import Decomposition
from lab.measure.intervals import Curve
from lab.measure.positions import short
from lab.plots import theme
from lab.plots.compare import (
    OTHERS,
    band,
    curve_lines,
    position_figure,
    shown,
    zero_line,
)


# A light rim separates the diamonds from the bars beneath.
EDGE = dict(color="white", width=1.2)


def decomposition(result: Decomposition) -> go.Figure:
    """Stacked bars in each doubling of the position; the whole gap with its interval.

    If the other system learns too, its gain counts against the gap.
    """
    edges = shown(result.total, result.text).edges
    names = [_span(*span) for span in zip(edges[:-1], edges[1:], strict=True)]
    bars = [
        go.Bar(
            x=names,
            y=[sign * value for value in curve.mean],
            name=words,
            marker=dict(color=colour, opacity=0.75, pattern=dict(shape=pattern)),
            hovertemplate="%{y:+.3f}",
        )
        for words, colour, pattern, sign, curve in _parts(result)
    ]
    fig = theme.tall(
        [*bars, _whole(result, names)],
        title=result.title,
        y="nats per token",
        x="position in the text (tokens)",
        legend_at=-0.34,
        barmode="relative",
        bargap=0.18,
        shapes=[zero_line()],
    )
    return fig.update_xaxes(type="category", tickvals=names, tickangle=-45)


def parts_by_position(result: Decomposition) -> go.Figure:
    """The whole gap and its parts along the text, each with its 95 % band."""
    lines = []
    rows = [
        ("the whole gap", theme.SUMMARY, "diamond", 1, _shown(result, "total")),
        *_parts(result),
    ]
    symbols = ("diamond", "square", "circle", "triangle-up")
    for (words, colour, _, sign, curve), symbol in zip(rows, symbols, strict=False):
        curve = curve if sign > 0 else curve.flipped()
        style = theme.Look(colour, symbol)
        lines += [band(curve, colour), *curve_lines(curve, words, style)]
    trained = result.total.trained_to
    return position_figure(lines, trained, title=result.title, zero=True)


def _parts(result: Decomposition) -> list[tuple]:
    """Name, colour, pattern, sign and curve of each part."""
    found = [
        (
            "better start (both frozen)",
            theme.FROZEN,
            "/",
            1,
            _shown(result, "start"),
        ),
        (
            "learning while reading",
            theme.LEARNING,
            "",
            1,
            _shown(result, "learning"),
        ),
    ]
    if result.rival:
        words = f"{result.total.than} learning"
        found.append((words, OTHERS[0], "x", -1, _shown(result, "rival")))
    return found


def _shown(result: Decomposition, part: str) -> Curve:
    return shown(getattr(result, part), result.text)


def _whole(result: Decomposition, names: list[str]) -> go.Scatter:
    curve = _shown(result, "total")
    thick = dict(thickness=2.2, width=5, color=theme.SUMMARY)
    return go.Scatter(
        x=names,
        y=curve.mean,
        name="the whole gap, 95 % over novels",
        mode="markers",
        marker=dict(color=theme.SUMMARY, symbol="diamond", size=10, line=EDGE),
        error_y=theme.whiskers(curve.mean, curve.low, curve.high, **thick),
        hovertemplate="%{y:+.3f}",
    )


def _span(start: int, stop: int) -> str:
    return f"{short(start)}-{short(stop)}"
