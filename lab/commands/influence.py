"""`ttt-lab inspect influence`: which chunks taught what the model knew later?"""

from typing import Annotated

import numpy as np
from rich.table import Table

from lab.analysis.headlines import headline as headline
from lab.analysis.headlines import influence_found
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish, option
from lab.commands.progress import counting
from lab.commands.tables import say, signed, span
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept


TOKENS = 12  # whose teachers are named


def influence(
    look: Look = Look(),
    fast: bool = False,
    word: Annotated[str | None, option("TEXT")] = None,
    shown: int = TOKENS,
    output: Output = Output(),
):
    """Which chunks taught what was known later: the text, read without one at a time.

    Args:
        fast: estimate from the stored updates, in one reading.
        word: name the teachers of this word (default: of what learning saved most on).
        shown: tokens whose teachers are named.
    """
    result = look_at(look.open(), fast=fast, word=word, most=shown)
    finish(result, result.subject.stem + ("-fast" if fast else ""), output, show)


def look_at(
    opened: Opened, *, fast: bool = False, word: str | None = None, most: int = TOKENS
):
    """The result for a model and a document that are open.

    **Raises** `ValueError` for a word that the text does not hold.
    """
    from lab.analysis import influence as numbers
    from lab.analysis.walk import room

    allowed = _where(opened, word) if word else None
    walk = opened.walk()
    wide, _ = numbers.plan(len(walk.rows), room(opened.model))
    chosen = numbers.choose(walk, wide, most, allowed)
    if word and not chosen:
        raise ValueError(
            f"Learning saved nothing on {word!r} where a chunk stands before it, so "
            "nobody taught it."
        )
    with (
        Kept("influence", "readings") as keep,
        counting("learning from all chunks but one", "chunks") as report,
    ):
        return numbers.measure(
            opened.model,
            walk,
            opened.other,
            subject=opened.subject,
            decode=opened.tokenizer.decode,
            fast=fast,
            chosen=chosen,
            keep=keep,
            report=report,
        )


def _where(opened: Opened, word: str) -> np.ndarray:
    """Which tokens are part of a word, `[tokens]`."""
    pieces = [opened.tokenizer.decode([int(one)]) for one in opened.ids]
    ends = np.cumsum([len(piece) for piece in pieces])
    text, found, at = "".join(pieces), np.zeros(len(pieces), bool), -1
    while (at := text.find(word, at + 1)) >= 0:
        inside = (ends > at) & (ends - [len(p) for p in pieces] < at + len(word))
        found |= inside
    if not found.any():
        raise ValueError(
            f"{word!r} is not in the text that is read; check upper and lower case, or "
            "read more of the text with --tokens."
        )
    return found


def show(result):
    """Influence by distance beside the null, then tokens with their teachers."""
    console = Terminal()
    console.print(_by_distance(result))
    say(_notes(result), console)
    for one in result.taught:
        console.print(f"\n… {one.before} [{one.token.strip()}]")
        console.print(f"  {one.gain:+.2f} nats saved; taught by", style="dim")
        for teacher in one.teachers:
            console.print(f"  {line(teacher, result.span)}")


def line(teacher, span: int) -> str:
    """A teacher of `span` chunks, which are counted from 1 as `stream` counts them."""
    first, last = teacher.chunk + 1, teacher.chunk + span
    where = f"chunk {first:,}" if span == 1 else f"chunks {first:,} to {last:,}"
    nats = "" if np.isnan(teacher.nats) else f"{teacher.nats:+.2f} nats, "
    said = "says it" if teacher.says_it else "does not say it"
    return f"{where}: {nats}estimate {teacher.estimate:+.2f}, {said}: {teacher.text}"


def _by_distance(result) -> Table:
    table = Table(
        "tokens later",
        "nats saved on the text",
        "on an unrelated text",
        "estimated",
        title=f"What one chunk teaches: {result.subject}"
        if result.span == 1
        else f"What {result.span:,} chunks teach: {result.subject}",
    )
    curves = (result.by_distance, result.null, result.estimated)
    edges = result.estimated.edges
    for i in range(len(result.estimated)):
        cells = (signed(one.at(i), 5) if one else "" for one in curves)
        table.add_row(span(*edges[i : i + 2]), *cells)
    table.caption = "a token; 95 % intervals over chunks of this document"
    return table


def _notes(result) -> list[str]:
    notes = []
    agreement = result.agreement
    if result.span > 1:
        notes.append(
            f"Spans of {result.span:,} chunks stand for chunks: the text has "
            f"{result.subject.chunks:,}."
        )
    if result.left_out and len(result.left_out) < result.spans - 1:
        notes.append(
            f"{len(result.left_out):,} of {result.spans:,} spans were left out, evenly "
            "over the text; teachers are named by the estimate."
        )
    if agreement:
        notes.append(
            f"First-order estimates: correlation {agreement.correlation:.2f} over all "
            f"pairs ({agreement.ranks:.2f} of ranks), slope {agreement.slope:.2f}; "
            f"on average {agreement.estimated:+.2f} thousandths of a nat a token, "
            f"where reading again gives {agreement.mean:+.2f}."
        )
        notes.append(
            f"{result.beyond:.0%} of pairs lie beyond the unrelated text's 95 % (5 % "
            "would by chance). The frozen twin's influences are all zero."
        )
    return notes + influence_found(result)
