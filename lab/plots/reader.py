"""A stretch of the text to read in, coloured by what learning gained on it.

Blue: learning made it cheaper. Orange: the frozen twin would have been better. A bar
below a blue word: the word was last said beyond attention's reach, so what was saved
was in the weights. A tap, a click or the mouse shows a token's numbers.

`text.py` draws the same colours with inline styles, token by token, for a file or a
notebook; here a few classes are shared, so that a page that moves stays small.
"""

import html
import math
import re
from collections.abc import Iterator

import numpy as np

from lab.measure import again
from lab.plots import theme
from lab.traces import Trace
from lab.visible import visible


GRAINS = ("token", "sentence", "chunk")
# Mean nats per token at which a colour is full: what is longer differs less.
FULL = {"token": 2.0, "sentence": 0.8, "chunk": 0.8}
STEPS = 8
CLEAR = 0.1  # nats below which no token is marked so
_SENTENCE = re.compile(rb"(?:[.!?][\"')\]]*|\n)\s+")


def reader(
    trace: Trace,
    *,
    start: int,
    stop: int,
    by: str = "token",
    ahead: int = 0,
    words: again.Words | None = None,
    marked: int | None = None,
) -> str:
    """HTML of the tokens from `start` up to `stop`, then `ahead` bytes of text in grey.

    Args:
        by: what is coloured as one, one of `GRAINS`.
        words: of the whole text (`again.words_of`), to tell what attention cannot see.
        marked: a chunk to point at.
    """
    stop = min(stop, trace.read)
    start = max(0, min(start, stop))
    ago = np.zeros(stop - start, int)
    if words is not None:
        ago = again.ago(words, trace, start, stop)
    groups = _groups(trace, start, stop, by)
    pieces = [_piece(trace, a, b, by, ago[b - 1 - start], marked) for a, b in groups]
    here = int(trace.spans[stop - 1, 1]) if stop else 0
    unread = visible(trace.text[here : here + ahead].decode("utf-8", "ignore"))
    grey = f'<span class="ahead">{html.escape(unread)}</span>' if unread else ""
    return f'<div class="reader">{"".join(pieces)}{grey}</div>{_STYLE}'


def _groups(trace: Trace, start: int, stop: int, by: str) -> Iterator[tuple[int, int]]:
    """Runs of tokens `a:b` that are coloured as one, and end between characters."""
    first = start
    for token in range(start, stop):
        end = trace.spans[token, 1]
        inside = end < len(trace.text) and trace.text[end] & 0xC0 == 0x80
        if token == stop - 1 or not inside and _ends(trace, first, token, by):
            yield first, token + 1
            first = token + 1


def _ends(trace: Trace, first: int, token: int, by: str) -> bool:
    if by == "token" or (token + 1) // trace.header.chunk > first // trace.header.chunk:
        return True
    if by == "chunk":
        return False
    here = trace.spans[token]
    # The sign that ends a sentence may be one token, the space after it another.
    shown = trace.text[max(trace.spans[first, 0], here[0] - 2) : here[1] + 1]
    return bool(_SENTENCE.search(shown))


def _piece(trace: Trace, a: int, b: int, by: str, ago: int, marked: int | None) -> str:
    shown = trace.text[trace.spans[a, 0] : trace.spans[b - 1, 1]].decode(
        "utf-8", "replace"
    )
    nll, twin = float(trace.nll[a:b].sum()), float(trace.nll_twin[a:b].sum())
    gain = twin - nll
    names = [_shade(gain / (1 if by == "token" else b - a), by)]
    reach = again.reach_of(trace)
    far = reach is not None and ago > reach
    if by == "token" and far and gain > CLEAR:
        names.append("far")
    names += _places(trace, a, b, marked)
    told = html.escape(_told(nll, twin, b - a, by, ago, far))
    kind = " ".join(filter(None, names))
    return (
        f'<span class="{kind}" tabindex="-1" data-n="{told}">'
        f"{html.escape(visible(shown))}</span>"
    )


def _told(nll: float, twin: float, tokens: int, by: str, ago: int, far: bool) -> str:
    """The numbers of a piece of text, in a few words."""
    if not math.isfinite(twin):
        return f"{nll:.2f} nats with learning; the twin is not here yet"
    unit = "nats" if by == "token" else "nats per token"
    size = 1 if by == "token" else tokens
    words = f"{nll / size:.2f} {unit} with learning, {twin / size:.2f} without: "
    words += f"{(twin - nll) / size:+.2f} saved"
    if by == "token" and ago:
        where = "beyond attention's reach" if far else "within reach"
        words += f"; said {ago:,} tokens ago, {where}"
    return words


def _places(trace: Trace, a: int, b: int, marked: int | None) -> list[str]:
    """Classes of a piece's place: at a chunk's start, in the needle, pointed at."""
    chunk, needle = trace.header.chunk, trace.header.needle
    found = ["cut"] if chunk > 1 and -a % chunk < b - a else []
    found += ["planted"] if needle and a < needle.stop and b > needle.start else []
    return found + (["here"] if marked is not None and a // chunk == marked else [])


def _shade(gain: float, by: str) -> str:
    """The class of a colour: b1 to b8 for nats saved, o1 to o8 for nats lost."""
    if not math.isfinite(gain):
        return ""
    strength = math.ceil(STEPS * min(abs(gain) / FULL[by], 1) - 0.5)
    return f"{'b' if gain > 0 else 'o'}{strength}" if strength else ""


def _shades() -> str:
    rules = []
    for sign, colour in (("b", theme.LEARNING), ("o", theme.FROZEN)):
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        for step in range(1, STEPS + 1):
            strength = 0.75 * step / STEPS
            rules.append(
                f".reader .{sign}{step}{{background:rgba({red},{green},{blue},"
                f"{strength:.2f})}}"
            )
    return "".join(rules)


# The numbers of a token that has the focus or the mouse stand just below its line, as
# wide as the text: so they are never cut off, whatever the width of the screen.
_STYLE = (
    "<style>.reader{position:relative;white-space:pre-wrap;overflow-wrap:anywhere;"
    "line-height:1.75;font-family:Georgia,serif;font-size:1rem}"
    ".reader span{outline:none;cursor:default}.reader .ahead{opacity:.38}"
    f".reader .cut{{border-left:2px dotted {theme.INK}}}"
    f".reader .planted{{border-bottom:2px solid {theme.SUMMARY}}}"
    ".reader .far{box-shadow:inset 0 -2px 0 currentColor}"
    f".reader .here{{text-decoration:underline dotted {theme.SUMMARY} 2px}}"
    ".reader [data-n]:hover::after,.reader [data-n]:focus::after{content:attr(data-n);"
    "position:absolute;left:0;right:0;margin-top:1.8em;z-index:9;pointer-events:none;"
    "width:fit-content;max-width:100%;padding:2px 8px;border-radius:6px;color:#fff;"
    "background:#333a44;font:13px/1.5 sans-serif;text-indent:0;white-space:normal}"
    f"{_shades()}</style>"
)


def legend() -> str:
    """HTML that says what the colours mean, with a swatch of each, on one line."""
    swatch = '<span class="{0}">&nbsp;{1}&nbsp;</span>'
    parts = (
        ("b6", "learning saved"),
        ("b6 far", "saved, though out of attention's reach"),
    )
    parts += (("o6", "learning cost"),)
    words = " ".join(swatch.format(*part) for part in parts)
    return f'<div class="reader" style="font-size:.85rem">{words}</div>'
