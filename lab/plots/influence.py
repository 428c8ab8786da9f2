"""Who taught whom: the map, its decay with distance, and the estimate beside it."""

import html
import math

import numpy as np
import plotly.graph_objects as go

from lab.analysis.influence import MILLI, Influence, Taught, Teacher
from lab.plots import theme
from lab.visible import visible


NEEDED = 0.01  # a smaller share of what was saved on a token is not noticed
MARKED = f"border-bottom:2px solid {theme.LEARNING};font-weight:600"


def map_of_influence(result: Influence) -> go.Figure:
    """From each span (across) to each later span (up), in thousandths of a nat.

    Blue has helped, orange has hurt. Spans that were not left out show their estimate
    only in the hover text.
    """
    of = "exact" if len(result.left_out) > result.spans // 2 else "estimate"
    found = result.matrix(of)
    width = result.span * result.subject.chunk
    places = [(i + 0.5) * width for i in range(result.spans)]
    top = float(np.nanquantile(np.abs(found), 0.98)) if result.spans > 1 else 1.0
    data = go.Heatmap(
        x=places,
        y=places,
        z=np.where(np.isfinite(found), found, np.nan).T,
        colorscale=theme.SIGNED,
        zmid=0,
        zmin=-top,
        zmax=top,
        colorbar=dict(title=dict(text="mnat", side="top"), thickness=10, len=0.9),
        hoverongaps=False,
        hovertemplate="from token %{x:,.0f}<br>to token %{y:,.0f}<br>"
        "%{z:+.2f} thousandths of a nat a token<extra></extra>",
    )
    said = "" if of == "exact" else ": estimates, good for ranks, not amounts"
    return theme.tall(
        [data],
        title=f"What each {_unit(result)} taught later ones{said}",
        y="token read later",
        x="token learned from",
        hovermode="closest",
    ).update_layout(showlegend=False)


def influence_by_distance(result: Influence) -> go.Figure:
    """How long a lesson lasts: influence by distance, beside an unrelated text."""
    shapes, notes, data = [], [], []
    pairs = (
        ("on this text", result.by_distance, theme.LEARNING, "circle", "solid"),
        ("on an unrelated text", result.null, theme.INK, "square", "dot"),
        ("estimated", result.estimated, theme.SUMMARY, "diamond", "dash"),
    )
    for name, curve, colour, symbol, dash in pairs:
        if curve is None:  # the fast mode reads nothing again
            continue
        edges = np.array(curve.edges, float)
        x = np.sqrt(edges[:-1] * edges[1:])
        low, high = (MILLI * np.array(ends) for ends in (curve.low, curve.high))
        data.append(theme.band(x, low, high, colour))
        style = dict(line=dict(dash=dash), marker=dict(symbol=symbol, size=7))
        y = MILLI * np.array(curve.mean)
        data.append(
            theme.line(
                x,
                y,
                name,
                colour,
                mode="lines+markers",
                hovertemplate="%{y:+.3f}",
                **style,
            )
        )
    reach = result.subject.reach
    if reach is not None and edges[0] < reach < edges[-1]:
        shapes.append(theme.mark(reach))
        notes.append(theme.label(np.log10(reach), " reach of attention"))
    ticks = [int(edge) for edge in result.estimated.edges]
    return theme.tall(
        data,
        title=f"How long the lesson of {_unit(result, 'one')} lasts",
        y="thousandths of a nat a token",
        x="",
        xaxis=theme.token_axis("tokens later", ticks),
        shapes=shapes,
        annotations=notes,
    )


def who_taught(result: Influence, number: int = 0) -> go.Figure:
    """The tokens that learning helped most; one of them with lines to its teachers.

    Each point of the trace "tokens" carries its number as `customdata`, so that a page
    can tell which one was clicked. `number`: the one whose teachers are shown.
    """
    taught = result.taught
    data = [
        go.Scatter(
            x=[one.place for one in taught],
            y=[one.gain for one in taught],
            name="tokens",
            mode="markers",
            customdata=list(range(len(taught))),
            marker=dict(
                color=theme.LEARNING,
                size=[15 if i == number else 10 for i in range(len(taught))],
                opacity=[1 if i == number else 0.55 for i in range(len(taught))],
            ),
            hovertext=[_said(one) for one in taught],
            hovertemplate="%{hovertext}<br>at token %{x:,}: %{y:+.1f} nats saved"
            "<extra></extra>",
        )
    ]
    if number < len(taught):
        data += _to_teachers(result, taught[number])
    fig = theme.tall(
        data,
        title="Which passages taught a token",
        y="nats saved on the token",
        x="tokens read",
        height=300,
        hovermode="closest",
        clickmode="event+select",
    )
    fig.update_xaxes(range=[0, result.subject.tokens], rangemode="tozero")
    return fig.update_yaxes(rangemode="tozero").update_layout(showlegend=False)


