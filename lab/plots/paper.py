"""What the paper reports, drawn as our own numbers are."""

import plotly.graph_objects as go

from lab.evals.paper import Reported
from lab.plots import theme
from lab.plots.compare import looks


# The method of the paper that each of our families of models is.
METHODS = (
    "TTT-E2E",
    "full attention",
    "sliding window",
    "hybrid 5:1",
    "Mamba 2",
    "Gated DeltaNet",
    "TTT-KVB",
)


def reported_curves(reported: Reported) -> go.Figure:
    """One line per method; TTT-E2E is blue, and each method has its own marker."""
    styles = looks(METHODS)
    share = reported.y == "share"
    lines = [
        theme.line(
            reported.at,
            values,
            name,
            styles[name].colour,
            mode="lines+markers",
            line=dict(width=1.8),
            marker=dict(symbol=styles[name].symbol, size=7),
            hovertemplate="%{y:.0%}" if share else "%{y:.4g}",
        )
        for name, values in reported.curves.items()
    ]
    axis = theme.token_axis(reported.x, list(reported.at))
    fig = theme.tall(lines, title=reported.title, y=reported.y, xaxis=axis)
    if share:
        fig.update_yaxes(range=[-0.02, 1.04], tickformat=".0%")
    return fig
