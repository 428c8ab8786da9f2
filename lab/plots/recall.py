"""Recall by distance: what is left of a fact, at growing distances."""

import math
from collections.abc import Collection

import plotly.graph_objects as go

from lab.evals.recall import Memory, Recall
from lab.plots import theme
from lab.plots.compare import OTHERS, SYMBOLS, is_drawn, zero_line


def nats_by_distance(result: Recall, only: Collection[str] | None = None) -> go.Figure:
    """Nats that the fact saves on an answer token, with 95 % intervals.

    Dotted lines: the same for a decoy, a question about another thing. `only`: labels
    to draw (default: all).
    """
    fig = _figure(result, only, "nats", "Nats recalled", "nats per answer token")
    return fig.add_shape(zero_line())


def first_choice_by_distance(
    result: Recall, only: Collection[str] | None = None
) -> go.Figure:
    """Share of the answers' tokens that the model would have written itself."""
    fig = _figure(result, only, "first", "Answer tokens that are first choice", "share")
    return fig.update_yaxes(range=[0, 1.02], tickformat=".0%")


def whole_answers_by_distance(
    result: Recall, only: Collection[str] | None = None
) -> go.Figure:
    """Share of the answers whose every token the model would have written itself."""
    fig = _figure(result, only, "whole", "Whole answers", "share")
    return fig.update_yaxes(range=[0, 1.02], tickformat=".0%")


def _figure(result: Recall, only, measure: str, title: str, y: str) -> go.Figure:
    lines = list(_lines(result, only, measure))
    systems = result.systems.values()
    distances = sorted({d for memory in systems for d in memory.distances})
    reaches = sorted({memory.reach for memory in systems if memory.reach})
    reaches = [at for at in reaches if at < distances[-1]]
    return theme.tall(
        lines,
        title=title,
        y=y,
        xaxis=theme.token_axis("tokens behind the fact", distances),
        shapes=[theme.mark(at) for at in reaches],
        annotations=[_word(at) for at in reaches],
    )


def _lines(result: Recall, only, measure: str):
    """One line per system, and a dashed line for its frozen twin."""
    colours = (theme.LEARNING, *OTHERS)
    for i, (name, memory) in enumerate(result.systems.items()):
        colour, symbol = colours[i % len(colours)], SYMBOLS[i % len(SYMBOLS)]
        if memory.learning and is_drawn(name, only):
            look = theme.Look(colour, symbol)
            yield _line(memory, "learning", measure, name, look)
            if measure == "nats":
                dotted = theme.Look(colour, symbol, "dot")
                yield _line(memory, "learning", "decoy", f"{name}, decoy", dotted)
        if memory.learning:
            colour = theme.FROZEN if i == 0 else colour
            name = f"{name}, frozen"
        dashed = theme.Look(colour, symbol, "dash")
        if is_drawn(name, only):
            yield _line(memory, "frozen", measure, name, dashed)


def _line(memory: Memory, reader: str, measure: str, name: str, look: theme.Look):
    found = getattr(getattr(memory, reader), measure)
    ends = [[getattr(one, end) for one in found] for end in ("mean", "low", "high")]
    return theme.line(
        memory.distances,
        ends[0],
        name,
        look.colour,
        mode="lines+markers",
        line=dict(dash=look.dash),
        marker=dict(symbol=look.symbol, size=7),
        error_y=theme.whiskers(*ends),
        hovertemplate="%{y:+.3f}" if measure in ("nats", "decoy") else "%{y:.0%}",
    )


def _word(reach: int) -> dict:
    return theme.label(math.log10(reach), " beyond the reach of attention", y=0.99)
