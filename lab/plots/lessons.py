"""The gradient through the loop: checks, landscapes, what each order finds, memory.

The functions take results of `lab.lessons.two_kinds`, `lab.lessons.orders` and
`lab.lessons.remat`. Blue is the gradient that follows everything, green stops at the
inner gradient, orange has no inner loop.
"""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lab.plots import theme


COLOURS = {"second": theme.LEARNING, "first": theme.BLOCKS[1], "none": theme.FROZEN}
NAMES = {"second": "second order", "first": "first order", "none": "no inner loop"}
LAND = [[0, "#f6f7f9"], [1, "#87909c"]]
WIDTHS = {"second": 7, "first": 4.5, "none": 2.2}
ARROW = 0.5


def finite_differences(steps, errors: dict[str, np.ndarray]) -> go.Figure:
    """Relative error of each gradient against finite differences of width `h`."""
    lines = [
        theme.line(
            steps,
            np.maximum(error, 1e-17),
            NAMES.get(name, name),
            COLOURS.get(name, theme.INK),
            mode="lines+markers",
            hovertemplate="%{y:.1e}",
        )
        for name, error in errors.items()
    ]
    log = dict(type="log", exponentformat="power")
    return theme.figure(
        lines,
        title="How far is each gradient from what differences say?",
        y="relative error",
        height=300,
        xaxis=theme.axis("width h of the difference") | log,
        yaxis=theme.axis("relative error") | log,
    )


def landscapes(views: list) -> go.Figure:
    """All starts of the two-number world, at one or several inner rates.

    Lighter is better. Arrows of equal length point downhill from one start, by each
    gradient. Rings show where each gradient comes to rest.
    """
    fig = make_subplots(
        cols=len(views),
        subplot_titles=[f"inner rate {view.rate:.2f}" for view in views],
        shared_yaxes=True,
        horizontal_spacing=0.03,
    )
    for column, view in enumerate(views, start=1):
        _land(fig, view, column)
    frame = theme.figure([], title="The outer loss of every start", y="").layout
    frame = frame.to_plotly_json() | {"height": 420, "hovermode": "closest"}
    for name in ("xaxis", "yaxis"):
        frame.pop(name)
    frame["margin"] = dict(l=52, r=10, t=108, b=40)
    frame["title"] |= dict(y=0.98, yref="container", yanchor="top")
    frame["legend"] = dict(orientation="h", x=0, y=1.1, yanchor="bottom")
    fig.update_layout(frame)
    fig.update_xaxes(title=dict(text="first number", font_size=12), showgrid=False)
    fig.update_yaxes(showgrid=False, zeroline=False)
    fig.update_xaxes(zeroline=False)
    fig.update_yaxes(title=dict(text="second number", font_size=12), col=1)
    return fig


def _land(fig: go.Figure, view, column: int):
    place = dict(row=1, col=column)
    first = column == 1
    fig.add_trace(
        go.Contour(
            x=view.xs,
            y=view.ys,
            z=np.log(view.loss),
            customdata=view.loss,
            colorscale=LAND,
            ncontours=22,
            showscale=False,
            line=dict(width=0.6, color="rgba(128,136,148,0.5)"),
            hovertemplate="(%{x:.2f}, %{y:.2f}): %{customdata:.4f}<extra></extra>",
        ),
        **place,
    )
    for order, gradient in view.gradients.items():
        tip = view.start - ARROW * gradient / np.linalg.norm(gradient)
        fig.add_trace(
            go.Scatter(
                x=[view.start[0], tip[0]],
                y=[view.start[1], tip[1]],
                mode="lines+markers",
                name=NAMES[order],
                legendgroup=order,
                showlegend=first,
                line=dict(color=COLOURS[order], width=WIDTHS[order]),
                marker=dict(symbol="arrow", size=[0, 14], angleref="previous"),
                hoverinfo="skip",
            ),
            **place,
        )
        x, y = view.rests[order]
        fig.add_trace(
            go.Scatter(
                x=[x],
                y=[y],
                mode="markers",
                showlegend=False,
                marker=dict(
                    symbol="circle-open",
                    color=COLOURS[order],
                    size={"second": 22, "first": 15, "none": 9}[order],
                    line_width=3,
                ),
                hovertemplate=f"{NAMES[order]} rests at (%{{x:.2f}}, %{{y:.2f}})"
                "<extra></extra>",
            ),
            **place,
        )


