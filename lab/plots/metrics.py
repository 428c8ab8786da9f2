"""A training, from its metrics lines: what was asked for, what happened, what broke.

Lines are those of a run's `metrics.jsonl` (`lab.training.metrics`). Blue learns while
reading, orange is the frozen twin, green was trained plainly.
"""

import plotly.graph_objects as go

from lab.plots import theme
from lab.recipes.experiment import Phase


PLAIN = theme.BLOCKS[1]


def schedule(phase: Phase, outer) -> go.Figure:
    """The outer rate and the inner rate at each step of a stage.

    `outer`: the outer rate as a function of the step (`training.loop.make_schedule`).
    """
    steps = list(range(phase.stage.steps))
    outer = [float(outer(step)) for step in steps]
    inner = [phase.stage.inner_rate(step) for step in steps]
    top = max(outer)
    lines = [
        theme.line(
            steps, [rate / top for rate in outer], f"outer, of {top:g}", theme.INK
        ),
        theme.line(
            steps, inner, "inner, of the model's own", theme.LEARNING, line_dash="dash"
        ),
    ]
    return theme.figure(
        lines, title="Two rates of one training", y="share of the peak", x="outer step"
    )


def losses(lines: list[dict], steps: int) -> go.Figure:
    """Training loss step by step, the frozen twin's and held-out loss where measured.

    `steps`: of the whole training, so that the axis stands still while it grows.
    """
    parts = (
        ("with learning", theme.LEARNING, "loss", "lines"),
        ("frozen twin", theme.FROZEN, "frozen", "lines+markers"),
        ("held out", theme.SUMMARY, "held_out", "lines+markers"),
    )
    return theme.figure(
        [_metric(lines, key, name, colour, mode) for name, colour, key, mode in parts],
        title="Loss of a training",
        y="nats per token",
        height=300,
        xaxis=theme.axis("outer step", range=[0, steps]),
    )


def metric(lines: list[dict], key: str) -> go.Figure:
    """One number of a run, step by step."""
    found = _metric(lines, key, key, theme.SUMMARY, "lines+markers")
    found.marker.size = 4
    return theme.figure([found], title=key, y="", x="outer step")


def resumed(whole: list[dict], before: list[dict], after: list[dict]) -> go.Figure:
    """An unbroken training, and one that was broken off and went on."""
    wide = dict(width=9, color=theme.pale(theme.LEARNING))
    lines = [
        theme.line(*_points(whole, "loss"), "never stopped", theme.INK, line=wide),
        _metric(before, "loss", "until it was killed", theme.FROZEN),
        _metric(after, "loss", "gone on", theme.LEARNING),
    ]
    fig = theme.figure(
        lines, title="Killed, and gone on", y="nats per token", x="outer step"
    )
    return fig.add_shape(theme.mark(before[-1]["step"]))


def twins(meta: list[dict], plain: list[dict]) -> go.Figure:
    """Held-out loss of a meta-trained model, its frozen twin, and the plain one."""
    parts = (
        (meta, "held_out", "meta-trained, learning", theme.LEARNING),
        (meta, "held_out_frozen", "meta-trained, frozen", theme.FROZEN),
        (plain, "held_out", "plainly trained", PLAIN),
    )
    return theme.figure(
        [_metric(*part[:2], *part[2:], "lines+markers") for part in parts],
        title="Held-out loss of the twins",
        y="nats per token",
        x="outer step",
        height=300,
    )


def by_rate(runs: dict[float, list[dict]]) -> go.Figure:
    """Training loss of runs at several outer rates, smoothed over ten steps."""
    lines = []
    looks = zip(theme.BLOCKS, theme.DASHES, runs.items(), strict=False)
    for colour, dash, (rate, found) in looks:
        steps, loss = _points(found, "loss")
        windows = [loss[max(0, i - 9) : i + 1] for i in range(len(loss))]
        means = [sum(window) / len(window) for window in windows]
        lines.append(
            theme.line(steps, means, f"rate {rate:g}", colour, line=dict(dash=dash))
        )
    return theme.figure(
        lines,
        title="Which outer rate? (mean of ten steps)",
        y="nats per token",
        x="outer step",
        height=300,
    )


def _metric(lines: list[dict], key: str, name: str, colour: str, mode: str = "lines"):
    return theme.line(*_points(lines, key), name, colour, mode=mode)


def _points(lines: list[dict], key: str) -> tuple[list[int], list[float]]:
    """Steps at which a number was measured, and the numbers."""
    there = [line for line in lines if key in line]
    return [line["step"] for line in there], [line[key] for line in there]
