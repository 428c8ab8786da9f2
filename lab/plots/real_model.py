"""The real model, seen in time: who notices a change, who agrees, who peeks.

Data come from the notebook on the real model: losses of tokens, and their differences
when something was changed. Blue learns, orange is frozen or has forgotten.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lab.plots import theme
from lab.traces import running_mean


COLOURS = {"learning": theme.LEARNING, "frozen": theme.FROZEN}
LOG = dict(type="log", exponentformat="power", dtick=2)


def moved_losses(moved: dict[str, np.ndarray], place: int, reach: int) -> go.Figure:
    """By how much losses move when token `place` is changed; zeros are not drawn.

    `moved`: of each reader, `[tokens]`. Marks are at the changed token and where it
    leaves the reach of attention.
    """
    dots = [_dots(difference, name) for name, difference in moved.items()]
    length = len(next(iter(moved.values())))
    marks = [at for at in (place, place + reach) if at < length]
    fig = theme.figure(
        dots,
        title=f"Which losses move when token {place} is changed?",
        y="nats, logarithmic",
        x="token",
        height=330,
        xaxis=theme.axis("token", range=[0, length], tickformat=","),
        yaxis=theme.axis("nats, logarithmic", range=[-8, 1.5]) | LOG,
        shapes=[theme.mark(at) for at in marks],
        hovermode="closest",
    )
    words = (" changed", " out of reach")
    for at, word in zip(marks, words, strict=False):
        fig.add_annotation(theme.label(at, word))
    return fig


def _dots(difference: np.ndarray, name: str) -> go.Scatter:
    seen = np.flatnonzero(difference)
    style = dict(color=COLOURS[name], size=4, opacity=0.6)
    return go.Scatter(
        x=seen, y=difference[seen], name=name, mode="markers", marker=style
    )


def apart(apart: dict[str, np.ndarray]) -> go.Figure:
    """How far the losses of other ways to read lie from those of one call, `[tokens]`.

    Thick lines are means over 64 tokens.
    """
    lines = [
        theme.line(
            np.arange(len(difference)),
            np.maximum(running_mean(difference, 64), 1e-9),
            name,
            colour,
            line=dict(dash=dash),
            hovertemplate="%{y:.1e}",
        )
        for (name, difference), colour, dash in zip(
            apart.items(), theme.BLOCKS, theme.DASHES, strict=False
        )
    ]
    return theme.figure(
        lines,
        title="How far apart are two ways to read? (mean of 64 tokens)",
        y="nats, logarithmic",
        height=300,
        yaxis=theme.axis("nats, logarithmic", range=[-9, 0]) | LOG,
    )


def forgotten(knows: Sequence[float], forgot: Sequence[float], chunk: int) -> go.Figure:
    """What chunks cost a reader, and a fork whose fast weights were set back."""
    ends = chunk * np.arange(1, len(knows) + 1)
    pairs = (
        ("weights set back, same window", theme.FROZEN, forgot),
        ("weights as learned", theme.LEARNING, knows),
    )
    lines = [
        theme.line(ends, mean, name, colour, faint=faint, hovertemplate="%{y:.3f}")
        for name, colour, loss in pairs
        for faint, mean in ((True, loss), (False, running_mean(np.array(loss), 8)))
    ]
    return theme.figure(
        lines,
        title="What the next chunk costs (thick: mean of 8 chunks)",
        y="nats per token",
        height=300,
    )


def chunk_losses(nll: dict[str, np.ndarray], *, title: str) -> go.Figure:
    """Losses of several readers by chunk, `[chunks, chunk]`, smoothed over 8 chunks."""
    colours = (theme.FROZEN, theme.LEARNING, theme.SUMMARY, theme.BLOCKS[1])
    lines = [
        theme.line(
            np.arange(1, len(loss) + 1),
            running_mean(np.asarray(loss).mean(axis=1), 8),
            name,
            colour,
            hovertemplate="%{y:.3f}",
        )
        for (name, loss), colour in zip(nll.items(), colours, strict=False)
    ]
    return theme.figure(
        lines, title=title, y="nats per byte (mean of 8)", x="chunk", height=300
    )


def loss_with_a_leak(
    honest: np.ndarray, leaky: np.ndarray, chunk: int, much: float
) -> go.Figure:
    """Losses of chunks, as they are and with a planted leak; data are `[tokens]`."""
    means = lambda nll: nll.reshape(-1, chunk).mean(axis=1)
    ends = chunk * np.arange(1, len(honest) // chunk + 1)
    lines = [
        theme.line(ends, means(honest), "honest", theme.LEARNING),
        theme.line(ends, means(leaky), "leaky", theme.SUMMARY, line=dict(dash="dash")),
    ]
    gain = honest.mean() - leaky.mean()
    return theme.figure(
        lines,
        title=f"A leak of {much:.2g} “saves” {gain:.3f} nats per token",
        y="nats per token",
    )


def leak_by_strength(
    much: np.ndarray,
    saved: Sequence[float],
    early: Sequence[float],
    little: Sequence[float],
) -> go.Figure:
    """What a leak seems to save, and what two checks see of it, by its strength.

    `early`: the largest move of a loss before its time; `little`: nats by which a token
    costs more where it is not there to be seen.
    """
    titles = ("it seems to save", "the checks see")
    fig = make_subplots(cols=2, subplot_titles=titles, horizontal_spacing=0.13)
    style = dict(mode="lines+markers")
    fig.add_trace(theme.line(much, saved, "saved", theme.LEARNING, **style), 1, 1)
    checks = (
        ("change the future", theme.BLOCKS[1], early),
        ("predict, then look", theme.SUMMARY, little),
    )
    for name, colour, seen in checks:
        seen = np.maximum(seen, 1e-8)
        fig.add_trace(theme.line(much, seen, name, colour, **style), 1, 2)
    fig.update_layout(
        theme.figure([], title="A leak, by its strength", y="", height=360)
        .update_layout(xaxis=None, yaxis=None)
        .layout
    )
    legend = dict(orientation="h", x=0, y=-0.2, yanchor="top", xanchor="left")
    fig.update_layout(margin=dict(t=70), hovermode="closest", legend=legend)
    share = theme.axis("share of the next input", tickvals=[1e-6, 1e-4, 1e-2])
    fig.update_xaxes(share | dict(type="log", exponentformat="power"))
    fig.update_yaxes(theme.axis("nats per token"), col=1)
    return fig.update_yaxes(theme.axis("nats, logarithmic") | LOG, col=2)
