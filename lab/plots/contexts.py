"""Loss against context: the same tokens with ever more text before them.

Takes what `ttt-lab eval context` keeps (a dict, see `lab.published.results`). Markers
are open where a context is longer than a system's training sequences.
"""

import plotly.graph_objects as go

from lab.plots import theme
from lab.plots.positions import looks, zero_line


def loss_by_context(result: dict) -> go.Figure:
    """Mean loss over documents at each context, one line a system and frozen twin."""
    lines = [
        _line(label, rows, "loss", style, "%{y:.4f}")
        for label, rows, style in _labels(result)
    ]
    return _figure(result, lines, "Loss against context")


def gap_by_context(result: dict) -> go.Figure:
    """How much worse than the reference each system reads, with 95 % bands."""
    lines = []
    for label, rows, style in _labels(result):
        rows = [row for row in rows if row["gap"]]
        if rows:
            ends = [row["gap"]["interval_95"] or (None, None) for row in rows]
            x = [row["context"] for row in rows]
            lines.append(theme.band(x, *zip(*ends, strict=True), style["colour"]))
            lines.append(_line(label, rows, "gap", style, "%{y:+.4f}"))
    title = f"Above {result['reference']}, at the same context"
    return _figure(result, lines, title).add_shape(zero_line())


def _labels(result: dict):
    """Every label with its rows and its style."""
    styles = looks(result)
    for label in dict.fromkeys(row["system"] for row in result["scores"]):
        rows = [row for row in result["scores"] if row["system"] == label]
        yield label, rows, styles[label]


def _line(label: str, rows: list[dict], part: str, style: dict, hover: str):
    symbol = style["symbol"].removesuffix("-open")
    symbols = [symbol + ("-open" if row["extrapolated"] else "") for row in rows]
    return theme.line(
        [row["context"] for row in rows],
        [row[part]["mean"] for row in rows],
        label,
        style["colour"],
        mode="lines+markers",
        line=dict(dash=style.get("dash", "solid"), width=1.8),
        marker=dict(symbol=symbols, size=8),
        hovertemplate=hover,
    )


def _figure(result: dict, lines: list, title: str) -> go.Figure:
    words = "context in tokens, open: beyond training"
    axis = theme.token_axis(words, result["contexts"])
    return theme.tall(lines, title=title, y="nats per token", xaxis=axis)
