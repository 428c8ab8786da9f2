"""Gain of a model at each inner rate, one line per clip."""

import plotly.graph_objects as go

from lab.evals.tune_inner import Tuning
from lab.plots import theme
from lab.plots.compare import OTHERS, SYMBOLS, zero_line


def gain_by_inner_rate(result: Tuning) -> go.Figure:
    """What learning saves over the frozen twin, with 95 % intervals over novels."""
    clips = list(dict.fromkeys(trial.clip for trial in result.trials))
    colours = (theme.LEARNING, *OTHERS)
    lines = [
        _line(result, clip, colours[i % len(colours)], SYMBOLS[i % len(SYMBOLS)])
        for i, clip in enumerate(clips)
    ]
    fig = theme.tall(
        lines,
        title=f"{result.model}: what learning saves",
        y="nats per token",
        x="inner rate (logarithmic)",
        shapes=[zero_line(), *([theme.mark(result.best.lr)] if result.best else [])],
    )
    rates = sorted({trial.lr for trial in result.trials})
    ticks = dict(tickvals=rates, ticktext=[f"{rate:g}" for rate in rates])
    return fig.update_xaxes(type="log", **ticks)


def _line(result: Tuning, clip: float, colour: str, symbol: str) -> go.Scatter:
    trials = [trial for trial in result.trials if trial.clip == clip]
    trials.sort(key=lambda trial: trial.lr)
    gains = [trial.gain for trial in trials]
    ends = [[getattr(one, end) for one in gains] for end in ("mean", "low", "high")]
    return theme.line(
        [trial.lr for trial in trials],
        ends[0],
        f"clip {clip:g}",
        colour,
        mode="lines+markers",
        marker=dict(symbol=symbol, size=8),
        error_y=theme.whiskers(*ends),
        hovertemplate="%{y:+.3f}",
    )
