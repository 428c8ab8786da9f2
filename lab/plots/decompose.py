"""A gap taken apart: the better start, and learning while reading.

Takes what `ttt-lab eval decompose` keeps (a dict, see `lab.published.results`). Orange
is what the frozen twin already has, blue what learning adds, pink their sum: the gap.
"""

import plotly.graph_objects as go

from lab.measure.positions import short
from lab.plots import theme
from lab.plots.compare import band, curve_lines, position_figure, shown, zero_line


# A light rim keeps the diamonds apart from the bars that they lie on.
EDGE = dict(color="white", width=1.2)


def decomposition(result: dict) -> go.Figure:
    """Stacked bars in each doubling of the position; the whole gap with its interval.

    What the other system gains by learning, where it does, counts against the gap.
    """
    edges = shown(result["total"], result)["edges"]
    names = [_span(*span) for span in zip(edges[:-1], edges[1:], strict=True)]
    bars = [
        go.Bar(
            x=names,
            y=[None if v is None else sign * v for v in curve["mean"]],
            name=words,
            marker=dict(color=colour, opacity=0.75, pattern=dict(shape=pattern)),
            hovertemplate="%{y:+.3f}",
        )
        for words, colour, pattern, sign, curve in _parts(result)
    ]
    fig = theme.tall(
        [*bars, _whole(result, names)],
        title=_title(result),
        y="nats per token",
        x="position in the text (tokens)",
        legend_at=-0.34,
        barmode="relative",
        bargap=0.18,
        shapes=[zero_line()],
    )
    return fig.update_xaxes(type="category", tickvals=names, tickangle=-45)


def parts_by_position(result: dict) -> go.Figure:
    """The whole gap and its parts along the text, each with its 95 % band."""
    lines = []
    rows = [
        ("the whole gap", theme.SUMMARY, "diamond", 1, shown(result["total"], result)),
        *_parts(result),
    ]
    symbols = ("diamond", "square", "circle", "triangle-up")
    for (words, colour, _, sign, curve), symbol in zip(rows, symbols, strict=False):
        curve = _signed(curve, sign)
        style = dict(colour=colour, symbol=symbol)
        lines += [band(curve, colour), *curve_lines(curve, words, style)]
    return position_figure(lines, result, title=_title(result), zero=True)


def _parts(result: dict) -> list[tuple]:
    """Words, colour, pattern, sign and curve of each part."""
    found = [
        (
            "better start (both frozen)",
            theme.FROZEN,
            "/",
            1,
            shown(result["start"], result),
        ),
        (
            "learning while reading",
            theme.LEARNING,
            "",
            1,
            shown(result["learning"], result),
        ),
    ]
    if result["rival"]:
        words = f"{result['than']} learning"
        found.append((words, "#2fa37c", "x", -1, shown(result["rival"], result)))
    return found


def _whole(result: dict, names: list[str]) -> go.Scatter:
    curve = shown(result["total"], result)
    ends = (curve[part] for part in ("mean", "low", "high"))
    thick = dict(thickness=2.2, width=5, color=theme.SUMMARY)
    return go.Scatter(
        x=names,
        y=curve["mean"],
        name="the whole gap, 95 % over novels",
        mode="markers",
        marker=dict(color=theme.SUMMARY, symbol="diamond", size=10, line=EDGE),
        error_y=theme.whiskers(*ends, **thick),
        hovertemplate="%{y:+.3f}",
    )


def _signed(curve: dict, sign: int) -> dict:
    if sign > 0:
        return curve
    flip = lambda values: [None if v is None else -v for v in values]
    low, high = flip(curve["high"]), flip(curve["low"])
    return curve | {"mean": flip(curve["mean"]), "low": low, "high": high}


def _title(result: dict) -> str:
    return f"{result['better']} over {result['than']}"


def _span(start: int, stop: int) -> str:
    return f"{short(start)}-{short(stop)}"
