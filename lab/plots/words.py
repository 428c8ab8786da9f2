"""Which words benefited: by kind, by what was read before, and by distance."""

import dataclasses
import math

import numpy as np
import plotly.graph_objects as go

from lab.analysis.words import SEEN, WHEN, Group, Words
from lab.measure.positions import middles, short
from lab.plots import theme


NULL = "weights of another text"
GAIN = "learning while reading"


def gain_by_kind(result: Words) -> go.Figure:
    """What learning saved by kind of token, and by what the text had said before."""
    groups = [result.whole, *result.kinds, *map(_renamed, result.seen)]
    fig = theme.tall(
        [_dots(groups, "null", NULL, theme.FROZEN), _dots(groups, "gain", GAIN)],
        title=_best(result),
        x="nats saved per token",
        y="",
        height=150 + 26 * len(groups),
        legend_at=-56 / (60 + 26 * len(groups)),
        hovermode="closest",
    )
    fig.add_vline(x=0, line=dict(color=theme.INK, width=1))
    return fig.update_yaxes(autorange="reversed", nticks=0)


def gain_by_distance_back(result: Words) -> go.Figure:
    """What learning saved, by the distance back to the last time of the same words."""
    lines = [
        *_curve(result.by_token, "the same token", theme.LEARNING, "circle"),
        *_curve(result.by_phrase, "the same four tokens", theme.SUMMARY, "square"),
        _null(result.null_by_token, "the same token", theme.LEARNING),
        _null(result.null_by_phrase, "the same four tokens", theme.SUMMARY),
    ]
    edges, reach = result.by_token.edges, result.subject.reach
    ticks = [edge for edge in edges[1:-1] if edge != reach] or [edges[-1]]
    fig = theme.tall(
        lines,
        title=_beyond(result),
        y="nats saved per token",
        xaxis=theme.token_axis("tokens back to the last time", ticks),
        height=470,
    )
    new = result.seen[0]
    fig.add_hline(
        y=new.gain.mean, line=dict(color=theme.INK, dash="dashdot", width=1.3)
    )
    told = f"{new.name}: {round(new.gain.mean, 2) + 0.0:+.2f}"
    at = theme.label(math.log10(ticks[0]), told, y=new.gain.mean)
    fig.add_annotation(**at | dict(yref="y", yanchor="bottom"))
    if reach is not None and reach < edges[-1]:
        fig.add_shape(theme.mark(reach))
        fig.add_annotation(
            **theme.label(math.log10(reach), " beyond attention's reach")
        )
    return fig


def gain_by_last_time(result: Words) -> go.Figure:
    """What learning saved by kind of token and last time of the word, as colours."""
    names = list(result.when)
    cells = [[_of(result.when[name], when) for when in WHEN] for name in names]
    value = [[one.gain.mean if one else None for one in row] for row in cells]
    most = max((abs(v) for row in value for v in row if v is not None), default=1.0)
    heat = go.Heatmap(
        z=value,
        x=list(WHEN),
        y=names,
        zmid=0,
        zmin=-most,
        zmax=most,
        colorscale=[
            (0, theme.FROZEN),
            (0.5, "#e9ecef"),
            (1, theme.LEARNING),
        ],
        text=[[_cell(one) for one in row] for row in cells],
        texttemplate="%{text}",
        textfont_color="#1b1f24",
        customdata=[[_hover(one) for one in row] for row in cells],
        hovertemplate="%{y}, %{x}: %{customdata}<extra></extra>",
        colorbar=dict(title="nats", thickness=12),
        xgap=3,
        ygap=3,
    )
    fig = theme.tall(
        [heat],
        title="Saved on words: new, recent, out of reach",
        y="",
        x="last time of the word",
        height=140 + 34 * len(names),
        hovermode="closest",
    )
    fig.update_layout(showlegend=False).update_xaxes(showgrid=False)
    return fig.update_yaxes(autorange="reversed", nticks=0, showgrid=False)


