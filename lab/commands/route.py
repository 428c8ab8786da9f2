"""`ttt-lab eval route`: needles asked for alone, and with the passage BM25 finds."""

import math
from typing import Annotated

from rich.table import Table

from lab.commands.needles import WINDOWS
from lab.commands.options import Model, Output, finish, opening, option
from lab.commands.progress import counting
from lab.commands.tables import say
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.measure.positions import short
from lab.measure.texts import Source
from lab.quick import quick


def route(
    model: Model = "tiny-e2e",
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
    """Needles asked for alone, and with the passage that BM25 finds put back.

    The needles, depths and lengths are those of `eval needles`. Learning and frozen
    twin are each asked alone and routed, which never mixes: what BM25 finds stands
    under "routed". Answers are kept: run the command again to continue.

    Args:
        model: a published name, a run or a path.
        tasks: some of s-niah-1, s-niah-2, s-niah-3 (default: all).
        lengths: of the haystacks (default: 4, 16 and 64 windows of the model).
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
    from lab.evals import route as numbers
    from lab.measure import readers
    from lab.names import choose

    tasks = tuple(choose("task", task, TASKS) for task in tasks) or tuple(TASKS)
    system = readers.system(model, full_to=full_to)
    window = checkpoints.card(model)["config"]["window"]
    with opening(text):
        shards = text.shards(system.tokenizer)
    stacks = haystacks.Stacks(
        shards,
        tokenizers.load(system.tokenizer),
        lengths or tuple(n * window for n in quick(WINDOWS, (16,))),
        depths or quick(haystacks.DEPTHS, (0.0, 1.0)),
        count=quick(count, min(count, 2)),
        seed=seed,
    )
    many = tuple(n for n in several or quick(haystacks.SEVERAL, (2,)) if n)
    with Kept("route", "texts") as keep:
        result = numbers.Route(*_measure(system, shards, stacks, tasks, many, keep))
    finish(result, system.name, output, show)


def _measure(system, shards, stacks, tasks, many, keep):
    """The fields of a `Route`, with a progress bar over tokens."""
    from lab.commands.needles import about
    from lab.evals import compare, needles
    from lab.evals import route as numbers
    from lab.measure import readers

    subjects = [
        needles.Subject(label, readers.load(reader), reader.limit)
        for label, reader in system.readers.items()
    ]
    model, done = subjects[0].model, 0
    total = sum(needles.whole_cost(one, stacks, tasks, many) for one in subjects)
    with counting("reading", "tokens") as report:

        def tell(tokens: int):
            nonlocal done
            done += tokens
            report(done, total)

        cells, crowds, hits, costs = numbers.measure(
            subjects, stacks, tasks, many, report=tell, keep=keep
        )
    own = {system.name, f"{system.name}{numbers.ROUTED}"} if system.learning else set()
    alone = [one for one in cells if not one.label.endswith(numbers.ROUTED)]
    found = needles.Needles(
        text=about(shards, stacks),
        seed=stacks.seed,
        lengths=tuple(stacks.lengths),
        depths=tuple(stacks.depths),
        systems={system.name: system.facts},
        reaches={cost.label: model.config.reach for cost in costs},
        notes=tuple(compare.notes([system], stacks.lengths[-1])),
        cells=tuple(cells),
        several=tuple(crowds),
        strays=needles.strays(alone, own),
    )
    return found, numbers.passage_length(model), tuple(hits), tuple(costs)


def show(result):
    """What each way finds by length, at what cost; then what is known of several."""
    from lab.evals.route import ROUTED

    console, found = Terminal(), result.found
    console.print(_by_length(result))
    if found.several:
        console.print(_several(result))
    costs = Table("model", "ms", "again", "to read", "to index")
    for one in result.costs:
        numbers = (f"{one.ms:.1f}", f"{one.again:.0f}", f"{one.reading:.0f}")
        index = f"{one.indexing:.1f}" if one.label.endswith(ROUTED) else ""
        costs.add_row(one.label, *numbers, index)
    costs.title = "what a question costs, and 1,000 tokens of text"
    console.print(costs)
    words = (
        "exact: every token of the answer is the model's own first choice; after the "
        "slash, the nats that the needle saves on a token of the answer. Means over "
        "all tasks, and over depths out of the reach of attention where there are any."
    )
    routed = (
        "routed: the passage that BM25 finds for the question stands before it. "
        "found by BM25: how often that passage holds the answer."
    )
    cost = (
        "ms: of a question, searching included; again: tokens that it reads again (a "
        f"passage has {result.passage}); to read, to index: ms for 1,000 tokens."
    )
    leak = "Out of reach, the frozen twin alone saves exactly nothing."
    if found.strays:
        leak = f"The frozen twin saves up to {found.strays:.2e} nats: something leaks."
    say([words, routed, cost, leak, *found.notes], console)


def _by_length(result) -> Table:
    found = result.found
    table = Table("model", title=f"{found.text.corpus_name}: exact / nats")
    for length in found.lengths:
        table.add_column(short(length))
    for label in found.labels:
        cells = (_cell(result, label, length) for length in found.lengths)
        table.add_row(label, *cells)
    rates = map(result.hit_rate, found.lengths)
    shares = ("" if math.isnan(rate) else f"{rate:.0%}" for rate in rates)
    table.add_row("found by BM25", *shares)
    return table


def _cell(result, label: str, length: int) -> str:
    cells = result.asked(label, length)
    if not cells:
        return "not read"
    exact = sum(one.exact.mean for one in cells) / len(cells)
    nats = sum(one.nats.mean for one in cells) / len(cells)
    return f"{exact:.0%} / {nats:+.2f}"


def _several(result) -> Table:
    """A row for each number of needles and reader: exact / decoy, by length."""
    found, unit = result.found, result.text.passages
    table = Table("needles", "model")
    table.title = f"several at once, {unit} texts: exact / decoy answered"
    for length in found.lengths:
        table.add_column(short(length))
    rows = {(one.many, one.label, one.length): one for one in found.several}
    hits = {(one.many, one.length): one.rate for one in result.hits if not one.task}
    for many in dict.fromkeys(one.many for one in found.several):
        for label in found.labels:
            at = (rows.get((many, label, length)) for length in found.lengths)
            table.add_row(str(many), label, *map(_both, at))
        at = (hits.get((many, length)) for length in found.lengths)
        shares = (f"{rate.mean:.0%}" if rate else "" for rate in at)
        table.add_row(str(many), "found by BM25", *shares, end_section=True)
    return table


def _both(one) -> str:
    return f"{one.exact.mean:.0%} / {one.decoy.mean:.0%}" if one else "not read"
