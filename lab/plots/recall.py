"""Recall by distance: what is left of a fact, ever farther behind it.

Takes what `ttt-lab eval recall` keeps (a dict, see `lab.published.results`).
"""

import math

import plotly.graph_objects as go

from lab.plots import theme
from lab.plots.compare import OTHERS, SYMBOLS, zero_line


def nats_by_distance(result: dict) -> go.Figure:
    """Nats of an answer token that having read the fact saves, 95 % intervals.

    Dotted: the same for a decoy, the question asked of another thing.
    """
    fig = _figure(result, "nats", "Nats recalled", "nats per answer token")
    return fig.add_shape(zero_line())


def first_choice_by_distance(result: dict) -> go.Figure:
    """Share of the answers' tokens that the model would have written itself."""
    fig = _figure(result, "first", "Answer tokens that are first choice", "share")
    return fig.update_yaxes(range=[0, 1.02], tickformat=".0%")


def whole_answers_by_distance(result: dict) -> go.Figure:
    """Share of the answers that the model would have written itself, every token."""
    fig = _figure(result, "whole", "Whole answers", "share")
    return fig.update_yaxes(range=[0, 1.02], tickformat=".0%")


def _figure(result: dict, measure: str, title: str, y: str) -> go.Figure:
    lines = list(_lines(result, measure))
    systems = result["systems"].values()
    distances = sorted({d for row in systems for d in row["distances"]})
    reaches = sorted({row["reach"] for row in systems if row["reach"]})
    reaches = [at for at in reaches if at < distances[-1]]
    return theme.tall(
        lines,
        title=title,
        y=y,
        xaxis=theme.token_axis("tokens behind the fact", distances),
        shapes=[theme.mark(at) for at in reaches],
        annotations=[_word(at) for at in reaches],
    )


def _lines(result: dict, measure: str):
    """A line a system, and a dashed one for its frozen twin."""
    colours = (theme.LEARNING, *OTHERS)
    for i, (name, row) in enumerate(result["systems"].items()):
        colour, symbol = colours[i % len(colours)], SYMBOLS[i % len(SYMBOLS)]
        if "learning" in row:
            yield _line(row, "learning", measure, name, colour, symbol, "solid")
            if measure == "nats":
                decoy = f"{name}, decoy"
                yield _line(row, "learning", "decoy", decoy, colour, symbol, "dot")
            colour = theme.FROZEN if i == 0 else colour
            name = f"{name}, frozen"
        yield _line(row, "frozen", measure, name, colour, symbol, "dash")


def _line(row, kind, measure, name, colour, symbol, dash) -> go.Scatter:
    curve = row[kind][measure]
    return theme.line(
        row["distances"],
        curve["mean"],
        name,
        colour,
        mode="lines+markers",
        line=dict(dash=dash),
        marker=dict(symbol=symbol, size=7),
        error_y=theme.whiskers(curve["mean"], curve["low"], curve["high"]),
        hovertemplate="%{y:+.3f}" if measure in ("nats", "decoy") else "%{y:.0%}",
    )


def _word(reach: int) -> dict:
    return theme.label(math.log10(reach), " beyond the reach of attention", y=0.99)
