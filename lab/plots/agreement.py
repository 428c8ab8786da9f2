"""What a passage's gradient is made of, as one bar per model."""

import plotly.graph_objects as go

from lab.analysis.agreement import Agreements
from lab.measure.intervals import Interval
from lab.plots import theme
from lab.plots.compare import OTHERS


PARTS = {
    "shared": ("shared by all novels", theme.LEARNING),
    "novel": ("shared within its novel", theme.FROZEN),
    "passage": ("this passage alone", OTHERS[4]),
}


def gradient_parts(result: Agreements) -> go.Figure:
    """Shares of the squared gradient, with intervals in the hover text."""
    rows = result.found
    bars = [
        go.Bar(
            y=list(rows),
            x=[getattr(row, part).mean for row in rows.values()],
            name=words,
            orientation="h",
            marker=dict(color=colour, opacity=0.8),
            customdata=[_half(getattr(row, part)) for row in rows.values()],
            hovertemplate="%{x:.1%} ± %{customdata:.1%}",
        )
        for part, (words, colour) in PARTS.items()
    ]
    fig = theme.tall(
        bars,
        title=f"What a gradient of {result.text.length:,} tokens is made of",
        y="",
        x="share of the squared gradient",
        height=180 + 50 * len(rows),
        legend_at=-0.35,
        barmode="relative",
        bargap=0.3,
        hovermode="y unified",
    )
    return fig.update_xaxes(tickformat=".0%").update_yaxes(autorange="reversed")


def _half(part: Interval) -> float | None:
    return part.half if part.is_known else None
