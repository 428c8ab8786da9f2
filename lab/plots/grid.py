"""What is left of a needle, by the text's length and the needle's depth."""

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme


def needle_grid(nats, lengths, depths, reach: int | None = None) -> go.Figure:
    """A cell for each depth and length; blue = the needle is known, white = it is lost.

    Args:
        nats: `[depths, lengths]`, saved per token of the answer; NaN = not yet known.
        lengths, depths: tokens read; the needle's place from 0 (start) to 1 (end).
        reach: tokens that attention sees back; above its line the needle is out of
            reach. None = no line.
    """
    nats = np.asarray(nats, float)
    most = np.nanmax(np.abs(nats), initial=1.0) if np.isfinite(nats).any() else 1.0
    names = [f"{n:,}" for n in lengths]
    cells = go.Heatmap(
        z=nats,
        x=list(range(len(names))),
        y=list(range(len(depths))),
        zmin=-most,
        zmax=most,
        colorscale=theme.SIGNED,
        colorbar=dict(title="nats", thickness=12),
        xgap=2,
        ygap=2,
        text=[["" if np.isnan(v) else f"{v:+.2f}" for v in row] for row in nats],
        texttemplate="%{text}",
        customdata=[names for _ in depths],
        hovertemplate="%{customdata} tokens read: %{z:+.3f} nats saved<extra></extra>",
    )
    lines = [_reach(lengths, depths, reach)] if reach else []
    ticks = lambda words: dict(tickvals=list(range(len(words))), ticktext=list(words))
    y = theme.axis("depth of the needle", **ticks([f"{d:.0%}" for d in depths]))
    return theme.figure(
        [cells, *lines],
        title="What is left of the needle",
        y="depth of the needle",
        height=360,
        xaxis=theme.axis("tokens read", **ticks(names)),
        yaxis=y | dict(range=[len(depths) - 0.5, -0.5], zeroline=False),
        legend=dict(orientation="h", y=1.12),
    )


def _reach(lengths, depths, reach: int) -> go.Scatter:
    """A step for each length: needles above it have left attention's reach."""
    edge = [sum(n * (1 - depth) > reach for depth in depths) - 0.5 for n in lengths]
    x = [at for i in range(len(edge)) for at in (i - 0.5, i + 0.5)]
    return go.Scatter(
        x=x,
        y=[at for at in edge for _ in range(2)],
        mode="lines",
        name=f"attention's reach, {reach:,} tokens: above it only weights can know",
        line=dict(color=theme.INK, dash="dot", width=2),
        hoverinfo="skip",
        showlegend=True,
    )
