"""Shared by `ask` and `generate`: both twins read a text first, then show theirs.

Two texts stand side by side in a terminal and grow as they are written. In a file, a
pipe or a narrow terminal they follow each other, plain.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lab import memories, traces
from lab.commands.progress import Bar
from lab.commands.terminal import Terminal
from lab.data import documents
from lab.plots import theme
from lab.reading.pair import FROZEN, LEARNING, Pair
from lab.visible import visible


NOTHING = "(nothing: the text ended at once)"
NARROW = 60  # columns of a terminal that has no room for two texts
STYLES = {LEARNING: theme.LEARNING, FROZEN: theme.FROZEN}


def open_text(document: str) -> tuple[str, traces.Needle | None]:
    """The text of a document, or the one that a trace recorded, with its needle."""
    if Path(document).suffix == ".npz":
        trace = traces.load(Path(document))
        return trace.text.decode("utf-8", "replace"), trace.header.needle
    return documents.load(document).text, None


def opened(model: str, memory: str | None, alpha: float) -> Pair:
    """The twins; with a memory, a line on stderr says what the learner remembers.

    **Raises** what `memories.load` raises.
    """
    if memory is None:
        return Pair(model)
    card = memories.open_memory(memory).card
    pair = Pair(model, memory=memory, alpha=alpha)
    much = "" if alpha == 1 else f"{alpha:g} times "
    chunks = f" ({card.chunks:,} chunks)" if card.chunks else ""
    words = (
        f"{pair.loaded.name} remembers {much}{card.title}{chunks}; its twin nothing."
    )
    Terminal(error=True).print(words, style="dim", soft_wrap=True)
    return pair


def read_first(pair: Pair, text: str, *, most: int | None, later: int):
    """Both twins read a text, or its first `most` tokens; progress goes to stderr.

    `later`: tokens that they will be given after it.

    **Raises** `ValueError` for `most < 1`.
    """
    if most is not None and most < 1:
        raise ValueError(f"--read must be at least 1 token: got {most}.")
    ids = np.asarray(pair.tokenizer.encode(text), np.int32)[:most]
    pair.make_room(len(ids) + later)
    if not len(ids):
        return
    console = Terminal(error=True)
    with Bar(len(ids), console) as bar:
        say = lambda done: bar.show(done, "reading", f"{done:,} of {len(ids):,} tokens")
        pair.read(ids, say)
    steps = pair.sides[next(iter(pair.sides))].steps
    learned = f", {steps:,} inner steps" if len(pair.sides) > 1 else ", never learns"
    words = f"{pair.loaded.name}: {len(ids):,} tokens read{learned}."
    console.print(words, style="dim", soft_wrap=True)


def show(pieces: dict[str, Iterator[str]]) -> dict[str, str]:
    """Show texts as their pieces come; returns them whole, by label.

    Control characters are made visible.
    """
    console = Terminal()
    if console.is_terminal and (console.width >= NARROW or len(pieces) == 1):
        return _side_by_side(pieces, console)
    return {k: _plain(k, parts, sys.stdout) for k, parts in pieces.items()}


def _plain(label: str, pieces: Iterator[str], out: TextIO) -> str:
    text = ""
    print(f"{label}:", file=out, flush=True)
    for piece in pieces:
        out.write(visible(piece if text else piece.lstrip()))
        out.flush()
        text += piece if text else piece.lstrip()
    if not text:
        out.write(NOTHING)
    print("\n", file=out, flush=True)
    return text


def _side_by_side(
    pieces: dict[str, Iterator[str]], console: Terminal
) -> dict[str, str]:
    """The texts grow in turn; while they grow, as much is shown as the screen holds."""
    texts, waiting = dict.fromkeys(pieces, ""), dict(pieces)
    with Live(console=console, refresh_per_second=12) as live:
        while waiting:
            for label in list(waiting):
                piece = next(waiting[label], None)
                if piece is None:
                    del waiting[label]
                texts[label] += piece or ""
            live.update(_table(texts, console, rows=console.height - 3))
        whole = {k: said if said.strip() else NOTHING for k, said in texts.items()}
        live.update(_table(whole, console))
    return texts


def _table(texts: dict[str, str], console: Terminal, rows: int | None = None) -> Table:
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0))
    width = console.width // len(texts) - 2
    for label in texts:
        head = Text(label, style=f"bold {STYLES.get(label, '')}".strip())
        table.add_column(head, ratio=1, vertical="top", width=width)
    cells = (_last_lines(text, console, width, rows) for text in texts.values())
    table.add_row(*cells)
    return table


def _last_lines(text: str, console: Terminal, width: int, rows: int | None) -> Text:
    shown = Text(visible(text.lstrip()), overflow="fold")
    lines = shown.wrap(console, width)
    return Text("\n").join(lines[-rows:] if rows else lines)
