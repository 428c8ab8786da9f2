"""Published results as figures."""

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme
from lab.plots.agreement import gradient_parts
from lab.plots.attention import looks_by_distance
from lab.plots.bench import reading_cost, writing_cost
from lab.plots.compare import gap_by_position, loss_by_position
from lab.plots.context import gap_by_context, loss_by_context
from lab.plots.decompose import decomposition, parts_by_position
from lab.plots.recall import (
    first_choice_by_distance,
    nats_by_distance,
    whole_answers_by_distance,
)
from lab.plots.toy import gain_by_index, loss_by_index
from lab.plots.tuning import gain_by_inner_rate


FIGURES = {
    "attention": {"distances": looks_by_distance},
    "bench-read": {"reading": reading_cost, "writing": writing_cost},
    "compare": {"loss": loss_by_position, "gap": gap_by_position},
    "context": {"loss": loss_by_context, "gap": gap_by_context},
    "decompose": {"bars": decomposition, "curves": parts_by_position},
    "gradients": {"parts": gradient_parts},
    "tune-inner": {"gain": gain_by_inner_rate},
    "recall": {
        "nats": nats_by_distance,
        "first": first_choice_by_distance,
        "whole": whole_answers_by_distance,
    },
    "toy": {"loss": loss_by_index, "gain": gain_by_index},
}


def result_figures(kind: str, result: dict) -> dict[str, go.Figure]:
    """All figures of a result by a short name; `kind` is the `ttt-lab eval` command, or
    "bench-read"."""
    return {name: draw(result) for name, draw in FIGURES[kind].items()}


def gain_by_position(result: dict) -> go.Figure:
    """Mean gain in each sixteenth of the passages, one line a text.

    `result` is what `ttt-lab eval gain --publish` keeps, see `lab.published.results`.
    """
    parts = {name: row["gain_by_sixteenth"] for name, row in result["sources"].items()}
    lines = [
        theme.line(
            (np.arange(len(gains)) + 0.5) * result["length"] / len(gains),
            gains,
            name,
            colour,
            mode="lines+markers",
            hovertemplate="%{y:+.3f}",
        )
        for (name, gains), colour in zip(parts.items(), theme.BLOCKS, strict=False)
    ]
    return theme.figure(
        lines,
        title=f"{result['model']}: what learning saves, by position",
        y="nats per token",
    )
