"""Gain of learning, with what the far text is worth as a band behind it."""

import plotly.graph_objects as go

from lab.analysis.ceiling import Ceiling
from lab.measure.positions import short
from lab.plots import theme


def gain_below_the_ceiling(result: Ceiling) -> go.Figure:
    """Gain by context and its null, the worth of the far text as a band behind them.

    Gain inside the band can be memory; what rises above it is repair.
    """
    x = list(result.contexts)
    far, gain = result.far, result.gain
    zero = [0.0] * len(x)
    traces = [
        theme.band(x, zero, [one.mean for one in far], theme.SUMMARY),
        theme.line(
            x,
            [one.mean for one in far],
            f"the far text, to {result.ceiling}: room for memory",
            theme.SUMMARY,
            line=dict(dash="dash"),
            **_marked(far, theme.SUMMARY),
        ),
        theme.line(
            x,
            [one.mean for one in gain],
            "gain of learning",
            theme.LEARNING,
            **_marked(gain, theme.LEARNING),
        ),
        theme.line(
            x,
            [one.mean for one in result.null],
            "the same after another text (null)",
            theme.INK,
            line=dict(dash="dot"),
            **_marked(result.null, theme.INK, symbol="diamond-open"),
        ),
    ]
    axis = theme.token_axis("tokens of context", x)
    axis["ticktext"] = [short(one) for one in x]
    return theme.tall(
        traces,
        title="Gain, and what the far text is worth",
        y="nats per token",
        xaxis=axis,
        height=460,
    )


def _marked(values, colour: str, **marker) -> dict:
    """Markers with intervals."""
    ends = zip(*((one.mean, one.low, one.high) for one in values), strict=True)
    return dict(
        mode="lines+markers",
        marker=dict(size=8) | marker,
        error_y=theme.whiskers(*ends, color=colour),
        hovertemplate="%{y:+.3f}",
    )
