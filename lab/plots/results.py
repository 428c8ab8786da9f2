"""Published results as figures."""

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme


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
