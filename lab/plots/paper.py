"""What the paper reports, drawn as our own numbers are."""

from collections.abc import Iterable

import plotly.graph_objects as go

from lab.evals.paper import Reported
from lab.plots import theme
from lab.plots.compare import looks


# Methods of the paper, with the model of ours that is made so.
METHODS = {
    "TTT-E2E": "tiny-e2e",
    "full attention": "tiny-full",
    "sliding window": "tiny-swa",
    "hybrid 5:1": "tiny-hybrid",
    "Mamba 2": "tiny-mamba2",
    "Gated DeltaNet": "tiny-gdn",
    "TTT-KVB": "tiny-kvb",
}


def reported_curves(reported: Reported, systems: Iterable[str] = ()) -> go.Figure:
    """One line per method, each with its own marker; TTT-E2E is blue.

    What is no method (a context, a number of blocks) has a look of its own.

    `systems`: of our figure beside it; a method looks as our model that is made so.
    """
    others = [name for name in reported.curves if name not in METHODS]
    names = dict.fromkeys([*systems, *METHODS.values()])
    styles = {name: looks(names)[ours] for name, ours in METHODS.items()}
    styles |= looks(others)
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
    if reported.ticks:
        axis |= dict(ticktext=list(reported.ticks), hoverformat=".3s")
    fig = theme.tall(lines, title=reported.title, y=reported.y, xaxis=axis)
    if share:
        fig.update_yaxes(range=[-0.02, 1.04], tickformat=".0%")
    return fig
