"""`ttt-lab eval needles`: RULER's needles by depth and length, and several at once."""

from typing import Annotated

from rich.table import Table

from lab.commands.options import Models, Output, finish, opening, option
from lab.commands.progress import counting
from lab.commands.tables import say
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.measure.positions import short
from lab.measure.texts import Source, TextRead
from lab.quick import quick


WINDOWS = (4, 16, 64)  # lengths of the haystacks


def needles(
    models: Models,
    /,
    tasks: Annotated[tuple[str, ...], option("TASK")] = (),
    lengths: Annotated[tuple[int, ...], option("TOKENS")] = (),
    depths: Annotated[tuple[float, ...], option("DEPTH")] = (),
    several: Annotated[tuple[int, ...], option("N")] = (),
    count: int = 8,
    seed: int = 0,
    full_to: Annotated[int | None, option("TOKENS")] = None,
    text: Source = Source(),
    output: Output = Output(),
):
    """Needles in haystacks: which are found again, where, and of which thing?

    A number in noise (s-niah-1), in prose (s-niah-2), a UUID in prose (s-niah-3), each
    at every depth of every length, then several numbers in one text, each asked for.
    Every model is asked with learning and without. Answers are kept: run the command
    again to continue.

    Args:
        models: published names, runs or paths.
        tasks: some of s-niah-1, s-niah-2, s-niah-3 (default: all).
        lengths: of the haystacks (default: 4, 16 and 64 windows of the first model).
        depths: from 0, the beginning, to 1, right before the question (default: 0,
            0.25, 0.5, 0.75, 1).
        several: numbers of needles in one text (default: 2, 4, 8; 0 = none).
        count: needles of each task, each in a text of its own.
        seed: decides the needles.
        full_to: full attention reads this many tokens (default: as trained).
    """
    from lab import checkpoints
    from lab.data import haystacks, tokenizers
    from lab.data.needles import TASKS
    from lab.evals import compare
    from lab.evals import needles as numbers
    from lab.measure import readers
    from lab.names import choose

    tasks = tuple(choose("task", task, TASKS) for task in tasks) or tuple(TASKS)
    found = readers.systems(models, full_to=full_to)
    window = checkpoints.card(models[0])["config"]["window"]
    lengths = lengths or tuple(n * window for n in quick(WINDOWS, (4,)))
    with opening(text):
        shards = text.shards(found[0].tokenizer)
    stacks = haystacks.Stacks(
        shards,
        tokenizers.load(found[0].tokenizer),
        lengths,
        depths or quick(haystacks.DEPTHS, (0.0, 1.0)),
        count=quick(count, min(count, 2)),
        seed=seed,
    )
    many = tuple(n for n in several or quick(haystacks.SEVERAL, (2,)) if n)
    cells, crowds, reaches, learning = [], [], {}, set()
    with Kept("needles", "texts") as keep:
        for one in found:
            for label, reader in one.readers.items():
                model = readers.load(reader)
                reaches[label] = model.config.reach
                learning |= {label} if reader.learning and one.learning else set()
                subject = numbers.Subject(label, model, reader.limit)
                more = _measure(subject, stacks, tasks, many, keep)
                cells, crowds = cells + more[0], crowds + more[1]
    result = numbers.Needles(
        text=about(shards, stacks),
        seed=seed,
        lengths=tuple(stacks.lengths),
        depths=tuple(stacks.depths),
        systems={one.name: one.facts for one in found},
        reaches=reaches,
        notes=tuple(compare.notes(found, stacks.lengths[-1])),
        cells=tuple(cells),
        several=tuple(crowds),
        strays=numbers.strays(cells, learning),
    )
    finish(result, "-".join(result.systems), output, show)


def _measure(subject, stacks, tasks, many, keep):
    """One reader's answers, with a progress bar over tokens."""
    from lab.evals import needles as numbers

    total, done = numbers.whole_cost(subject, stacks, tasks, many), 0
    with counting(subject.label, "tokens") as report:

        def tell(tokens: int):
            nonlocal done
            done += tokens
            report(done, total)

        return numbers.measure(subject, stacks, tasks, many, report=tell, keep=keep)


def about(shards, stacks) -> TextRead:
    """The facts on the texts that needles were hidden in."""
    return TextRead(
        corpus=shards.corpus,
        split=shards.split,
        tokenizer=shards.tokenizer,
        text_hash=shards.data_hash,
        unit="needles",
        units=stacks.sources,
        length=stacks.lengths[-1],
        passages=stacks.count,
    )


def show(result):
    """One grid for each task and reader, then what is known of several at once."""
    console = Terminal()
    for task in result.tasks:
        for label in result.labels:
            console.print(_grid(result, task, label))
    if result.several:
        console.print(_several(result))
    marks = (
        "exact: every token of the answer is the model's own first choice; after the "
        "slash, the nats that the needle saves on a token of the answer."
    )
    stars = "*: beyond the reach of attention; there frozen twins save exactly nothing."
    if result.strays:
        stars += f" They save up to {result.strays:.2e} nats: something leaks."
    say([marks, stars, *result.notes], console)


def _grid(result, task: str, label: str) -> Table:
    from lab.data.needles import TASKS

    table = Table("depth", title=f"{label}: {TASKS[task].title}, exact / nats")
    for length in result.lengths:
        table.add_column(short(length))
    cells = result.of(task, label)
    for depth in result.depths:
        row = (cells.get((length, depth)) for length in result.lengths)
        table.add_row(f"{depth:.0%}", *map(_cell, row))
    return table


def _cell(cell) -> str:
    if cell is None:
        return "not read"
    star = " *" if cell.beyond else ""
    return f"{cell.exact.mean:.0%} / {cell.nats.mean:+.2f}{star}"


def _several(result) -> Table:
    unit = result.text.passages
    table = Table("model", "needles", "tokens", "exact", "picked", "decoy answered")
    table.title = f"several at once, {unit} texts of each kind"
    for one in result.several:
        cells = (one.exact, one.picked, one.decoy)
        shares = (f"{cell.mean:.0%}" for cell in cells)
        table.add_row(one.label, str(one.many), short(one.length), *shares)
    return table
