"""How fast weights change: how far, in how many directions, where to, up to where."""

import numpy as np
import plotly.graph_objects as go

from lab.analysis.anatomy import MATRICES, Anatomy, Matrix
from lab.plots import theme


DASHES = dict(zip(MATRICES, ("dash", "dashdot", "solid"), strict=True))


def moved_by_block(result: Anatomy, time: int = -1) -> go.Figure:
    """Blocks across, matrices up: how far each has moved, and in how many directions.

    `time`: an index of `result.times`; the directions are those of the last time before
    it at which they were counted.
    """
    cell = {(one.block, one.name): one for one in result.text}
    null = {(one.block, one.name): one for one in result.null}
    at = result.times[time]
    counted = max(0, int(np.searchsorted(result.spectra, at, side="right")) - 1)
    pairs = [[(block, name) for block in result.blocks] for name in MATRICES]
    told = [
        [_told(cell[one], null[one], time, counted) for one in row] for row in pairs
    ]
    heat = go.Heatmap(
        z=[[cell[one].moved[time] for one in row] for row in pairs],
        x=[f"block {block}" for block in result.blocks],
        y=list(MATRICES),
        zmin=0,
        zmax=max(max(one.moved) for one in result.text) or 1.0,
        colorscale=[(0, "rgba(128, 136, 148, 0.08)"), (1, theme.LEARNING)],
        text=told,
        texttemplate="%{text}",
        hovertemplate="%{x}, %{y}: %{text}<extra></extra>",
        colorbar=dict(title="moved", thickness=12, tickformat=".0%"),
        xgap=3,
        ygap=3,
    )
    fig = theme.tall(
        [heat],
        title=f"After {at * result.subject.chunk:,} tokens: how far, in how many ways",
        y="",
        x="",
        height=130 + 62 * len(MATRICES),
        hovermode="closest",
    )
    fig.update_layout(showlegend=False).update_xaxes(showgrid=False, nticks=0)
    return fig.update_yaxes(showgrid=False, nticks=0)


def _told(one: Matrix, null: Matrix, time: int, counted: int) -> str:
    """A cell in words, with the same tokens in a random order."""
    return (
        f"moved {one.moved[time]:.0%} in {one.rank[counted]:.0f} ways<br>"
        f"shuffled {null.moved[time]:.0%} in {null.rank[counted]:.0f}"
    )


def moved_by_time(result: Anatomy) -> go.Figure:
    """How far each matrix is from W0; pale: the same tokens in a random order."""
    chunk = result.subject.chunk
    x = [time * chunk for time in result.times]
    data = _lines(result, x, lambda one: one.moved, "%{y:.1%}")
    fig = theme.tall(
        data,
        title="How far the weights moved",
        y="|W - W0| / |W0|",
        shapes=[theme.mark(time * chunk, dash="dot") for time in _marks(result)],
    )
    return fig.update_yaxes(tickformat=".0%", rangemode="tozero")


def rank_by_time(result: Anatomy) -> go.Figure:
    """In how many directions each matrix changed; pale: the null."""
    x = [time * result.subject.chunk for time in result.spectra]
    data = _lines(result, x, lambda one: one.rank, "%{y:.1f}")
    return theme.tall(
        data,
        title="In how many directions the weights changed",
        y="effective rank",
    ).update_yaxes(rangemode="tozero")


def singular_values(result: Anatomy) -> go.Figure:
    """The largest singular values of each change at the end, as shares of the first."""
    count = len(result.text[0].values[-1])
    share = lambda one: (np.array(one.values[-1]) / (one.values[-1][0] or 1.0)).tolist()
    data = _lines(result, list(range(1, count + 1)), share, "%{y:.2f}")
    return theme.tall(
        data,
        title="Singular values of the change, at the end",
        y="share of the largest",
        x="singular value",
    ).update_yaxes(rangemode="tozero")


