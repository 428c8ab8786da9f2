"""Several models on one document: what each saves, compared with the first.

Models cut a text into different tokens, so costs are compared on the same bytes: the
nats that a model pays for a chunk of the first model, per token of the first model. A
model that learns is drawn as it reads, learning on; differences are the first minus
the other, so above zero the other was cheaper.
"""

import numpy as np
import plotly.graph_objects as go

from lab.measure.intervals import batch_means
from lab.plots import theme
from lab.plots.coarse import POINTS
from lab.traces import Trace


COLOURS = ("#2fa37c", "#c79a1e", "#8a6fd1", "#7a8f2a")


def side_by_side(
    first: Trace, others: dict[str, Trace], *, extent: int | None = None
) -> go.Figure:
    """Mean nats per token saved so far by each of `others`, against the first."""
    lines = []
    for i, (name, trace) in enumerate(others.items()):
        saved = saved_by(trace, first)
        mean = np.cumsum(saved) / (1 + np.arange(len(saved)))
        thin = slice(None, None, 1 + len(mean) // POINTS)
        colour = COLOURS[i % len(COLOURS)]
        at = first.ends[: len(mean)][thin]
        lines.append(
            theme.line(at, mean[thin], name, colour, hovertemplate="%{y:+.3f}")
        )
    zero = dict(type="line", x0=0, x1=1, xref="paper", y0=0, y1=0, line_width=1)
    end = extent or max(first.read, first.header.chunk)
    return theme.figure(
        lines,
        title=f"Cheaper than {first.header.model} on the same text, mean so far",
        y="nats per token",
        yaxis=theme.axis("nats per token", range=_range(lines)),
        xaxis=theme.axis("tokens read", range=[0, end], tickformat=","),
        shapes=[zero | dict(line_color=theme.INK)],
        showlegend=True,
    )


def _range(lines: list[go.Scatter]) -> list[float]:
    """Ends of the axis, doubled where they must grow, so that they seldom move."""
    values = np.concatenate([[0.0], *(np.array(line.y, float) for line in lines)])
    values = values[np.isfinite(values)]
    ends = [0.25, 0.25]
    for i, most in enumerate((-values.min(), values.max())):
        while ends[i] < most:
            ends[i] *= 2
    return [-1.05 * ends[0], 1.05 * ends[1]]


def saved_by(other: Trace, first: Trace) -> np.ndarray:
    """Nats per token of `first` that `other` saves, in each chunk both have read.

    The chunks are those of `first`; a token of `other` on a border counts where it
    ends.
    """
    chunk = first.header.chunk
    stops = first.spans[chunk - 1 : first.filled * chunk : chunk, 1]
    reached = int(other.spans[-1, 1]) if other.read else 0
    stops = stops[stops <= reached]
    total = np.concatenate([[0.0], np.cumsum(other.nll, dtype=np.float64)])
    paid = total[np.searchsorted(other.spans[:, 1], stops, side="right")]
    theirs = np.diff(paid, prepend=0.0) / chunk
    return first.loss[: len(theirs)] - theirs


def verdict(first: Trace, others: dict[str, Trace]) -> list[str]:
    """One sentence on each other model, with its interval."""
    said = []
    for name, trace in others.items():
        found = batch_means(saved_by(trace, first))
        if not found.is_known:
            said.append(f"{name}: too early to say")
            continue
        verb = "cheaper" if found.mean > 0 else "dearer"
        size = f"{abs(found.mean):.3f} ± {found.half:.3f} nats per token"
        sure = "" if found.sign else ", perhaps by chance"
        said.append(f"{name} is {size} {verb} than {first.header.model}{sure}")
    return said
