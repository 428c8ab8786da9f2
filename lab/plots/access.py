"""Five questions about a planted fact, at growing distances."""

import math

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lab.analysis.access import Access, Five
from lab.plots import theme
from lab.plots.compare import OTHERS, SYMBOLS


# What each question measures: field, title, its null, axis.
QUESTIONS = (
    ("nats", "1. Nats saved", "decoy", "nats a token"),
    ("rank", "2. Places risen, in doublings", None, "doublings"),
    ("said", "3. Answers written freely", "said_decoy", "share"),
    ("reworded", "4. Nats saved, in other words", "decoy", "nats a token"),
    ("later", "5. Later value over older", None, "nats a token"),
)


def five_questions(result: Access) -> go.Figure:
    """Nats, rank, free writing, other words, contradiction: one row each.

    Solid: learning. Dashed: the frozen twin. Dotted: the null, a question about another
    thing.
    """
    titles = [title for _, title, _, _ in QUESTIONS]
    fig = make_subplots(
        len(QUESTIONS),
        1,
        shared_xaxes=True,
        subplot_titles=titles,
        vertical_spacing=0.05,
    )
    for row, (field, _, null, unit) in enumerate(QUESTIONS, 1):
        for line in _lines(result, field, null, row == 1):
            fig.add_trace(line, row, 1)
        fig.update_yaxes(**theme.axis(unit), row=row, col=1)
    fig.update_layout(theme.tall([], title=_title(result), y="", height=1120).layout)
    return _axes(fig, result)


def _axes(fig: go.Figure, result: Access) -> go.Figure:
    reaches = {known.reach for known in result.systems.values() if known.reach}
    for row, (field, _, _, unit) in enumerate(QUESTIONS, 1):
        last = row == len(QUESTIONS)
        title = "tokens behind the fact" if last else ""
        axis = theme.token_axis(title, list(result.distances))
        if not last:
            axis["title"] = dict(text="")
        fig.update_xaxes(axis, row=row, col=1)
        fig.update_yaxes(title_text=unit, row=row, col=1)
        if field == "said":
            fig.update_yaxes(range=[-0.04, 1.04], tickformat=".0%", row=row, col=1)
        else:
            fig.add_hline(y=0, line=dict(color=theme.INK, width=1), row=row, col=1)
        for reach in reaches:
            if reach < result.distances[-1]:
                dotted = dict(color=theme.INK, width=1.3, dash="dot")
                fig.add_vline(x=reach, line=dotted, row=row, col=1)
    fig.update_annotations(font_size=13)
    for reach in list(reaches)[:1]:
        if reach < result.distances[-1]:
            word = theme.label(math.log10(reach), " beyond attention's reach", y=1.0)
            fig.add_annotation(**word | dict(xref="x", yref="y domain"))
    return fig.update_layout(legend=dict(y=-0.06), margin=dict(t=76))


def _title(result: Access) -> str:
    best = max(
        (known.learning or known.frozen for known in result.systems.values()),
        key=lambda five: five.nats[-1].mean,
    )
    saved, decoy = best.nats[-1].mean, best.decoy[-1].mean
    far = f"{result.distances[-1]:,} tokens later"
    return f"{far}: {saved:+.2f} nats, a decoy {decoy:+.2f}"


def _lines(result: Access, field: str, null: str | None, legend: bool):
    colours = (theme.LEARNING, *OTHERS)
    for i, (name, known) in enumerate(result.systems.items()):
        colour, symbol = colours[i % len(colours)], SYMBOLS[i % len(SYMBOLS)]
        for reader, five in known.readers.items():
            twin = reader == "frozen" and known.learning is not None
            label = f"{name}, frozen" if twin else name
            shade = theme.FROZEN if twin and i == 0 else colour
            look = theme.Look(shade, symbol, "dash" if twin else "solid")
            yield _line(result, five, field, label, look, legend)
            if null and not twin:
                dotted = theme.Look(colour, symbol, "dot")
                yield _line(
                    result, five, null, f"{name}, a decoy", dotted, legend, False
                )


def _line(result, five: Five, field, name, look: theme.Look, legend, sure=True):
    found = getattr(five, field)
    ends = [[getattr(one, end) for one in found] for end in ("mean", "low", "high")]
    percent = field.startswith("said")
    return theme.line(
        list(result.distances),
        ends[0],
        name,
        look.colour,
        mode="lines+markers" if sure else "lines",
        line=dict(dash=look.dash, width=2.4 if sure else 1.4),
        marker=dict(symbol=look.symbol, size=7),
        error_y=theme.whiskers(*ends) if sure else None,
        legendgroup=name,
        showlegend=legend,
        hovertemplate="%{y:.0%}" if percent else "%{y:+.3f}",
    )
