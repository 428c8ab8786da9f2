"""`ttt-lab eval recall`: held-out facts, asked for at growing distances."""

from typing import Annotated, Literal

from rich.table import Table

from lab.commands.options import Models, Output, finish, opening, option
from lab.commands.progress import counting
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.measure.texts import Source, TextRead
from lab.quick import quick


def recall(
    models: Models,
    /,
    facts: int = 24,
    distances: Annotated[tuple[int, ...], option("TOKENS")] = (),
    world: Literal["asked", "trained"] = "asked",
    seed: int = 0,
    text: Source = Source(),
    output: Output = Output(),
):
    """How much of a fact is left 64 to 16 K tokens later, beside the frozen twin.

    Args:
        models: published names, runs or paths.
        facts: number of facts, each in a passage of its own.
        distances: where to ask, in tokens (default: 64 to 16,384, doubling).
        world: asked: facts in words that no training has seen. trained: new facts in
            the words of the recall mixture.
        seed: decides the facts.
    """
    from lab.data import questions, tokenizers
    from lab.data.facts import ASKED, TRAINED
    from lab.evals import recall as numbers
    from lab.measure.readers import systems

    found = systems(models)
    with opening(text):
        shards = text.shards(found[0].tokenizer)
    built = questions.build(
        shards,
        tokenizers.load(found[0].tokenizer),
        count=quick(facts, min(facts, 3)),
        distances=distances or quick(None, (200, 300)),
        seed=seed,
        world={"asked": ASKED, "trained": TRAINED}[world],
    )
    about = TextRead(
        corpus=shards.corpus,
        split=shards.split,
        tokenizer=shards.tokenizer,
        text_hash=shards.data_hash,
        unit="facts",
        units=tuple(fact.relation for fact in built.facts),
        length=max(map(len, built.present)),
        passages=len(built.facts),
    )
    with Kept("recall", "answers") as keep:
        pairs = zip(found, models, strict=True)
        memories = {one.name: _measure(one.name, m, built, keep) for one, m in pairs}
    result = numbers.Recall(
        text=about,
        world=world,
        seed=seed,
        sha256={one.name: one.sha256 for one in found},
        systems=memories,
    )
    stem = "-".join(result.systems)
    finish(result, stem if world == "asked" else f"{stem}-trained", output, show)


def _measure(name: str, model: str, built, keep):
    from lab import checkpoints
    from lab.evals.recall import measure_recall, memory

    with counting(name, "readings") as report:
        knobs = {"report": report, "keep": keep}
        asked = measure_recall(checkpoints.load(model), built, **knobs)
    return memory(asked)


def show(result):
    """One table per model, one line per distance: nats with intervals, then shares."""
    for name, memory in result.systems.items():
        Terminal().print(_table(name, memory))


def _table(name: str, memory) -> Table:
    readers = memory.readers
    both = " / ".join(readers)
    table = Table(
        "tokens behind",
        *(f"nats recalled, {kind}" for kind in readers),
        f"for a decoy, {next(iter(readers))}",
        f"first choice, {both}",
        f"whole answers, {both}",
        title=f"{name}: {memory.facts} held-out facts, 95 % intervals over facts",
    )
    first, *_ = readers.values()
    for i, distance in enumerate(memory.distances):
        beyond = memory.reach is not None and distance > memory.reach
        table.add_row(
            f"{distance:,}{' *' if beyond else ''}",
            *(_nats(known.nats[i]) for known in readers.values()),
            _nats(first.decoy[i]),
            " / ".join(f"{known.first[i].mean:.0%}" for known in readers.values()),
            " / ".join(f"{known.whole[i].mean:.0%}" for known in readers.values()),
        )
    if memory.reach is not None:
        table.caption = f"* beyond the reach of attention, {memory.reach:,} tokens"
    return table


def _nats(value) -> str:
    return f"{value.mean:+.3f}" + (f" ± {value.half:.3f}" if value.is_known else "")
