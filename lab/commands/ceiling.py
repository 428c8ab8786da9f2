"""`ttt-lab inspect ceiling`: what is the far context worth on this text at all?"""

from rich.table import Table

from lab.analysis.headlines import best as best_of
from lab.analysis.headlines import headline as headline
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish
from lab.commands.progress import counting, waiting
from lab.commands.tables import say, signed
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.quick import quick


CEILING = "tiny-full"


def ceiling(look: Look = Look(), ceiling: str = CEILING, output: Output = Output()):
    """What is the far context worth at all, and how much of it does learning get?

    Chunks are read with more and more context: by the model that learns, its frozen
    twin, and a model that sees all of the context. Gain below that ceiling can be
    memory; gain above is repair.

    Args:
        ceiling: a model with the same tokenizer whose attention sees far.

    **Raises** `ValueError` for a ceiling with another tokenizer, or a short text.
    """
    result = look_at(look.open(), ceiling)
    finish(result, result.subject.stem, output, show)


def look_at(opened: Opened, ceiling: str = CEILING):
    """Gain against the worth of the far context (`lab.analysis.ceiling`)."""
    import ttt_core as ttt
    from lab import checkpoints
    from lab.analysis import ceiling as numbers
    from lab.measure.readers import systems

    config = opened.model.config
    (system,) = systems((ceiling,))
    if system.tokenizer != opened.tokenizer.name:
        raise ValueError(
            f"{system.name} reads {system.tokenizer} tokens, and {opened.name} reads "
            f"{opened.tokenizer.name}: a ceiling must have the same tokenizer."
        )
    planned = numbers.plan(
        len(opened.ids), config.chunk, config.window, quick(numbers.PLACES, 2)
    )
    with waiting("opening the ceiling"):
        sees = ttt.without_learning(checkpoints.load(ceiling))
    readers = {
        numbers.LEARNER: opened.model,
        numbers.TWIN: ttt.without_learning(opened.model),
        numbers.CEILING: sees,
    }
    keys = dict.fromkeys(readers, (opened.sha256,))
    with Kept("ceiling", "passages") as keep:
        with counting("reading with more context", "tokens") as report:
            nats = numbers.measure(
                readers,
                opened.ids,
                opened.other,
                planned,
                chunk=config.chunk,
                report=report,
                keep=keep,
                keys=keys | {numbers.CEILING: (system.sha256,)},
            )
    return numbers.summary(
        opened.subject,
        planned,
        nats,
        ceiling=system.name,
        sha256=system.sha256,
        trained_to=system.trained_to,
    )


def show(result):
    """One line per context: gain, its null, and what the far text is worth."""
    table = Table(
        "context",
        "gain of learning",
        "after another text",
        f"the far text, to {result.ceiling}",
        title=f"{result.subject}: nats per token of {len(result.places)} chunks",
    )
    rows = zip(result.contexts, result.gain, result.null, result.far, strict=True)
    for context, *values in rows:
        table.add_row(f"{context:,}", *map(signed, values))
    console = Terminal()
    console.print(table)
    say(_notes(result), console)


def _notes(result) -> list[str]:
    """What the numbers mean, in sentences."""
    nearest, longest = result.contexts[0], result.contexts[-1]
    best = best_of(result)
    far, repair, context = result.far[best], result.repair[best], result.contexts[best]
    name, null = result.ceiling, result.subject.null
    notes = [
        f"After another text: all but the last {nearest:,} tokens of the context are "
        f"of {null}.",
        f"From {nearest:,} to {longest:,} tokens of context, the twin gains "
        f"{signed(result.window[-1])} and {name} {signed(result.sees[-1])}, or "
        f"{signed(result.sees_null[-1])} if the far tokens are of another text.",
    ]
    notes.append(f"{headline(result)}.")
    if far.sign > 0 and far.mean < result.text[best].low:
        notes.append(
            f"So {name} is no ceiling here: learning gets more from the far text than "
            "seeing it gives. Name a model that makes more of it with --ceiling."
        )
    elif far.sign > 0:
        notes.append(
            f"At {context:,} tokens, {far.mean:.3f} of the gain can be memory of the "
            f"far text, by what {name} makes of it; {signed(repair)} is repair."
        )
    else:
        notes.append(
            f"{name} makes no use of what the far text says here, so it gives no "
            "ceiling: name a model that does with --ceiling."
        )
    if result.trained_to and longest > result.trained_to:
        notes.append(
            f"{result.ceiling} was trained on {result.trained_to:,} tokens at a time, "
            "and reads beyond that badly."
        )
    return [*notes, "Intervals are 95 %, over chunks of this document."]
