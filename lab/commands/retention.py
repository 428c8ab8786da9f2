"""`ttt-lab inspect retention`: what each chunk left in the weights."""

import numpy as np
from rich.table import Table

from lab.analysis.headlines import headline as headline
from lab.analysis.headlines import percent
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish
from lab.commands.progress import counting
from lab.commands.tables import say, signed
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept


CHARACTERS = 60  # of a chunk, kept to be shown


def retention(look: Look = Look(), output: Output = Output()):
    """What each chunk left in the weights, and for how long.

    After each chunk, chunks are read again with an empty window and the weights of that
    time: nats gained over the weights before reading. Chunks that were not yet read
    are the null.
    """
    result = look_at(look.open())
    finish(result, result.subject.stem, output, show)


def look_at(opened: Opened):
    """The map of what was kept of each chunk (`lab.analysis.retention`)."""
    from lab.analysis import retention as numbers
    from lab.analysis.walk import cut

    config, subject = opened.model.config, opened.subject
    planned = numbers.plan(
        subject.chunks, config.chunk, len(opened.later) // config.chunk
    )
    document = np.concatenate([opened.ids, opened.later])
    most = max([*planned.rows, *planned.later]) + 1
    rows = cut(document[: most * config.chunk], config)
    other = cut(opened.other, config)[1 : 1 + numbers.NEVER]
    rows = np.concatenate([rows[[*planned.rows, *planned.later]], other])
    with Kept("retention", "times") as keep:
        key = (opened.sha256, subject.text_hash)
        with counting("reading, and reading again", "times") as report:
            found = numbers.gains(
                opened.model, opened.ids, rows, planned.times, report, keep, key
            )
    words = tuple(_begins(opened, row) for row in planned.rows)
    return numbers.summary(subject, planned, found, words)


def _begins(opened: Opened, row: int) -> str:
    """How a chunk begins, on one line."""
    chunk = opened.model.config.chunk
    text = opened.tokenizer.decode(opened.ids[row * chunk : (row + 1) * chunk].tolist())
    return " ".join(text.split())[:CHARACTERS]


def show(result):
    """One line per age: chunks that were read, chunks ahead, and the difference."""
    chunk = result.subject.chunk
    table = Table(
        "read so many tokens ago",
        "gain when read again",
        "of chunks as far ahead",
        "memory",
        title=f"{result.subject}: nats per token gained over the weights before",
    )
    edges = result.own.edges
    for i in range(len(result.own)):
        low, high = ((edge - 1) * chunk for edge in edges[i : i + 2])
        parts = (result.own, result.ahead, result.memory)
        table.add_row(f"{low:,} to {high:,}", *(signed(p.at(i)) for p in parts))
    console = Terminal()
    console.print(table)
    say(_notes(result), console)


def _notes(result) -> list[str]:
    """What the numbers mean, in sentences."""
    control = {
        "later": "chunks of the document that were never read",
        "other": result.subject.null,
    }[result.control]
    notes = [
        "Memory: what chunks that were read gain beyond chunks that lie as far ahead, "
        "not yet read.",
        f"Reading a chunk gains {signed(result.step)} on it, and "
        f"{signed(result.others)} on a chunk that is not yet read.",
        f"{percent(result.entered)} of the chunks entered at once (beyond 97.5 % of "
        "what one step does to unread chunks).",
    ]
    if result.kept.novels:
        notes.append(
            f"At the end {percent(result.kept)} of those keep half or more of it, "
            f"beyond what was gained on {control}."
        )
    if np.isfinite(result.other[-1]):
        notes.append(
            f"On the unrelated {result.subject.null}, the last weights gain "
            f"{result.other[-1]:+.3f}."
        )
    fewer = len(result.rows) < result.subject.chunks
    if fewer:
        notes.append(
            f"Read again: {len(result.rows):,} of {result.subject.chunks:,} chunks at "
            f"{len(result.times):,} times, spread over the text."
        )
    return [*notes, "Intervals are 95 %, over chunks of this document."]
