"""Who taught whom: the map, its decay with distance, and the estimate beside it."""

import numpy as np
import plotly.graph_objects as go

from lab.analysis.influence import MILLI, Influence
from lab.plots import theme


def map_of_influence(result: Influence) -> go.Figure:
    """From each span (across) to each later span (up), in thousandths of a nat.

    Blue has helped, orange has hurt. Spans that were not left out show their estimate
    only in the hover text.
    """
    of = "exact" if len(result.left_out) > result.spans // 2 else "estimate"
    found = result.matrix(of)
    width = result.span * result.subject.chunk
    places = [(i + 0.5) * width for i in range(result.spans)]
    top = float(np.nanquantile(np.abs(found), 0.98)) if result.spans > 1 else 1.0
    data = go.Heatmap(
        x=places,
        y=places,
        z=np.where(np.isfinite(found), found, np.nan).T,
        colorscale=theme.SIGNED,
        zmid=0,
        zmin=-top,
        zmax=top,
        colorbar=dict(title=dict(text="mnat", side="top"), thickness=10, len=0.9),
        hoverongaps=False,
        hovertemplate="from token %{x:,.0f}<br>to token %{y:,.0f}<br>"
        "%{z:+.2f} thousandths of a nat a token<extra></extra>",
    )
    said = "" if of == "exact" else ": estimates, good for ranks, not amounts"
    return theme.tall(
        [data],
        title=f"What each {_unit(result)} taught later ones{said}",
        y="token read later",
        x="token learned from",
        hovermode="closest",
    ).update_layout(showlegend=False)


def influence_by_distance(result: Influence) -> go.Figure:
    """How long a lesson lasts: influence by distance, beside an unrelated text."""
    shapes, notes, data = [], [], []
    pairs = (
        ("on this text", result.by_distance, theme.LEARNING, "circle", "solid"),
        ("on an unrelated text", result.null, theme.INK, "square", "dot"),
        ("estimated", result.estimated, theme.SUMMARY, "diamond", "dash"),
    )
    for name, curve, colour, symbol, dash in pairs:
        if curve is None:  # the fast mode reads nothing again
            continue
        edges = np.array(curve.edges, float)
        x = np.sqrt(edges[:-1] * edges[1:])
        low, high = (MILLI * np.array(ends) for ends in (curve.low, curve.high))
        data.append(theme.band(x, low, high, colour))
        style = dict(line=dict(dash=dash), marker=dict(symbol=symbol, size=7))
        y = MILLI * np.array(curve.mean)
        data.append(
            theme.line(
                x,
                y,
                name,
                colour,
                mode="lines+markers",
                hovertemplate="%{y:+.3f}",
                **style,
            )
        )
    reach = result.subject.reach
    if reach is not None and edges[0] < reach < edges[-1]:
        shapes.append(theme.mark(reach))
        notes.append(theme.label(np.log10(reach), " reach of attention"))
    ticks = [int(edge) for edge in result.estimated.edges]
    return theme.tall(
        data,
        title=f"How long the lesson of {_unit(result, 'one')} lasts",
        y="thousandths of a nat a token",
        x="",
        xaxis=theme.token_axis("tokens later", ticks),
        shapes=shapes,
        annotations=notes,
    )


def estimate_against_exact(result: Influence) -> go.Figure:
    """The first-order estimate of each pair of spans, against reading without."""
    exact, estimate = result.matrix(), result.matrix("estimate")
    there = np.isfinite(exact)
    x, y = exact[there], estimate[there]
    if len(x) > 3000:
        keep = np.linspace(0, len(x) - 1, 3000).astype(int)
        x, y = x[keep], y[keep]
    data = [
        go.Scatter(
            x=x,
            y=y,
            mode="markers",
            name="pairs",
            marker=dict(color=theme.LEARNING, size=4, opacity=0.35),
            hovertemplate="exact %{x:+.2f}, estimate %{y:+.2f}<extra></extra>",
        )
    ]
    if len(x):
        ends = [float(x.min()), float(x.max())]
        same = dict(color=theme.INK, dash="dot", width=1.3)
        data.append(theme.line(ends, ends, "equal", theme.INK, line=same))
    known = result.agreement
    found = f": correlation {known.correlation:.2f}" if known else ""
    return theme.tall(
        data,
        title=f"Estimated from stored updates{found}",
        y="estimate, mnat a token",
        x="read without, mnat a token",
        hovermode="closest",
    )


def _unit(result: Influence, before: str = "") -> str:
    if result.span == 1:
        return f"{before} chunk".strip()
    return f"{result.span:,} chunks"
