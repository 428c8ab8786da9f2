"""The text itself, coloured token by token by what learning gained on it.

Blue: learning made this token cheaper. Orange: the frozen twin would have been better.
The colour is full at `FULL` nats. Hovering over a token shows its numbers. A byte-level
token may end inside a character: such tokens are shown together, and their nats added.
"""

import html
import math
from collections.abc import Iterator

import numpy as np

from lab.plots import theme
from lab.traces import Trace
from lab.visible import visible


FULL = 2.0
AHEAD = 400


def coloured_text(
    trace: Trace, *, start: int = 0, stop: int | None = None, ahead: int = AHEAD
) -> str:
    """HTML of the tokens from `start` up to `stop`, followed by unread text in grey.

    `start`, `stop`: tokens; `stop=None` is the last token read. `ahead`: bytes of text
    shown after `stop`. The result is one `<div>` with inline styles only; all text in
    it is escaped, and control characters are visible. A dotted line stands where a
    chunk begins, that is, where the weights changed.
    """
    stop = trace.read if stop is None else min(stop, trace.read)
    start = max(0, min(start, stop))
    pieces = [_piece(trace, a, b) for a, b in whole_characters(trace, start, stop)]
    here = trace.spans[stop - 1, 1] if stop else 0
    unread = visible(trace.text[here : here + ahead].decode("utf-8", "ignore"))
    grey = f'<span style="opacity:.38">{html.escape(unread)}</span>' if unread else ""
    return (
        '<div style="white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.75;'
        f'font-family:Georgia,serif;font-size:1rem">{"".join(pieces)}{grey}</div>'
    )


def whole_characters(trace: Trace, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Runs of tokens `a:b` that together end between two characters."""
    first = start
    for token in range(start, stop):
        end = trace.spans[token, 1]
        inside = end < len(trace.text) and trace.text[end] & 0xC0 == 0x80
        if not inside or token == stop - 1:
            yield first, token + 1
            first = token + 1


def _piece(trace: Trace, a: int, b: int) -> str:
    data = trace.text[trace.spans[a, 0] : trace.spans[b - 1, 1]]
    shown = data.decode("utf-8", "replace")
    nll, twin = float(trace.nll[a:b].sum()), float(trace.nll_twin[a:b].sum())
    colour = colour_of(twin - nll)
    style = (f"background:{colour};" if colour else "") + _borders(trace, a, b)
    return (
        f'<span style="{style}" title="{html.escape(_hover(shown, nll, twin))}">'
        f"{html.escape(visible(shown))}</span>"
    )


def _hover(shown: str, nll: float, twin: float) -> str:
    word = f"“{visible(shown)}”".replace("\n", "\u21b5")
    if not math.isfinite(twin):
        return f"{word}: {nll:.2f} nats with learning; the twin is not here yet"
    return (
        f"{word}: {nll:.2f} nats with learning, {twin:.2f} without: "
        f"learning saved {twin - nll:+.2f}"
    )


def colour_of(gain: float) -> str:
    """The colour of what learning gained on a token; "" if this is not known yet."""
    if not math.isfinite(gain):
        return ""
    red, green, blue = _rgb(theme.LEARNING if gain > 0 else theme.FROZEN)
    strength = float(np.clip(abs(gain) / FULL, 0, 1))
    return f"rgba({red},{green},{blue},{0.75 * strength:.2f})"


def _borders(trace: Trace, a: int, b: int) -> str:
    style = ""
    if any(token % trace.header.chunk == 0 for token in range(a, b)):
        style += f"border-left:2px dotted {theme.INK};"
    needle = trace.header.needle
    if needle and a < needle.stop and b > needle.start:
        style += f"border-bottom:2px solid {theme.SUMMARY};"
    return style


def _rgb(colour: str) -> tuple[int, int, int]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
