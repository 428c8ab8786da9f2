"""`ttt-lab eval decompose`: a better start, or learning while reading?"""

from rich.table import Table

from lab.commands.options import (
    Model,
    Output,
    Reading,
    finish,
    read,
    systems_and_text,
)
from lab.commands.progress import counting
from lab.commands.tables import say, signed, spans
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.measure.texts import Text
from lab.quick import quick


def decompose(
    better: Model,
    than: Model,
    /,
    starts: int = 256,
    text: Text = Text(),
    reading: Reading = Reading(),
    output: Output = Output(),
):
    """How much of a gap is a better start, how much learning while reading.

    Args:
        better: a model that learns: a published name or a path.
        than: the model to compare with.
        starts: places in each document for the gap before the first update; 0: none.
    """
    from lab.evals import decompose as numbers

    (a, b), opened = systems_and_text((better, than), text, reading)
    passages = opened.passages()
    readings = read(a.readers | b.readers, passages, reading)
    result = numbers.decompose(a, b, readings, opened.about(passages))
    if places := quick(starts, min(starts, 4)):
        result = _with_starts(result, a, b, opened.shards, places)
    finish(result, f"{a.name}-{b.name}-{result.text.name}", output, show)


def _with_starts(result, a, b, shards, places: int):
    """The result with the gap before the first update, which is kept as it is read."""
    from lab.evals.decompose import with_starts

    total, done = 2 * len(shards) * places * a.chunk, 0
    with (
        Kept("starts", "documents' starts") as keep,
        counting("first chunks:", "tokens") as show_count,
    ):

        def report(tokens: int):
            nonlocal done
            done += tokens
            show_count(done, max(done, total))

        return with_starts(result, a, b, shards, places, report, keep)


def show(result):
    """Total, start and learning in each doubling of the position."""
    console, parts = Terminal(), _parts(result)
    table = Table("position", *parts)
    table.title = f"{result.text}: where the gap comes from, nats per token"
    curves = [gap.curves["doublings"] for gap in parts.values()]
    if result.starts:
        words = f"0-{curves[0].edges[1]}, at {result.places} places"
        gap, empty = signed(result.starts), [""] * (len(parts) - 2)
        table.add_row(words, gap, gap, *empty)
    for i, where in enumerate(spans(curves[0])):
        table.add_row(where, *(signed(curve.at(i)) for curve in curves))
    table.add_section()
    table.add_row("all", *(signed(gap.overall) for gap in parts.values()))
    console.print(table)
    if result.share == result.share:
        console.print(f"The better start is {result.share:.0%} of the gap.")
    say(result.notes, console)


def _parts(result) -> dict:
    better, than = result.total.better, result.total.than
    found = {
        f"{better} against {than}": result.total,
        "= better start": result.start,
        f"+ {better} learning": result.learning,
    }
    if result.rival:
        found[f"- {than} learning"] = result.rival
    return found
