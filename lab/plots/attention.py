"""Where heads look, as one bar per head."""

import plotly.graph_objects as go

from lab.analysis.attention import Attention
from lab.plots import theme


# The colours go from near to far.
NEAR_TO_FAR = ("#1f4e79", "#2a8fd0", "#2fa37c", "#c79a1e", "#e0641a")


def looks_by_distance(result: Attention) -> go.Figure:
    """Shares of attention by distance, head by head, beside a head that looks evenly.

    The hover text gives the number of tokens that a head spreads over.
    """
    names, rows = [], []
    for name, blocks in result.blocks.items():
        for i, block in enumerate(blocks, 1):
            for j, head in enumerate(block.heads, 1):
                names.append(f"{name} {i}.{j}")
                rows.append(head)
        for kind, even in {b.kind: b.even for b in blocks if b.heads}.items():
            names.append(f"{name}, even {kind}")
            rows.append(even)
    bars = [
        go.Bar(
            y=names,
            x=[row.shares[k] for row in rows],
            name=words,
            orientation="h",
            marker=dict(color=colour, opacity=0.85),
            customdata=[row.spread for row in rows],
            hovertemplate="%{x:.1%} (spread over %{customdata:,.1f} tokens)",
        )
        for k, (words, colour) in enumerate(
            zip(result.distances, NEAR_TO_FAR, strict=False)
        )
    ]
    fig = theme.tall(
        bars,
        title="How far back attention looks, in tokens (block.head)",
        y="",
        x="share of attention",
        height=170 + 20 * len(rows),
        legend_at=-52 / (80 + 20 * len(rows)),
        legend_traceorder="normal",
        barmode="stack",
        bargap=0.2,
        hovermode="y unified",
    )
    return fig.update_xaxes(tickformat=".0%").update_yaxes(
        autorange="reversed", nticks=0
    )
