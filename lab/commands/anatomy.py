"""`ttt-lab inspect anatomy`: how do fast weights change while a document is read?"""

import numpy as np
from rich.table import Table

from lab.analysis.headlines import headline as headline
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish
from lab.commands.progress import counting, waiting
from lab.commands.tables import say
from lab.commands.terminal import Terminal


def anatomy(look: Look = Look(), output: Output = Output()):
    """How the weights change: size, direction, rank, path, and where they break."""
    result = look_at(look.open())
    finish(result, result.subject.stem, output, show)


def look_at(opened: Opened):
    """The result for a model and a document that are open."""
    from lab.analysis import anatomy as numbers
    from lab.analysis import walk as walks
    from lab.data import headings

    chunks = len(opened.ids) // opened.subject.chunk
    many = min(numbers.TIMES, walks.room(opened.model))
    times = walks.spread(0, chunks, many)
    walk = opened.walk(times)
    with counting("the same tokens in a random order", "tokens") as report:
        ids = walks.shuffled(opened.ids)
        null = walks.take(opened.model, ids, times=times, report=report)
    total = min(chunks, numbers.BREAKING)
    with counting("larger rates", "chunks") as report:
        breaking = numbers.find_breaking(
            opened.model, walk, lambda done: report(done, total)
        )
    marks = headings.at_tokens(
        opened.document, opened.tokenizer, opened.ids, opened.start
    )
    with waiting("taking the changes apart, matrix by matrix"):
        return numbers.measure(
            walk,
            null,
            breaking,
            subject=opened.subject,
            layers=opened.model.config.layers,
            marks=marks,
        )


def show(result):
    """One line per matrix, text beside null; then units, path and breaking."""
    console = Terminal()
    console.print(_matrices(result))
    say(_notes(result), console)


def _matrices(result) -> Table:
    table = Table(
        "block",
        "matrix",
        "moved",
        "|W|/|W0|",
        "rank",
        "turn",
        "kept on",
        title=f"The change: {result.subject}",
        caption="text / the same tokens in a random order",
    )
    for a, b in zip(result.text, result.null, strict=True):
        both = lambda pick, form, a=a, b=b: " / ".join(
            f"{pick(m):{form}}" for m in (a, b)
        )
        table.add_row(
            str(a.block),
            a.name,
            both(lambda m: m.moved[-1], ".1%"),
            both(lambda m: m.ratio[-1], ".3f"),
            both(lambda m: m.rank[-1], ".1f"),
            both(lambda m: _mean(m.turned), "+.2f"),
            both(lambda m: m.kept_on[-1], "+.2f"),
        )
    return table


def _mean(values) -> float:
    there = [value for value in values if np.isfinite(value)]
    return float(np.mean(there)) if there else np.nan


def _notes(result) -> list[str]:
    notes = [
        "moved: |change| / |W0|, W0 the weights before reading. rank: effective rank "
        "of the change. turn: cosine of a step with the step before. kept on: cosine "
        "of the whole change with the first.",
        f"Learning saved {result.gain:+.3f} nats a token on the text and "
        f"{result.null_gain:+.3f} on the tokens in a random order.",
    ]
    for own, null in zip(result.units, result.null_units, strict=True):
        notes.append(
            f"Block {own.block}: the change is spread over {own.spread:.0f} of "
            f"{own.units} units (null {null.spread:.0f}); the {len(own.top)} that "
            f"moved most hold {sum(own.shares):.0%} of it (null "
            f"{sum(null.shares):.0%}), and {own.same} of them are also the null's."
        )
    path = result.path
    notes.append(
        f"The plane of the path shows {path.explained:.0%} of its variance, and of the "
        f"null's path {path.null_explained:.0%}."
    )
    notes.append(breaks(result.breaking))
    if len(result.times) <= result.subject.chunks:
        notes.append(
            f"Weights were compared at {len(result.times):,} times, "
            f"{result.subject.chunks / (len(result.times) - 1):.1f} chunks apart."
        )
    return notes


def breaks(found) -> str:
    """Where things break, as a sentence."""
    if np.isfinite(found.rate):
        return (
            f"On the first {found.chunks:,} chunks, learning costs more than it saves "
            f"from {found.rate:.1f} times the rate on, where |W|/|W0| is "
            f"{found.line:.2f}."
        )
    if found.loss[0] > found.frozen:
        return f"On the first {found.chunks:,} chunks, learning saves nothing."
    return (
        f"On the first {found.chunks:,} chunks, learning saves something even at "
        f"{found.rates[-1]:.0f} times the rate, where |W|/|W0| is "
        f"{found.ratio[-1]:.2f}."
    )
