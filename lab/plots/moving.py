"""What test-time training is, as one moving picture drawn from a recorded reading.

A tape of text, the weights that learn, and the mean loss with and without learning. The
first chunks pass slowly, each in two beats (read, then learn); the rest in leaps. The
numbers of every frame are made here; `moving.js` moves them.
"""

from pathlib import Path

import numpy as np

from lab.plots.text import colour_of, whole_characters
from lab.traces import Trace
from lab.visible import visible


SLOW = 8  # chunks that pass one by one
LEAPS = 48  # frames for all others
TOKENS = 64  # of a chunk that are shown
_HERE = Path(__file__).parent
SCRIPT = (_HERE / "moving.js").read_text("utf-8")
STYLE = (_HERE / "moving.css").read_text("utf-8")


def moving(trace: Trace) -> dict:
    """The frames of the picture, as plain numbers and words.

    **Raises** `ValueError` for a reading that has no whole chunk yet.
    """
    if not trace.filled:
        raise ValueError("No chunk was read to its end, so there is nothing to move.")
    places = _places(trace.filled)
    learner, twin = _means(trace.loss), _means(trace.loss_twin)
    first = trace.header.layers - trace.header.fast_blocks
    return {
        "chunks": trace.filled,
        "chunk": trace.header.chunk,
        "slow": SLOW,
        "blocks": [f"block {1 + first + i}" for i in range(trace.header.fast_blocks)],
        "most": _percent(trace.drift.max(initial=0.01)),
        "frames": [_frame(trace, place, learner, twin) for place in places],
        "range": [float(min(*learner, *twin)), float(max(*learner, *twin))],
    }


def _places(filled: int) -> list[int]:
    """The chunks that are shown: the first ones, then leaps, and the last."""
    leaps = np.linspace(SLOW, filled - 1, LEAPS) if filled > SLOW else []
    return sorted({*range(min(SLOW, filled)), *(round(place) for place in leaps)})


def _frame(trace: Trace, place: int, learner: list, twin: list) -> dict:
    width = trace.header.chunk
    start = place * width
    stop = start + min(width, TOKENS)
    end = trace.spans[stop - 1, 1]
    ahead = trace.text[end : end + 300].decode("utf-8", "ignore")
    return {
        "at": place + 1,
        "pieces": [_piece(trace, *run) for run in whole_characters(trace, start, stop)],
        "ahead": _flat(ahead),
        "drift": [_percent(share) for share in trace.drift[place]],
        "learner": learner[place],
        "twin": twin[place],
    }


def _piece(trace: Trace, a: int, b: int) -> list[str]:
    """A piece of text and its colour."""
    data = trace.text[trace.spans[a, 0] : trace.spans[b - 1, 1]]
    saved = float(trace.nll_twin[a:b].sum() - trace.nll[a:b].sum())
    return [_flat(data.decode("utf-8", "replace")), colour_of(saved)]


def _flat(text: str) -> str:
    """Text on one line, as the tape has no paragraphs."""
    return visible(text.replace("\n\n", " ¶ ").replace("\n", " "))


def _means(losses: np.ndarray) -> list[float]:
    """The mean of all losses up to each chunk."""
    means = np.cumsum(losses.astype(float)) / (1 + np.arange(len(losses)))
    return [round(float(mean), 4) for mean in means]


def _percent(share: float) -> float:
    return round(100 * float(share), 2)
