"""A reading that plays in one HTML page: no server, no network, nothing to install.

The page holds plotly.js, the figures and the text, and moves through them: play, pause,
one chunk, a scrubber, the keyboard. All numbers and words are made here, for every
chunk; the page's script (`playable.js`) only shows as many of them as have been read.
What people wrote comes as JSON, never as HTML, and the page's own policy forbids every
script but its two, and every request.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from lab.measure.intervals import batch_means
from lab.plots import theme
from lab.plots.coarse import coarse
from lab.plots.curves import drift, gain, loss_per_chunk
from lab.plots.events import chapters_read
from lab.plots.needle import recall
from lab.plots.page import LOOKS, escaped, origin
from lab.plots.text import FULL, whole_characters
from lab.traces import Trace
from lab.visible import visible


# What a page holds at most, so that it stays under 6 MB: plotly.js has 4.8 of them.
MOST_TOKENS = 40_960
MOST_BYTES = 250_000  # of text
MOST_CHUNKS = 1_024  # each has words of its own
MOST_EVENTS = 40  # marks on the time line
AHEAD = 2_000  # bytes of text shown after the last token
_HERE = Path(__file__).parent


def playable(trace: Trace) -> str:
    """The page. A reading too long for one page is shown up to where it fits.

    **Raises** `ValueError` for a reading that has no whole chunk yet.
    """
    if not trace.filled:
        raise ValueError("No chunk was read to its end, so there is nothing to play.")
    whole, trace = trace, trace.upto(_fitting(trace))
    name = f"{trace.header.document} read by {trace.header.model}"
    scripts = [get_plotlyjs(), (_HERE / "playable.js").read_text("utf-8")]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            mark(whole),
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(name)}</title><style>{_style()}</style></head><body>",
            f"<h1>{escaped(name)}</h1>{_lead(trace, whole)}{_CONTROLS}",
            f'<main id="panels">{_TEXT}{"".join(_places(trace))}</main>',
            *origin(whole),
            f'<script type="application/json" id="reading">{_json(trace)}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>\n",
        ]
    )


def mark(trace: Trace) -> str:
    """A line near the top of the page that says which reading it holds."""
    known = json.dumps(trace.header.identity, sort_keys=True).encode()
    which = hashlib.sha256(known).hexdigest()[:16]
    return f'<meta name="generator" content="ttt-lab export {which}">'


def told_gain(trace: Trace) -> list[str]:
    """What learning has saved after each chunk, from none to all, in words."""
    if words := trace.header.its_own_twin:
        return [f"{trace.header.model} {words}"] * (trace.filled + 1)
    return [_saved(trace.gain[:chunks]) for chunks in range(trace.filled + 1)]


def told_drift(trace: Trace) -> list[str]:
    """How far the fast weights have moved after each chunk, in words."""
    if not trace.header.learns:
        return [""] * (trace.filled + 1)
    far = np.concatenate([[0.0], trace.drift.mean(axis=1)])
    return [f"the fast weights have moved by {share:.1%}" for share in far]


def told_recall(trace: Trace) -> list[str]:
    """What the needle is worth to its answer after each chunk, in words."""
    if trace.header.needle is None:
        return [""] * (trace.filled + 1)
    nats = (trace.recall(learning=True), trace.recall(learning=False))
    known = zip(*nats, trace.worst_rank(0).tolist(), strict=True)
    return ["the needle is still ahead", *(_recalled(*one) for one in known)]


def _recalled(learning: float, frozen: float, rank: int) -> str:
    if not np.isfinite([learning, frozen]).all():
        return "the needle is still ahead"
    place = "first" if rank == 0 else f"number {1 + rank:,} at worst"
    worth = f"{learning:+.2f} nats to its answer, {frozen:+.2f} without learning"
    return f"the needle is worth {worth}; among all guesses the answer is {place}"


def _saved(gains: np.ndarray) -> str:
    found = batch_means(gains) if len(gains) else None
    if found is None or not found.is_known:
        return "too early to say what learning saves"
    verb = "saves" if found.mean >= 0 else "costs"
    size = f"{abs(found.mean):.3f} ± {found.half:.3f} nats per token"
    doubt = "" if abs(found.mean) > found.half else ", perhaps by chance"
    return f"learning {verb} {size}{doubt}"


def _fitting(trace: Trace) -> int:
    """How many chunks one page can hold."""
    starts = trace.spans[:, 0]
    tokens = min(MOST_TOKENS, int(np.searchsorted(starts, starts[0] + MOST_BYTES)))
    return max(1, min(trace.filled, MOST_CHUNKS, tokens // trace.header.chunk))


def _json(trace: Trace) -> str:
    """The reading for the script; no `<` in it can end the element that holds it."""
    data = {
        "chunk": trace.header.chunk,
        "chunks": trace.filled,
        "read": trace.read,
        "full": FULL,
        "colours": {"learning": theme.LEARNING, "frozen": theme.FROZEN},
        "gain": told_gain(trace),
        "drift": told_drift(trace),
        "recall": told_recall(trace),
        "events": [
            {"at": event.token / trace.header.chunk, "label": visible(event.label)}
            for event in [*trace.header.events, *chapters_read(trace)][:MOST_EVENTS]
        ],
        "figures": {name: _plain(fig.to_plotly_json()) for name, fig in _drawn(trace)},
        **_text(trace),
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace(
        "<", "\\u003c"
    )


def _text(trace: Trace) -> dict:
    """The text in pieces, as the script cuts it, and what each piece has cost."""
    runs = list(whole_characters(trace, 0, trace.read))
    words = [_words(trace, a, b) for a, b in runs]
    needle, end = trace.header.needle, trace.spans[-1, 1]
    inside = lambda a, b: needle is not None and a < needle.stop and b > needle.start
    sums = lambda nll: np.add.reduceat(nll.astype(float), [a for a, _ in runs])
    return {
        "text": "".join(words),
        "lengths": [len(word.encode("utf-16-le")) // 2 for word in words],
        "firsts": _firsts([a // trace.header.chunk for a, _ in runs]),
        "nll": _hundredths(sums(trace.nll)),
        "twin": _hundredths(sums(trace.nll_twin)),
        "planted": [i for i, run in enumerate(runs) if inside(*run)],
        "ahead": visible(trace.text[end : end + AHEAD].decode("utf-8", "ignore")),
    }


def _firsts(chunks: list[int]) -> list[int]:
    """The first piece of each chunk, given each piece's chunk."""
    return np.searchsorted(chunks, range(1 + chunks[-1])).tolist()