def path_of_weights(result: Anatomy) -> go.Figure:
    """The way of the weights through the document, with marks where parts begin."""
    path, chunk = result.path, result.subject.chunk
    tokens = [time * chunk for time in result.times]
    data = [
        go.Scatter(
            x=path.null_x,
            y=path.null_y,
            name="same tokens, random order",
            mode="lines",
            line=dict(color=theme.INK, width=1.4, dash="dot"),
            customdata=tokens,
            hovertemplate="after %{customdata:,} tokens",
        ),
        go.Scatter(
            x=path.x,
            y=path.y,
            name="this text",
            mode="lines+markers",
            line=dict(color=theme.INK, width=1),
            marker=dict(color=tokens, colorscale="Viridis", size=6),
            customdata=tokens,
            hovertemplate="after %{customdata:,} tokens",
        ),
    ]
    fig = theme.tall(
        data,
        title="The way of the weights",
        y="second direction",
        x="first direction, in units of |W0|<br>"
        f"{path.explained:.0%} of the way (random order: "
        f"{path.null_explained:.0%} of its own)",
        hovermode="closest",
        height=480,
    )
    return fig.update_layout(annotations=_names(result))


def loss_by_rate(result: Anatomy) -> go.Figure:
    """What reading costs at larger rates, beside the frozen twin."""
    found = result.breaking
    data = [
        theme.line(
            found.rates,
            found.loss,
            "learning",
            theme.LEARNING,
            mode="lines+markers",
            customdata=np.stack([found.ratio, found.moved], 1),
            hovertemplate="%{y:.3f} nats, |W|/|W0| %{customdata[0]:.2f}, "
            "moved %{customdata[1]:.1%}",
        ),
        theme.line(
            [found.rates[0], found.rates[-1]],
            [found.frozen] * 2,
            "frozen twin",
            theme.FROZEN,
            line=dict(dash="dash"),
            hovertemplate="%{y:.3f} nats",
        ),
    ]
    shapes = [theme.mark(1.0)]
    notes = [theme.label(0.0, " as trained")]
    title = "At no rate does learning cost more than it saves"
    if np.isfinite(found.rate):
        shapes.append(theme.mark(found.rate, theme.FROZEN))
        notes.append(
            theme.label(np.log10(found.rate), f" |W|/|W0| {found.line:.1f}", y=0.2)
        )
        title = f"Learning breaks at {found.rate:,.0f} times the rate"
    return theme.tall(
        data,
        title=title,
        y="nats a token",
        x="",
        xaxis=theme.axis("factor on the inner rate (logarithmic)", type="log"),
        shapes=shapes,
        annotations=notes,
    )


def _lines(result: Anatomy, x, pick, hover: str) -> list[go.Scatter]:
    """A line for each matrix: a colour a block, a dash a matrix, the null pale."""
    colour = dict(zip(result.blocks, theme.BLOCKS * 99, strict=False))
    draw = lambda one, **more: theme.line(
        x, pick(one), _name(one), colour[one.block], hovertemplate=hover, **more
    )
    style = lambda one, width: dict(dash=DASHES[one.name], width=width)
    text = [draw(one, line=style(one, 2.2)) for one in result.text]
    null = [
        draw(one, line=style(one, 1.2), opacity=0.4, showlegend=False).update(
            name=f"{_name(one)}, random order"
        )
        for one in result.null
    ]
    pale = theme.line([None], [None], "pale: random order", theme.INK, opacity=0.5)
    return [*null, *text, pale]


def _name(one: Matrix) -> str:
    return f"block {one.block} {one.name}"


def _marks(result: Anatomy) -> list[int]:
    return [time for time, _ in result.marks if time > 0]


def _names(result: Anatomy) -> list[dict]:
    """Names of parts at the point of the path that is nearest in time."""
    times, path = np.array(result.times), result.path
    notes, taken = [], set()
    for time, name in result.marks:
        i = int(np.abs(times - time).argmin())
        if i in taken:
            continue
        taken.add(i)
        words = name.rpartition("/")[2]
        notes.append(
            dict(x=path.x[i], y=path.y[i], text=words, showarrow=True, arrowhead=0)
            | dict(arrowcolor=theme.INK, arrowwidth=1, ax=14, ay=-16)
            | dict(xanchor="left", font_size=10)
        )
    return notes
