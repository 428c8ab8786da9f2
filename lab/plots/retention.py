"""What each chunk left in the weights: a map chunk x time, and its mean by age."""

import numpy as np
import plotly.graph_objects as go

from lab.analysis.retention import Retention
from lab.measure.positions import short
from lab.plots import theme


def memory_map(result: Retention) -> go.Figure:
    """Gain of each chunk at each time; what was read lies below the diagonal."""
    subject = result.subject
    gain = np.array(result.gain)
    most = float(np.quantile(np.abs(gain), 0.995)) or 1.0
    at = lambda places: [place * subject.chunk for place in places]
    square = go.Heatmap(
        z=gain,
        x=at(result.times),
        y=at(result.rows),
        colorscale=theme.SIGNED,
        zmin=-most,
        zmax=most,
        colorbar=dict(
            title=dict(text="nats per token gained", side="right"), thickness=12
        ),
        hovertemplate="text from token %{y:,}, read again after %{x:,}: "
        "%{z:+.3f}<extra></extra>",
    )
    drawn = theme.figure(
        [square, _diagonal(result)],
        title="What each chunk left in the weights",
        y="place of the text read again, in tokens",
        x="tokens read",
        height=520,
        margin=dict(l=64, r=10, t=56, b=44),
        hovermode="closest",
        showlegend=False,
    )
    drawn.update_xaxes(range=[0, subject.tokens], showgrid=False)
    drawn.update_yaxes(range=[0, subject.tokens], showgrid=False)
    words = "above the line: not yet read, below: read before"
    place = dict(x=0, y=1.0, xref="paper", yref="paper", xanchor="left")
    drawn.add_annotation(
        text=words, **place, yanchor="bottom", showarrow=False, font_size=12
    )
    return drawn


def _diagonal(result: Retention) -> go.Scatter:
    """Where each chunk was read, with its first words."""
    step = result.subject.chunk
    pairs = zip(result.words, result.gain, strict=False)
    told = [(words, row[-1]) for words, row in pairs]
    return go.Scatter(
        x=[row * step for row in result.rows],
        y=[row * step for row in result.rows],
        mode="lines",
        line=dict(color=theme.INK, width=1.4),
        customdata=told,
        hovertemplate="read here: “%{customdata[0]} …” at the end "
        "%{customdata[1]:+.3f}<extra></extra>",
    )


def memory_by_age(result: Retention) -> go.Figure:
    """Gain by age: chunks read so long ago, their mirror ahead, and the difference."""
    looks = (
        ("chunks read so long ago", result.own, theme.LEARNING, "solid"),
        ("chunks as far ahead (null)", result.ahead, theme.FROZEN, "dash"),
        ("memory: the difference", result.memory, theme.SUMMARY, "solid"),
    )
    traces = []
    for name, curve, colour, dash in looks:
        x = _ages(result, curve)
        traces.append(theme.band(x, curve.low, curve.high, colour))
        traces.append(
            theme.line(
                x,
                curve.mean,
                name,
                colour,
                mode="lines+markers",
                line=dict(dash=dash),
                hovertemplate="%{y:+.3f}",
            )
        )
    if np.isfinite(result.other[-1]):
        level = float(np.mean(result.other))
        line = dict(dash="dot", width=1.6)
        name, far = "the unrelated document", [traces[1].x[0], traces[1].x[-1]]
        traces.append(theme.line(far, [level] * 2, name, theme.INK, line=line))
    ticks = [int(x) for x in _ages(result, result.own)][::2]
    axis = theme.token_axis("tokens between reading and reading again", ticks)
    axis["ticktext"] = [short(tick) for tick in ticks]
    return theme.tall(
        traces, title="How long is it kept?", y="nats per token gained", xaxis=axis
    )


def _ages(result: Retention, curve) -> np.ndarray:
    """The far end of each bin of ages, in tokens."""
    return np.array([(edge - 1) * result.subject.chunk for edge in curve.edges[1:]])
