"""What models write, as an independent judge reads it, beside the document itself.

Grey is the document as it really goes on; a model that learns is drawn solid, its
frozen twin dashed, and one that learns nothing from its own writing dotted.
"""

from collections.abc import Iterable

import numpy as np
import plotly.graph_objects as go

from lab.evals import in_words
from lab.evals.decode import PARTS, STOPS, Decode, Judged
from lab.plots import theme
from lab.plots.compare import looks, zero_line


UNIT = "judge's nats per byte"


def nats_along_the_writing(
    result: Decode, *, only: Iterable[str] | None = None
) -> go.Figure:
    """What the judge pays along the text before, and along what follows on it."""
    before = [one.mean for one in result.before]
    lines = [_line(_at(result, before=True), before, "the text before", theme.INK)]
    styles = _styles(result)
    for row in _shown(result, only):
        values = [one.mean for one in row.along]
        look = styles[row.label]
        lines.append(
            _line(_at(result), values, row.label, look.colour, look.symbol, look.dash)
        )
    fig = theme.tall(
        lines,
        title="What a judge pays for what was written",
        y=UNIT,
        x=f"tokens after the place in the document, {result.places}",
        shapes=[theme.mark(0.0)],
    )
    return fig.update_xaxes(hoverformat=",.0f")


def over_the_real_text(
    result: Decode, *, only: Iterable[str] | None = None
) -> go.Figure:
    """How much more the judge pays than for the document; paired, 95 % intervals."""
    rows = [one for one in _shown(result, only) if one.label != result.real.label]
    overs = [result.over(one.label, result.real.label) for one in rows]
    styles = _styles(result)
    marks = go.Scatter(
        x=[_broken(one.label) for one in rows],
        y=[one.mean for one in overs],
        mode="markers",
        marker=dict(
            color=[styles[one.label].colour for one in rows],
            symbol=[styles[one.label].symbol for one in rows],
            size=10,
        ),
        error_y=theme.whiskers(*_ends(overs)),
        hovertemplate="%{y:+.3f}",
    )
    title = "How much more a judge pays than for the document itself"
    fig = theme.tall([marks], title=title, y=UNIT, x="", shapes=[zero_line()])
    return fig.update_layout(showlegend=False).update_xaxes(type="category")


def nats_by_repetition(
    result: Decode, *, only: Iterable[str] | None = None
) -> go.Figure:
    """What the judge pays against how much is repeated: cheap may mean repetitive."""
    marks, styles = [], _styles(result)
    for row in _shown(result, only):
        look = styles[row.label]
        marks.append(
            go.Scatter(
                x=[float(np.mean(row.repeated))],
                y=[float(np.mean(row.nats))],
                name=row.label,
                mode="markers",
                marker=dict(color=look.colour, symbol=look.symbol, size=12),
                customdata=[float(np.mean(row.distinct))],
                hovertemplate="%{x:.1%} repeated, %{y:.3f} nats per byte, "
                "%{customdata:.1%} different tokens",
            )
        )
    fig = theme.tall(
        marks,
        title="What a judge pays, by how much is repeated",
        y=UNIT,
        x="4-grams that were written before",
        hovermode="closest",
    )
    return fig.update_xaxes(tickformat=".1%", rangemode="tozero")


def _shown(result: Decode, only: Iterable[str] | None) -> list[Judged]:
    chosen = result.by_label if only is None else set(only)
    return [row for label, row in result.by_label.items() if label in chosen]


def _styles(result: Decode) -> dict[str, theme.Look]:
    """The document itself in grey; models as everywhere."""
    names = in_words.systems(row.label for row in result.rows)
    found = looks(names) | {result.real.label: theme.Look(theme.INK, "diamond")}
    for name in names:
        look = found[name]
        found[f"{name}{STOPS}"] = theme.Look(look.colour, f"{look.symbol}-dot", "dot")
    return found


def _at(result: Decode, *, before: bool = False) -> list[float]:
    """The middles of the parts, in tokens of the first model."""
    middles = (np.arange(PARTS) + 0.5) * result.tokens / PARTS
    return (middles - result.tokens if before else middles).tolist()


def _line(x, y, name: str, colour: str, symbol: str = "diamond", dash: str = "solid"):
    look = dict(mode="lines+markers", marker=dict(symbol=symbol, size=7))
    return theme.line(
        x, y, name, colour, line=dict(dash=dash), hovertemplate="%{y:.3f}", **look
    )


def _broken(label: str) -> str:
    return label.replace(", ", "<br>")


def _ends(found: list) -> list[list[float]]:
    return [[getattr(one, part) for one in found] for part in ("mean", "low", "high")]
