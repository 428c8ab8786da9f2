"""Which directions of the change say something, beside those of the nulls."""

import numpy as np
import plotly.graph_objects as go

from lab.analysis.directions import Direction, Directions
from lab.plots import theme


PASSAGE = 21  # characters of a passage, so that a narrow table holds a line


def scores_of_directions(result: Directions) -> go.Figure:
    """Scores of the text's directions beside both nulls; a bar where 95 % end."""
    rows = (
        ("random", result.random, theme.INK, "line-ns-open"),
        ("wrong pairs", result.mixed, theme.SUMMARY, "x"),
        ("random order", result.shuffled, theme.FROZEN, "diamond"),
        ("this text", result.scores, theme.LEARNING, "circle"),
    )
    data = []
    for i, (name, scores, colour, symbol) in enumerate(rows):
        jitter = np.random.default_rng(i).uniform(-0.25, 0.25, len(scores))
        told = [_words(one) for one in result.shown] if i == 3 else []
        told += [""] * (len(scores) - len(told))
        data.append(
            go.Scatter(
                x=scores,
                y=i + jitter,
                name=name,
                mode="markers",
                marker=dict(color=colour, symbol=symbol, size=8, opacity=0.75),
                customdata=told,
                hovertemplate="score %{x:+.3f}%{customdata}<extra></extra>",
            )
        )
    found, total = len(result.shown), len(result.scores)
    return theme.tall(
        data,
        title=f"{found} of {total} directions say more than a null's",
        y="",
        x="score: promotes what comes next",
        hovermode="closest",
        shapes=[theme.mark(result.bar, dash="dash")],
        annotations=[theme.label(result.bar, " 95 % of the nulls")],
        height=380,
    ).update_yaxes(
        tickvals=[0, 1, 2, 3], ticktext=[name for name, *_ in rows], range=[-0.6, 3.9]
    )


def words_of_directions(result: Directions) -> go.Figure:
    """What the shown directions promote and suppress, and where they are excited."""
    shown = result.shown
    heads = ["direction, score", "promotes (+), suppresses (-)", "is excited by"]
    cells = [
        [f"{one.block} {one.kind} {one.number}<br>{one.score:+.3f}" for one in shown],
        [f"+ {_fold(one.promoted)}<br>- {_fold(one.suppressed)}" for one in shown],
        [_where(one) for one in shown],
    ]
    clear = "rgba(0,0,0,0)"
    look = dict(fill_color=clear, line_color=theme.GRID, align="left")
    table = go.Table(
        columnwidth=[20, 34, 46],
        header=dict(values=heads, font=dict(color=theme.INK, size=12), **look),
        cells=dict(values=cells, font=dict(color=theme.INK, size=11), **look),
    )
    return theme.tall(
        [table],
        title="What the directions beyond the nulls say",
        y="",
        x="",
        margin=dict(l=4, r=4, t=40, b=8),
        height=110 + 82 * max(1, len(shown)),
    )


def _words(one: Direction) -> str:
    return (
        f"<br>block {one.block}, {one.kind} {one.number}"
        f"<br>promotes {_list(one.promoted)}<br>suppresses {_list(one.suppressed)}"
    )


def _list(words: tuple[str, ...]) -> str:
    return " · ".join(_safe(word.strip()) or "␣" for word in words)


def _fold(words: tuple[str, ...]) -> str:
    """A list in lines that a narrow column holds."""
    return "<br>".join(_list(words[i : i + 4]) for i in range(0, len(words), 4))


def _where(one: Direction) -> str:
    lines = (
        f"… {_safe(' '.join(found.text.split())[-PASSAGE:])} "
        f"<b>{_safe(found.follows.strip())}</b>"
        for found in one.passages
    )
    return "<br>".join(lines)


def _safe(text: str) -> str:
    """Text without what plotly would take for marks."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