def words_most_saved(result: Words) -> go.Figure:
    """The words on which most nats were saved, and those on which most were lost."""
    found = [*result.saved, *reversed(result.lost)]
    bars = go.Bar(
        y=[f"{one.word}  ×{one.times:,}" for one in found],
        x=[one.nats for one in found],
        orientation="h",
        marker_color=[
            theme.LEARNING if one.nats > 0 else theme.FROZEN for one in found
        ],
        customdata=[[one.kind, one.first, _later(one)] for one in found],
        hovertemplate="%{y}, %{customdata[0]}: %{x:+.1f} nats in all, "
        "%{customdata[1]:+.2f} the first time, %{customdata[2]}<extra></extra>",
    )
    fig = theme.tall(
        [bars],
        title="Words on which learning saved most",
        y="",
        x="nats saved in all",
        height=150 + 24 * len(found),
        hovermode="closest",
        bargap=0.25,
    )
    fig.update_layout(showlegend=False)
    return fig.update_yaxes(autorange="reversed", nticks=0)


def _renamed(group: Group) -> Group:
    """What was read before, said so that it stands alone."""
    new = group.name == SEEN[0]
    name = group.name if new else f"{group.name}, read before"
    return dataclasses.replace(group, name=name)


def _best(result: Words) -> str:
    """The kind of token on which most was saved above the null."""
    if not result.ranked:
        return f"Saved on all tokens: {result.whole.gain.mean:+.2f} nats"
    most = result.ranked[0]
    return f"Most saved on {most.name}: {most.gain.mean:+.2f} nats"


def _beyond(result: Words) -> str:
    """What a phrase still saved when attention could no longer see it."""
    found = _of(next(reversed(result.again.values())), WHEN[-1])
    if found is None:
        return "A token read before is cheaper"
    return f"Repeats out of reach: {found.gain.mean:+.2f} nats a token"


def _dots(groups: list[Group], part: str, name: str, colour: str = theme.LEARNING):
    found = [getattr(group, part) for group in groups]
    mean, low, high = ([getattr(one, end) for one in found] for end in _ENDS)
    return go.Scatter(
        x=mean,
        y=[group.name for group in groups],
        mode="markers",
        name=name,
        marker=dict(color=colour, size=10, symbol="circle" if part == "gain" else "x"),
        error_x=theme.whiskers(mean, low, high),
        customdata=[_hover(group) for group in groups],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )


_ENDS = ("mean", "low", "high")


def _curve(curve, name: str, colour: str, symbol: str):
    x = middles(np.array(curve.edges))
    yield theme.band(x, curve.low, curve.high, colour)
    yield theme.line(
        x,
        curve.mean,
        name,
        colour,
        mode="lines+markers",
        marker=dict(symbol=symbol, size=7),
        customdata=_spans(curve),
        hovertemplate="%{customdata} back: %{y:+.3f}",
    )


def _null(curve, name: str, colour: str) -> go.Scatter:
    return theme.line(
        middles(np.array(curve.edges)),
        curve.mean,
        f"{name}, {NULL}",
        colour,
        line=dict(dash="dot", width=1.6),
        hovertemplate="%{y:+.3f}",
    )


def _spans(curve) -> list[str]:
    pairs = zip(curve.edges[:-1], curve.edges[1:], strict=True)
    return [f"{short(a)} to {short(b)} tokens" for a, b in pairs]


def _of(groups, name: str) -> Group | None:
    return next((group for group in groups if group.name == name), None)


def _cell(one: Group | None) -> str:
    return "" if one is None else f"{one.gain.mean:+.2f}"


def _hover(one: Group | None) -> str:
    if one is None:
        return "no tokens"
    spread = f" ±{one.gain.half:.3f}" if one.gain.is_known else ""
    return (
        f"{one.gain.mean:+.3f}{spread} nats a token over {one.tokens:,} tokens, which "
        f"cost {one.cost:.2f} frozen; {one.share:.0%} of what was saved; unrelated "
        f"weights {one.null.mean:+.3f}"
    )


def _later(one) -> str:
    return "no later time" if one.later is None else f"{one.later:+.2f} each later time"