def _words(trace: Trace, a: int, b: int) -> str:
    data = trace.text[trace.spans[a, 0] : trace.spans[b - 1, 1]]
    return visible(data.decode("utf-8", "replace"))


def _hundredths(nats: np.ndarray) -> list[int | None]:
    """Nats as whole hundredths, which take half the room; None = not measured."""
    return [round(100 * x) if np.isfinite(x) else None for x in nats.tolist()]


def _drawn(trace: Trace) -> Iterator[tuple[str, go.Figure]]:
    """The figures, whole; the script covers what has not been read."""
    few, extent = coarse(trace), trace.filled * trace.header.chunk
    if trace.header.learns:
        yield "gain", gain(few, extent=extent)
    yield "loss", loss_per_chunk(few, extent=extent)
    if trace.header.needle:
        yield "recall", recall(few, extent=extent)
    if trace.header.learns:
        yield "drift", drift(few, extent=extent)


def _plain(value):
    """JSON of a figure: lists of short numbers, and null for what was not measured."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 4) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _places(trace: Trace) -> Iterator[str]:
    """Where the script draws: a headline, a place and a word for each figure."""
    for name, figure in _drawn(trace):
        yield (
            f'<section id="panel-{name}"><h2>{figure.layout.title.text}</h2>'
            f'<div class="figure" id="figure-{name}"></div>'
            f'<p class="look">{LOOKS[name]}</p></section>'
        )


def _lead(trace: Trace, whole: Trace) -> str:
    header = trace.header
    parts = [
        f"<p>A language model reads {header.total:,} tokens in chunks of "
        f"{header.chunk}. After each chunk the "
        '<span class="learning">learner</span> takes one gradient step on what it has '
        'just read; its <span class="frozen">frozen twin</span> starts with the same '
        "weights and never learns.</p>"
    ]
    if needle := header.needle:
        parts.append(
            f"<p>Planted at token {needle.start:,}: “{escaped(needle.sentence)}” "
            f"Asked after each chunk: “{escaped(needle.question)} …”</p>"
        )
    if trace.filled < whole.filled:
        parts.append(
            f"<p>This page holds the first {trace.filled * header.chunk:,} of the "
            f"{whole.read:,} tokens that were read: more would not fit.</p>"
        )
    return "".join(parts)


def _policy(scripts: list[str]) -> str:
    """Two scripts may run, and nothing may be asked for anywhere."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; form-action 'none'; base-uri 'none'"
    )


def _style() -> str:
    colours = {
        "INK": theme.INK,
        "LEARNING": theme.LEARNING,
        "FROZEN": theme.FROZEN,
        "SUMMARY": theme.SUMMARY,
    }
    style = (_HERE / "playable.css").read_text("utf-8")
    for name, colour in colours.items():
        style = style.replace(f"var(--{name})", colour)
    return style


_CONTROLS = """
<div id="bar">
<div id="controls" role="group" aria-label="Transport">
<button id="reset" type="button" title="Back to the first token (Home)">Reset</button>
<button id="play" type="button" title="Space">Play</button>
<button id="one" type="button" title="Read on (right arrow)">One chunk</button>
<label>Speed <select id="speed"><option value="1">1×</option>
<option value="4" selected>4×</option><option value="16">16×</option></select></label>
</div>
<div id="line"><div id="events" aria-hidden="true"></div>
<input id="scrubber" type="range" min="0" step="1" aria-label="Chunk"></div>
</div>
<p id="headline"></p>
"""
_TEXT = """
<section id="panel-text"><h2>The text, token by token</h2>
<div id="text" tabindex="0" aria-label="The text"></div>
<p id="token">Rest on a token, or tap it, for its numbers.</p>
<p class="look"><span class="learning">Blue</span>: learning made this token cheaper.
<span class="frozen">Orange</span>: the frozen twin would have been better. A dotted
line: a chunk begins. A click on a figure goes there.</p></section>
"""