def trained(found) -> go.Figure:
    """What each order's start costs: chunk by chunk, and in all against second order.

    Thin lines are seeds. Bars are the mean extra loss in per cent of second order's,
    with 95 % intervals over seeds.
    """
    fig = make_subplots(
        cols=2,
        column_widths=[0.64, 0.36],
        horizontal_spacing=0.12,
        subplot_titles=["loss of each chunk", "extra loss, all chunks"],
    )
    for order, curves in found.by_chunk.items():
        x = 1 + np.arange(curves.shape[1])
        for i, curve in enumerate([*curves, curves.mean(axis=0)]):
            mean = i == len(curves)
            line = theme.line(x, curve, NAMES[order], COLOURS[order], faint=not mean)
            fig.add_trace(line, row=1, col=1)
    base = found.loss["second"].mean()
    for order in ("first", "none"):
        extra, half = found.excess(order)
        bar = go.Bar(
            x=[NAMES[order]],
            y=[100 * extra / base],
            error_y=dict(array=[100 * half / base], thickness=1.6),
            marker=dict(color=COLOURS[order], opacity=0.6),
            showlegend=False,
            hovertemplate="%{y:+.1f} %<extra></extra>",
        )
        fig.add_trace(bar, row=1, col=2)
    frame = theme.figure([], title="Learning from each order's start", y="").layout
    frame = frame.to_plotly_json() | {"height": 340, "bargap": 0.4}
    frame["xaxis"], frame["yaxis"] = (
        theme.axis("chunk"),
        theme.axis("loss") | dict(type="log"),
    )
    frame["margin"] = dict(l=52, r=10, t=108, b=40)
    frame["title"] |= dict(y=0.98, yref="container", yanchor="top")
    frame["legend"] = dict(orientation="h", x=0, y=1.14, yanchor="bottom")
    fig.update_layout(frame)
    fig.update_yaxes(title=dict(text="% above second order"), row=1, col=2)
    return fig.update_yaxes(gridcolor=theme.GRID, row=1, col=2)


def angles(found) -> go.Figure:
    """How well each cheaper gradient points along the true one, by inner rate."""
    lines = [
        theme.line(
            found.rates,
            cosine,
            f"{NAMES[order]}, {words}",
            COLOURS[order],
            mode="lines+markers",
            line=dict(dash=dash),
            hovertemplate="%{y:.3f}",
        )
        for order in ("first", "none")
        for part, words, dash in (("fast", "W0", "solid"), ("slow", "the rest", "dot"))
        for cosine in [found.cosine[order][part]]
    ]
    return theme.figure(
        lines,
        title="Do they point the same way as the full gradient?",
        y="cosine",
        x="inner rate",
        height=300,
        yaxis=theme.axis("cosine") | dict(rangemode="tozero"),
    )


def memory(found) -> go.Figure:
    """Measured memory against `remat=n`, and the law `chunks / n + n` copies."""
    kept = {n: size for n, size in found.temporary.items() if n is not None}
    n = np.array(sorted(kept))
    mega = 1 / 2**20
    lines = [
        theme.line(
            n,
            np.array([kept[i] for i in n]) * mega,
            "measured",
            theme.LEARNING,
            mode="lines+markers",
            hovertemplate="%{y:.1f} MiB",
        ),
        theme.line(
            n,
            (found.chunks / n + n) * found.copy * mega,
            "chunks / n + n copies of W",
            theme.INK,
            line=dict(dash="dot"),
            hovertemplate="%{y:.1f} MiB",
        ),
    ]
    everything = found.temporary.get(None)
    shapes = [] if everything is None else [_level(everything * mega)]
    return theme.figure(
        lines,
        title=f"Memory of one meta-gradient through {found.chunks} chunks",
        y="MiB",
        height=300,
        xaxis=theme.axis("remat = n") | dict(type="log", tickvals=n),
        yaxis=theme.axis("MiB") | dict(rangemode="tozero"),
        shapes=shapes,
        annotations=[_word(everything * mega)] if shapes else [],
    )


def _level(y: float) -> dict:
    ends = dict(x0=0, x1=1, xref="paper", y0=y, y1=y)
    return dict(type="line", line=dict(color=theme.FROZEN, width=2), **ends)


def _word(y: float) -> dict:
    place = dict(x=0.5, xref="paper", y=y, yref="y", yanchor="top", showarrow=False)
    text = "remat=None: everything kept"
    return place | dict(text=text, font=dict(size=11, color=theme.FROZEN))
