"""What a passage's gradient is made of, as one bar a model.

Takes what `ttt-lab eval gradients` keeps (a dict, see `lab.published.results`).
"""

import plotly.graph_objects as go

from lab.plots import theme
from lab.plots.compare import OTHERS


PARTS = {
    "shared": ("what all novels ask for", theme.LEARNING),
    "novel": ("what its novel asks for", theme.FROZEN),
    "passage": ("what it alone asks for", OTHERS[4]),
}


def gradient_parts(result: dict) -> go.Figure:
    """Shares of the squared gradient, with their intervals in the hover text."""
    rows = result["gradients"]
    bars = [
        go.Bar(
            y=list(rows),
            x=[row[part]["mean"] for row in rows.values()],
            name=words,
            orientation="h",
            marker=dict(color=colour, opacity=0.8),
            customdata=[_half(row[part]) for row in rows.values()],
            hovertemplate="%{x:.1%} ± %{customdata:.1%}",
        )
        for part, (words, colour) in PARTS.items()
    ]
    fig = theme.tall(
        bars,
        title=f"What a gradient of {result['length']:,} tokens is made of",
        y="",
        x="share of the squared gradient",
        height=180 + 50 * len(rows),
        legend_at=-0.35,
        barmode="relative",
        bargap=0.3,
        hovermode="y unified",
    )
    return fig.update_xaxes(tickformat=".0%").update_yaxes(autorange="reversed")


def _half(part: dict) -> float | None:
    ends = part["interval_95"]
    return None if ends is None else (ends[1] - ends[0]) / 2
