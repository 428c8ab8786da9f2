"""Systems compared, by position in the text: losses, and paired gaps with intervals.

The reference is blue and its frozen twin orange, as everywhere. Every system has its
own marker too, and frozen twins are dashed, so that no two lines differ in colour only.
Where fewer novels reach, a gap's line is dotted, because the mix of texts changes.
Whole novels are drawn from token 1,024 on: before that are title pages, and no two are
alike.
"""

from collections.abc import Collection, Iterable

import numpy as np
import plotly.graph_objects as go

from lab.evals.compare import Comparison, Gap, Loss
from lab.measure.intervals import Curve
from lab.measure.positions import middles, short
from lab.measure.texts import TextRead
from lab.plots import theme


OTHERS = (
    "#2fa37c",
    "#c79a1e",
    "#8a6fd1",
    "#c2659b",
    "#6b7f92",
    "#8c5a3c",
    "#7a8f2a",
)
SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "x",
    "triangle-down",
    "cross",
    "pentagon",
)
FROZEN_SUFFIX = ", frozen"
WHOLE_FROM = 1024


def loss_by_position(
    result: Comparison, only: Collection[str] | None = None
) -> go.Figure:
    """Mean loss over novels at each position, one line per system and frozen twin.

    Lines end where the shortest novel ends: a mean over fewer would be of other texts.
    `only`: labels to draw (default: all).
    """
    styles = looks(result.systems)
    curves = {
        label: shown(loss, result.text, "half_doublings")
        for label, loss in result.losses.items()
        if is_drawn(label, only)
    }
    lines = [
        curve_lines(curve, label, styles[label], sign="")[0]
        for label, curve in curves.items()
    ]
    return position_figure(lines, _trained_to(result), title="Loss by position")


def gap_by_position(
    result: Comparison, only: Collection[str] | None = None
) -> go.Figure:
    """How much better the reference reads than each other system, with 95 % bands.

    Above zero, the reference is better. The gap to its own frozen twin is orange.
    `only`: labels to draw (default: all).
    """
    styles, reference = looks(result.systems), result.reference
    gaps = [gap for gap in result.gaps if gap.better == reference]
    gaps = [gap for gap in gaps if is_drawn(gap.than, only)]
    curves = [(gap.than, shown(gap, result.text)) for gap in gaps]
    lines = [
        trace
        for than, curve in curves
        for trace in (
            band(curve, styles[than].colour),
            *curve_lines(curve, f"over {than}", styles[than]),
        )
    ]
    title = f"What {reference} saves"
    return position_figure(lines, _trained_to(result), title=title, zero=True)


def position_figure(
    lines: list, trained: int | None, *, title: str, zero: bool = False
) -> go.Figure:
    """The common frame: a logarithmic axis of positions, with the legend below.

    A mark shows where the trained lengths end (`trained`) and extrapolation begins, if
    the text goes beyond.
    """
    longest = max((max(line.x) for line in lines if len(line.x)), default=1)
    beyond = trained is not None and trained < longest
    marks = [theme.mark(trained)] if beyond else []
    first = min((min(line.x) for line in lines if len(line.x)), default=1)
    words = [_beyond(trained, first, longest)] if beyond else []
    return theme.tall(
        lines,
        title=title,
        y="nats per token",
        xaxis=position_axis(longest),
        shapes=([zero_line()] if zero else []) + marks,
        annotations=words,
    )


def position_axis(longest: float) -> dict:
    """A logarithmic axis with a tick at every fourth power of two, in tokens."""
    ticks = [4**n for n in range(1, 12) if 4**n <= 2 * longest]
    return theme.token_axis("position in the text in tokens", ticks)


def shown(part: Gap | Loss, text: TextRead, grid: str = "doublings") -> Curve:
    """The curve of a gap or loss on one grid, without title pages of whole novels."""
    curve = part.curves[grid]
    if not text.whole:
        return curve
    first = int(np.searchsorted(curve.edges, WHOLE_FROM))
    # A shorter text keeps its last bin: an empty figure would show nothing.
    return curve.since(min(first, len(curve) - 1))


def curve_lines(curve: Curve, name: str, style: theme.Look, *, sign: str = "+") -> list:
    """A line with markers, dotted where fewer novels reach; one legend entry."""
    x, y = middles(np.array(curve.edges)), np.array(curve.mean)
    novels = np.array(curve.novels)
    most = novels == novels.max(initial=0)
    # The dotted part begins at the last full point, so that the line is not broken.
    rest = ~most & (novels > 0)
    rest |= most & np.roll(rest, -1) & (np.arange(len(rest)) < len(rest) - 1)
    common = dict(
        mode="lines+markers",
        legendgroup=name,
        marker=dict(symbol=style.symbol, size=7),
        hovertemplate=f"%{{y:{sign}.3f}}",
        connectgaps=False,
    )
    lines = [_part(x, y, most, name, style.colour, style.dash, common)]
    if rest.any():
        faint = common | dict(showlegend=False, opacity=0.7)
        words = f"{name} (fewer novels)"
        lines.append(_part(x, y, rest, words, style.colour, "dot", faint))
    return lines


def band(curve: Curve, colour: str) -> go.Scatter:
    """The 95 % interval as a pale area, as far as all novels reach."""
    low, high = np.array(curve.low), np.array(curve.high)
    low[np.array(curve.novels) < max(curve.novels)] = np.nan
    return theme.band(middles(np.array(curve.edges)), low, high, colour)


def zero_line() -> dict:
    """A thin line at zero over the whole width, as a layout shape."""
    ends = dict(x0=0, x1=1, xref="paper", y0=0, y1=0)
    return dict(type="line", line=dict(color=theme.INK, width=1), **ends)


def _part(x, y, where, name, colour, dash, common) -> go.Scatter:
    shown = np.where(where, y, np.nan)
    return theme.line(x, shown, name, colour, line=dict(dash=dash), **common)


def is_drawn(label: str, only: Collection[str] | None) -> bool:
    """Whether a label is among those to draw; None draws all."""
    return only is None or label in only


def looks(names: Iterable[str]) -> dict[str, theme.Look]:
    """How every system and its frozen twin are drawn, the reference first."""
    found = {}
    for i, name in enumerate(names):
        colour = theme.LEARNING if i == 0 else OTHERS[(i - 1) % len(OTHERS)]
        symbol = SYMBOLS[i % len(SYMBOLS)]
        twin = theme.FROZEN if i == 0 else colour
        found[name] = theme.Look(colour, symbol)
        found[name + FROZEN_SUFFIX] = theme.Look(twin, f"{symbol}-open", "dash")
    return found


def _trained_to(result: Comparison) -> int | None:
    return result.systems[result.reference].trained_to


def _beyond(trained: int, first: float, longest: float) -> dict:
    text = f" trained to {short(trained)}, beyond: extrapolated"
    right = np.log(trained / first) > 0.5 * np.log(longest / first)
    side = dict(xanchor="right", text=text.strip() + " ") if right else {}
    return theme.label(float(np.log10(trained)), text) | side
