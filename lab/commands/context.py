"""`ttt-lab eval context`: the same tokens with ever more text before them."""

from typing import Annotated

from rich.table import Table

from lab.commands.options import (
    Models,
    Output,
    Reading,
    finish,
    opening,
    option,
    read,
)
from lab.commands.tables import say, signed
from lab.commands.terminal import Terminal
from lab.measure.positions import short
from lab.measure.texts import Source
from lab.quick import quick
from lab.recipes.family import EIGHT


def context(
    models: Models = EIGHT,
    /,
    contexts: Annotated[tuple[int, ...], option("TOKENS")] = (),
    region: Annotated[int | None, option("TOKENS")] = None,
    text: Source = Source(),
    reading: Reading = Reading(),
    output: Output = Output(),
):
    """What more context is worth: the same tokens, in windows of 2 K to 128 K.

    Args:
        models: published names, runs or paths. The others are compared with the first.
        contexts: lengths of the windows, in tokens (default: 2, 8, 16, 32 and 128 K).
        region: scored tokens of each document (default: 131,072).
    """
    from lab.evals import context as numbers
    from lab.measure import texts
    from lab.measure.readers import systems

    found = systems(models, full_to=reading.full_to)
    with opening(text):
        shards = text.shards(found[0].tokenizer)
    lengths = contexts or quick(numbers.CONTEXTS, (128, 512))
    region = quick(numbers.REGION, 1024) if region is None else region
    passages = texts.whole(shards, limit=region)
    about = texts.describe(shards, passages, whole=True)
    one = lambda readers, windows: read(readers, windows, reading)
    result = numbers.measure(found, passages, lengths, one, about)
    finish(result, f"{result.reference}-{about.corpus_name}", output, show)


def show(result):
    """Every system's loss at every context, then the gap to the reference there."""
    console, rows = Terminal(), result.by_label()
    heads = [short(context) for context in result.contexts]
    scored = f"{sum(result.lengths):,} tokens of {len(result.lengths)}"
    words = f"{result.text.corpus}/{result.text.split}, {scored} {result.text.unit}"
    table = _table(words, *heads, "worth")
    for label, found in rows.items():
        cells = (_loss(found.get(context)) for context in result.contexts)
        worth = [score.worth for score in found.values() if score.worth]
        table.add_row(label, *cells, signed(worth[-1]) if worth else "")
    console.print(table)
    unit = result.text.unit
    table = _table(f"worse than {result.reference}, paired, ± 95 % over {unit}", *heads)
    for label, found in rows.items():
        scores = [found.get(context) for context in result.contexts]
        gaps = [score.gap if score else None for score in scores]
        if any(gaps):
            table.add_row(label, *(signed(gap) if gap else "-" for gap in gaps))
    console.print(table)
    words = "worth: what the longest context saves over the shortest."
    marks = "*: longer than the training sequences. -: not read, or not comparable."
    say([words, marks, *result.notes], console)


def _table(title: str, *heads: str) -> Table:
    """A table whose first column keeps its width.

    In a narrow terminal intervals are broken into lines, never names.
    """
    table = Table(title=title)
    table.add_column("nats per token", no_wrap=True)
    for words in heads:
        table.add_column(words)
    return table


def _loss(score) -> str:
    if score is None:
        return "-"
    return f"{score.loss.mean:.4f}" + ("*" if score.extrapolated else "")
