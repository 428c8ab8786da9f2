"""What a memory is: how large, what it is worth, and how alike several are."""

from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from lab import memories
from lab.memories import Memory
from lab.plots import theme
from lab.visible import visible


def figures(opened: dict[str, Memory]) -> dict[str, go.Figure]:
    """All figures of one or several memories by a short name.

    `opened`: label -> memory.
    """
    short = {Path(label).name for label in opened}
    name = (lambda label: Path(label).name) if len(short) == len(opened) else str
    named = {visible(name(label)): one for label, one in opened.items()}
    found = {"size": size_by_matrix(named)}
    if any(one.card.reread for one in named.values()):
        found["alpha"] = gain_by_alpha(named)
    if len(named) > 1:
        found["cosine"] = cosines(named)
    return found


def size_by_matrix(opened: dict[str, Memory]) -> go.Figure:
    """How far each matrix of each fast block has moved from W0."""
    bars = []
    for colour, (name, memory) in zip(_colours(opened), opened.items(), strict=True):
        sizes = memories.sizes(memory)
        pairs = [(k, i) for i in range(_blocks(memory)) for k in sizes]
        bars.append(
            go.Bar(
                x=[f"{matrix}, fast block {block + 1}" for matrix, block in pairs],
                y=[sizes[matrix][block] for matrix, block in pairs],
                name=name,
                marker_color=colour,
                hovertemplate="%{y:.2%}",
            )
        )
    fig = theme.tall(
        bars,
        title="How far a memory moves each matrix",
        y="|change| / |weights before|",
        x="",
        bargap=0.25,
    )
    return fig.update_yaxes(tickformat=".0%", rangemode="tozero")


def gain_by_alpha(opened: dict[str, Memory]) -> go.Figure:
    """What a part of a memory, or more than all of it, is worth on its own document.

    A band is the 95 % interval over the chunks that were read again.
    """
    data = []
    for colour, (name, memory) in zip(_colours(opened), opened.items(), strict=True):
        again = memory.card.reread
        if again is None:
            continue
        gains, alphas = again.gains, list(again.alphas)
        low, high = ([getattr(g, end) for g in gains] for end in ("low", "high"))
        data.append(theme.band(alphas, low, high, colour))
        mean = [gain.mean for gain in gains]
        data.append(theme.line(alphas, mean, name, colour, mode="lines+markers"))
    fig = theme.tall(
        data,
        title="What a memory saves on its document",
        y="nats per token saved, empty window",
        x="how much of the memory is added (1 = all)",
        hovermode="x unified",
    )
    fig.update_traces(hovertemplate="%{y:+.3f}", selector=dict(mode="lines+markers"))
    return fig.update_layout(shapes=[theme.mark(1.0)]).add_hline(
        y=0, line_width=1, line_color=theme.INK
    )


def cosines(opened: dict[str, Memory]) -> go.Figure:
    """How alike several memories are: the cosine of each with each."""
    names, each = list(opened), list(opened.values())
    values = np.array([[memories.cosine(a, b) for b in each] for a in each])
    heat = go.Heatmap(
        x=names,
        y=names,
        z=values,
        zmin=-1,
        zmax=1,
        colorscale=[(0, theme.FROZEN), (0.5, "#f4f4f4"), (1, theme.LEARNING)],
        text=[[f"{value:+.2f}" for value in row] for row in values],
        texttemplate="%{text}",
        hovertemplate="%{x}, %{y}: %{z:+.3f}",
        name="",
    )
    fig = theme.tall(
        [heat],
        title="How alike memories are (1: one direction)",
        y="",
        x="",
        height=220 + 40 * len(names),
        hovermode="closest",
    )
    return fig.update_yaxes(autorange="reversed", nticks=0).update_xaxes(nticks=0)


def _blocks(memory: Memory) -> int:
    return len(next(iter(memory.change.values())))


def _colours(opened: dict[str, Memory]) -> list[str]:
    return [theme.BLOCKS[i % len(theme.BLOCKS)] for i in range(len(opened))]