def _to_teachers(result: Influence, one: Taught) -> list[go.Scatter]:
    """A line from each teacher, on the axis, to the token."""
    width = result.span * result.subject.chunk
    lines = []
    for rank, teacher in enumerate(one.teachers):
        start = (teacher.chunk + result.span / 2) * result.subject.chunk
        lines.append(
            go.Scatter(
                x=[start, one.place],
                y=[0, one.gain],
                mode="lines+markers",
                name=f"teacher {rank + 1}",
                line=dict(color=theme.SUMMARY, width=2.6 - 0.7 * rank),
                marker=dict(size=[11, 0], symbol="diamond", color=theme.SUMMARY),
                hovertext=[f"teacher {rank + 1}: {_amount(teacher)}", ""],
                hovertemplate=f"%{{hovertext}}<br>{width:,} tokens from here"
                "<extra></extra>",
            )
        )
    return lines


def taught_text(result: Influence, number: int = 0) -> str:
    """HTML of a token in its passage, and of the passages that taught it.

    The token is underlined wherever a passage says it. All text is escaped, and control
    characters are visible. "" where there is no such token.
    """
    if number >= len(result.taught):
        return ""
    one = result.taught[number]
    word = one.token.strip()
    here = (
        f"<p>… {_escaped(one.before)}"
        f'<span style="{MARKED}">{_escaped(one.token)}</span> …<br>'
        f"{_grey(f'at token {one.place:,}: {one.gain:+.1f} nats saved')}</p>"
    )
    rows = [
        f"<li>… {_marked(teacher.text, word)} …<br>"
        f"{_grey(f'{_where(result, teacher)}: {_amount(teacher)}')}</li>"
        for teacher in one.teachers
    ]
    return (
        '<div style="overflow-wrap:anywhere;line-height:1.6;font-family:Georgia,serif">'
        f'{here}{_grey("was taught by")}<ol style="margin:.3rem 0 0 1.2rem">'
        f"{''.join(rows)}</ol>{_alone(one)}</div>"
    )


def _alone(one: Taught) -> str:
    """A sentence where no teacher is worth a noticeable share of what was saved."""
    nats = [teacher.nats for teacher in one.teachers]
    if not nats or not all(abs(n) < NEEDED * one.gain for n in nats):
        return ""
    return _grey(
        "None of them was needed: without any one of these, learning saves as much on "
        "the token, perhaps as others teach it too."
    )


def _where(result: Influence, teacher: Teacher) -> str:
    chunk = result.subject.chunk
    start, stop = teacher.chunk * chunk, (teacher.chunk + result.span) * chunk
    return f"tokens {start:,} to {stop:,}"


def _amount(teacher: Teacher) -> str:
    """What a teacher taught: measured if it was left out, else estimated."""
    if math.isnan(teacher.nats):
        return f"{teacher.estimate:+.2f} nats, estimated"
    return f"{teacher.nats:+.2f} nats, read again without it"


def _marked(text: str, word: str) -> str:
    """`text` as HTML, with `word` underlined."""
    if not word:
        return _escaped(text)
    span = f'<span style="{MARKED}">{_escaped(word)}</span>'
    return span.join(_escaped(part) for part in text.split(word))


def _said(one: Taught) -> str:
    """A token after the end of the text before it, as plotly shows it."""
    return f"… {_escaped(one.before[-24:])}<b>{_escaped(one.token)}</b>"


def _grey(text: str) -> str:
    style = f"color:{theme.INK};font-size:.88em;font-family:system-ui,sans-serif"
    return f'<span style="{style}">{_escaped(text)}</span>'


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def estimate_against_exact(result: Influence) -> go.Figure:
    """The first-order estimate of each pair of spans, against reading without."""
    exact, estimate = result.matrix(), result.matrix("estimate")
    there = np.isfinite(exact)
    x, y = exact[there], estimate[there]
    if len(x) > 3000:
        keep = np.linspace(0, len(x) - 1, 3000).astype(int)
        x, y = x[keep], y[keep]
    data = [
        go.Scatter(
            x=x,
            y=y,
            mode="markers",
            name="pairs",
            marker=dict(color=theme.LEARNING, size=4, opacity=0.35),
            hovertemplate="exact %{x:+.2f}, estimate %{y:+.2f}<extra></extra>",
        )
    ]
    if len(x):
        ends = [float(x.min()), float(x.max())]
        same = dict(color=theme.INK, dash="dot", width=1.3)
        data.append(theme.line(ends, ends, "equal", theme.INK, line=same))
    known = result.agreement
    found = f": correlation {known.correlation:.2f}" if known else ""
    return theme.tall(
        data,
        title=f"Estimated from stored updates{found}",
        y="estimate, mnat a token",
        x="read without, mnat a token",
        hovermode="closest",
    )


def _unit(result: Influence, before: str = "") -> str:
    if result.span == 1:
        return f"{before} chunk".strip()
    return f"{result.span:,} chunks"
