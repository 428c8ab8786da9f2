"""`ttt-lab inspect access`: is a planted fact stored, or can it be had?"""

from typing import Annotated, Literal

import numpy as np
from rich.table import Table

from lab.analysis.headlines import headline as headline
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish, option
from lab.commands.progress import counting
from lab.commands.tables import say, signed
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.quick import quick


FACTS, GAP = 12, 256
BESIDE = "tiny-e2e-recall"


def access(
    look: Look = Look(),
    beside: Annotated[tuple[str, ...], option("MODEL [MODEL ...]")] = (BESIDE,),
    facts: int = FACTS,
    distances: Annotated[tuple[int, ...], option("TOKENS")] = (),
    gap: int = GAP,
    world: Literal["trained", "asked"] = "trained",
    seed: int = 0,
    output: Output = Output(),
):
    """Planted facts, asked for in five ways, from 64 tokens later to far beyond reach.

    Nats saved, rank, free writing, a question in other words, an older value.

    Args:
        beside: other models to ask, of the same tokenizer.
        facts: number of facts, each in a passage of its own.
        distances: where to ask, in tokens (default: 64 to 4,096, as far as the text has
            room).
        gap: tokens between the two values of a contradiction.
        world: trained: new facts in the words of the recall mixture. asked: facts in
            words that no training has seen.
        seed: decides the facts.
    """
    opened = look.open()
    knobs = {"facts": facts, "distances": distances, "gap": gap}
    knobs |= {"world": world, "seed": seed}
    result = _measure(opened, _models(opened, beside, strict=True), **knobs)
    finish(result, result.subject.stem, output, show)


def look_at(opened: Opened):
    """The result, with default options (`lab.analysis.access.Access`)."""
    return _measure(opened, _models(opened, (BESIDE,), strict=False))


def _measure(
    opened: Opened,
    models: dict,
    *,
    facts=FACTS,
    distances=(),
    gap=GAP,
    seed=0,
    world="trained",
):
    from lab.analysis import access as numbers
    from lab.data import retold
    from lab.data.facts import ASKED, TRAINED

    of_world = {"trained": TRAINED, "asked": ASKED}[world]
    gap = quick(gap, min(gap, 64))
    room = len(opened.ids)
    asked = tuple(sorted(set(distances))) or retold.fitting(
        room, of_world, opened.tokenizer, gap
    )
    planted = retold.build(
        np.concatenate([opened.ids, opened.other]),
        opened.tokenizer,
        count=quick(facts, min(facts, 2)),
        distances=asked,
        gap=gap,
        seed=seed,
        world=of_world,
        room=room,
    )
    said = lambda ids, fact: _text(opened, fact.answer) in _text(opened, ids)
    found, rows = {}, {}
    with Kept("access", "documents") as keep:
        for name, (model, _) in models.items():
            with counting(name, "documents") as report:
                found[name], rows[name] = numbers.measure(
                    model, planted, said, report=report, keep=keep
                )
    return numbers.Access(
        subject=opened.subject,
        facts=len(planted),
        world=world,
        seed=seed,
        gap=gap,
        distances=asked,
        sha256={name: sha256 for name, (_, sha256) in models.items()},
        systems=found,
        examples=tuple(_examples(opened, planted[0], asked, rows)),
    )


def _models(opened: Opened, beside: tuple[str, ...], *, strict: bool) -> dict:
    """Name -> model and hash: the one looked into, and others of its tokenizer.

    **Raises** `ValueError` for another tokenizer or a name given twice, if `strict`.
    """
    from lab import checkpoints

    found = {opened.name: (opened.model, opened.sha256)}
    for name in beside:
        card = checkpoints.card(name)
        if card["tokenizer"] != opened.tokenizer.name and strict and name != BESIDE:
            raise ValueError(
                f"{name} reads {card['tokenizer']} tokens and {opened.name} "
                f"{opened.tokenizer.name}: choose models of one tokenizer."
            )
        if card["tokenizer"] == opened.tokenizer.name and card["name"] not in found:
            found[card["name"]] = (checkpoints.load(name), card["sha256"])
    return found


def _text(opened: Opened, ids) -> str:
    return " ".join(opened.tokenizer.decode(ids).split())


def _examples(opened: Opened, fact, distances, rows):
    """What each model wrote of a fact, near and far."""
    from lab.analysis.access import Example

    for name, readers in rows.items():
        for at in sorted({0, len(distances) - 1}):
            wrote = {
                k: _text(opened, r[0]["told"].written[at]) for k, r in readers.items()
            }
            yield Example(
                model=name,
                distance=distances[at],
                told=fact.fact.told + fact.fact.answer + fact.fact.end,
                question=fact.fact.asked,
                answer=fact.fact.answer.strip(),
                learning=wrote.get("learning", ""),
                frozen=wrote["frozen"],
            )


def show(result):
    """One table per model, one line per distance, then what was written."""
    console = Terminal()
    console.print(f"{headline(result)}\n", style="bold")
    for name, known in result.systems.items():
        for reader, five in known.readers.items():
            console.print(_table(result, f"{name}, {reader}", known.reach, five))
    for one in result.examples:
        console.print(f"{one.model}, {one.distance:,} tokens after “{one.told}”")
        wrote = {"learning": one.learning, "frozen": one.frozen}
        for reader, words in wrote.items():
            if words:
                console.print(f"  {reader} writes: … {words}", soft_wrap=True)
    say(_notes(result), console)


def _table(result, title: str, reach: int | None, five) -> Table:
    table = Table(
        "after",
        "nats",
        "decoy",
        "other words",
        "place",
        "written",
        "later wins",
        title=title,
    )
    for i, distance in enumerate(result.distances):
        beyond = reach is not None and distance > reach
        table.add_row(
            f"{distance:,}{' *' if beyond else ''}",
            signed(five.nats[i], 2),
            f"{five.decoy[i].mean:+.2f}",
            signed(five.reworded[i], 2),
            f"{five.place_absent[i]:,.0f}>{five.place[i]:,.0f}",
            f"{100 * five.said[i].mean:.0f}/{five.said_decoy[i].mean:.0%}",
            signed(five.later[i], 2),
        )
    if reach is not None and result.distances[-1] > reach:
        table.caption = f"* beyond the reach of attention, {reach:,} tokens"
    return table


def _notes(result) -> list[str]:
    return [
        f"{result.facts} facts in {result.subject.document}, 95 % over facts. Nats: "
        "saved per token of the answer. Decoy: the same for a question about another "
        "thing.",
        "Place: of the answer's tokens among all guesses, without the fact > with it. "
        "Written: answers that are written freely / to the decoy too. Later wins: nats "
        "by which a value is preferred to an older one, told "
        f"{result.gap:,} tokens before it.",
    ]
