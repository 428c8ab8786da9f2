"""Gain of a model at each inner rate, one line a clip.

Takes what `ttt-lab eval tune-inner` keeps (a dict, see `lab.published.results`).
"""

import plotly.graph_objects as go

from lab.plots import theme
from lab.plots.compare import OTHERS, SYMBOLS, zero_line


def gain_by_inner_rate(result: dict) -> go.Figure:
    """What learning saves over the frozen twin, with 95 % intervals over novels."""
    clips = list(dict.fromkeys(trial["clip"] for trial in result["trials"]))
    colours = (theme.LEARNING, *OTHERS)
    lines = [
        _line(result, clip, colours[i % len(colours)], SYMBOLS[i % len(SYMBOLS)])
        for i, clip in enumerate(clips)
    ]
    best = result["best"]
    fig = theme.tall(
        lines,
        title=f"{result['model']}: what learning saves",
        y="nats per token",
        x="inner rate (logarithmic)",
        shapes=[zero_line(), *([theme.mark(best["lr"])] if best else [])],
    )
    rates = sorted({trial["lr"] for trial in result["trials"]})
    ticks = dict(tickvals=rates, ticktext=[f"{rate:g}" for rate in rates])
    return fig.update_xaxes(type="log", **ticks)


def _line(result: dict, clip, colour: str, symbol: str) -> go.Scatter:
    trials = [trial for trial in result["trials"] if trial["clip"] == clip]
    trials.sort(key=lambda trial: trial["lr"])
    gains = [trial["gain"] for trial in trials]
    half = [g["interval_95"] and g["interval_95"][1] - g["mean"] for g in gains]
    return theme.line(
        [trial["lr"] for trial in trials],
        [gain["mean"] for gain in gains],
        f"clip {clip}",
        colour,
        mode="lines+markers",
        marker=dict(symbol=symbol, size=8),
        error_y=dict(array=half, thickness=1.4, width=4),
        hovertemplate="%{y:+.3f}",
    )
