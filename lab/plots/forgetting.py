"""What is in the window and what in the weights: four readers of what follows."""

import plotly.graph_objects as go

from lab.analysis.forgetting import COLUMNS, Forgetting
from lab.measure.positions import short
from lab.plots import theme


LOOKS = dict(
    zip(
        COLUMNS,
        (
            theme.Look(theme.LEARNING, "circle"),
            theme.Look(theme.LEARNING, "circle-open", "dot"),
            theme.Look(theme.FROZEN, "diamond"),
            theme.Look(theme.FROZEN, "diamond-open", "dot"),
        ),
        strict=True,
    )
)


def nats_by_distance_read_on(result: Forgetting) -> go.Figure:
    """Nats of what follows from the four states, by tokens read on since the place.

    Places differ far more than states do, so intervals stand in `worth_of_memories`,
    where states are compared at the same places.
    """
    lines = []
    for name, curve in result.nats.items():
        look, x = LOOKS[name], list(curve.edges[1:])
        lines.append(
            theme.line(
                x,
                curve.mean,
                name,
                look.colour,
                mode="lines+markers",
                line=dict(dash=look.dash),
                marker=dict(symbol=look.symbol, size=8),
                hovertemplate="%{y:.3f}",
            )
        )
    ticks = list(next(iter(result.nats.values())).edges[1:])
    axis = theme.token_axis("tokens read on", ticks)
    axis["ticktext"] = [short(tick) for tick in ticks]
    title = "What follows, with a memory taken away"
    return theme.tall(lines, title=title, y="nats per token", xaxis=axis)


def worth_of_memories(result: Forgetting) -> go.Figure:
    """What window and weights save, each with and without the other, and the null."""
    parts = (
        ("this document", result.worth, theme.LEARNING),
        (f"{result.subject.null} (null)", result.null, theme.INK),
    )
    bars = [
        go.Bar(
            y=list(values),
            x=[one.mean for one in values.values()],
            name=name,
            orientation="h",
            marker=dict(color=colour, opacity=0.85),
            error_x=theme.whiskers(
                *zip(*((v.mean, v.low, v.high) for v in values.values()), strict=True),
                color=theme.INK,
            ),
            hovertemplate="%{x:+.3f}",
        )
        for name, values, colour in parts
    ]
    drawn = theme.tall(
        bars,
        title="What each memory is worth",
        y="",
        x="nats per token saved",
        height=330,
        barmode="group",
        bargap=0.3,
        hovermode="y unified",
    )
    return drawn.update_yaxes(autorange="reversed", nticks=0)
