"""A reading, or many looks, as one HTML page that opens anywhere, without a network.

The page holds plotly.js, about 5 MB, and so needs no other file.
"""

import dataclasses
import html
from collections.abc import Iterator

import plotly.graph_objects as go

from lab.plots import theme
from lab.plots.curves import drift, gain, loss_per_chunk, overview
from lab.plots.needle import recall
from lab.plots.text import coloured_text
from lab.traces import Trace
from lab.visible import visible


TEXT_TOKENS = 4_000  # of the coloured text: each token is a piece of HTML

LOOKS = {
    "gain": "Bars above zero: learning made this chunk cheaper to predict. The pink "
    "line is the mean so far; what learning is worth is where this line settles.",
    "loss": "Both lines rise and fall together, because a hard passage is hard for "
    "both. What counts is whether blue runs below orange.",
    "drift": "How far the weights that learn are from where they started. A line that "
    "shoots up means too high an inner rate; a flat one, that nothing is learned.",
    "overview": "The same drift as colour, block by block.",
    "recall": "Above: how many nats the needle saves on the answer. Once the needle "
    "has left attention's reach, what blue still saves lies in the weights. Below: the "
    "place of the answer's worst token among all guesses.",
}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 1080px; margin: 0 auto;
       padding: 1.2rem 1rem 3rem; overflow-wrap: anywhere; }
h1 { font-size: 1.45rem; line-height: 1.25; margin: .4rem 0; }
h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
p { margin: .3rem 0; } section { margin-top: 1.2rem; }
.look, footer { color: %s; font-size: .92rem; }
.beside section { min-width: 0; }
@media (min-width: 760px) {
  .beside { display: grid; gap: 0 1rem; grid-template-columns: 1fr 1fr; }
}
.lead { font-size: 1.1rem; } code { font-size: .9em; }
.learning { color: %s; font-weight: 600; } .frozen { color: %s; font-weight: 600; }
"""


def page(trace: Trace) -> str:
    """The figures of a trace, what they show, and the beginning of its text."""
    title = f"{trace.header.document} read by {trace.header.model}"
    parts = [
        f"<h1>{escaped(title)}</h1>",
        *_lead(trace),
        *_figures(trace),
        *_text(trace),
        *origin(trace),
    ]
    return _whole(title, parts)


def album(title: str, lead: str, sections: list["Section"]) -> str:
    """Many figures as one page, each with its headline, under a list of them all."""
    parts = [f"<h1>{escaped(title)}</h1>", f"<p>{escaped(lead)}</p>", "<ul>"]
    for one in sections:
        link = f'<a href="#{escaped(one.name)}">{escaped(one.name)}</a>'
        parts.append(f"<li>{link}: {escaped(one.headline)}</li>")
    parts.append("</ul>")
    script = True
    for one in sections:
        parts.append(f'<h2 id="{escaped(one.name)}">{escaped(one.name)}</h2>')
        parts.append(f'<p class="look">{escaped(one.headline)}</p>')
        parts += [f'<p class="look">{escaped(words)}</p>' for words in one.words]
        parts.append(f'<div class="{"beside" if one.beside else "below"}">')
        for part, figure in one.figures.items():
            parts.append(f"<section>{_shown(figure, f'{one.name}-{part}', script)}")
            parts.append("</section>")
            script = False
        parts.append("</div>")
    return _whole(title, parts)


@dataclasses.dataclass(frozen=True, eq=False)
class Section:
    """Part of an `album`: its name, what was found in a sentence, and its figures.

    `words`: paragraphs on how to read them. `beside`: whether figures stand side by
    side where there is room.
    """

    name: str
    headline: str
    figures: dict[str, go.Figure]
    words: tuple[str, ...] = ()
    beside: bool = False


def _whole(title: str, parts: list[str]) -> str:
    style = _STYLE % (theme.INK, theme.LEARNING, theme.FROZEN)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{style}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _lead(trace: Trace) -> Iterator[str]:
    """What was read, and what learning saved, in words."""
    header = trace.header
    yield (
        f"<p>{trace.read:,} of {header.total:,} tokens, in chunks of {header.chunk}. "
        'After each chunk the <span class="learning">learning</span> model takes a '
        "step on what it has just read; its "
        '<span class="frozen">frozen twin</span> has the same weights and never learns.'
        "</p>"
    )
    found = trace.gain_interval()
    if words := header.its_own_twin:
        told = f"{header.model} {words}: {trace.nll.mean():.4f} nats per token."
    elif found is None:
        told = f"{trace.filled} chunks are too few to say what learning saves."
    else:
        mean, half = found
        told = (
            f"Learning {'saved' if mean >= 0 else 'cost'} {abs(mean):.3f} ± {half:.3f} "
            f"nats per token over {trace.filled:,} chunks (95 %)."
        )
    yield f'<p class="lead">{escaped(told)}</p>'
    if needle := header.needle:
        yield (
            f"<p>Planted at token {needle.start:,}: “{escaped(needle.sentence)}” "
            f"Asked after each chunk: “{escaped(needle.question)} …”</p>"
        )


def _figures(trace: Trace) -> Iterator[str]:
    """Each figure as a `<div>`; plotly.js comes with the first."""
    script = True
    for name, figure in _drawn(trace):
        shown = _shown(figure, name, script)
        script = False
        yield f'<section>{shown}<p class="look">{LOOKS[name]}</p></section>'


def _shown(figure: go.Figure, name: str, script: bool) -> str:
    """A figure as a `<div>`, with plotly.js if `script`."""
    return figure.to_html(
        full_html=False,
        include_plotlyjs=script,
        default_width="100%",
        config={"displaylogo": False, "responsive": True},
        div_id=name,
    )


def _drawn(trace: Trace) -> Iterator[tuple[str, go.Figure]]:
    if trace.header.learns:
        yield "gain", gain(trace)
    yield "loss", loss_per_chunk(trace)
    if trace.header.learns:
        yield "drift", drift(trace)
        yield "overview", overview(trace)
    if trace.header.needle:
        yield "recall", recall(trace)


def _text(trace: Trace) -> Iterator[str]:
    stop = min(trace.read, TEXT_TOKENS)
    first = f", its first {stop:,} tokens" if stop < trace.read else ""
    yield (
        f"<h2>The text{first}</h2>"
        '<p class="look"><span class="learning">Blue</span>: learning made this token '
        'cheaper. <span class="frozen">Orange</span>: the frozen twin would have been '
        "better. A dotted line: a chunk begins. Rest on a token for its numbers.</p>"
    )
    yield coloured_text(trace, stop=stop)


def origin(trace: Trace) -> Iterator[str]:
    """Command, commit and hashes of a reading, as HTML."""
    known = trace.header.provenance | {"model hash": trace.header.model_hash}
    rows = (
        f"{escaped(name.replace('_', ' '))}: <code>{escaped(str(value))}</code>"
        for name, value in known.items()
        if value not in (None, "")
    )
    yield f"<footer><h2>Where these numbers come from</h2>{'<br>'.join(rows)}</footer>"


def escaped(text: str) -> str:
    """Text by anybody as HTML that shows it as it was written."""
    return html.escape(visible(text))
