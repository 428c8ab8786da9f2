"""`ttt-lab eval recall`: held-out facts, asked for ever farther behind them."""

from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tyro.conf import Positional, arg

from lab.commands.compare import finish
from lab.quick import quick


def recall(
    models: Positional[tuple[str, ...]],
    /,
    corpus: str = "eltec-eng",
    split: str = "val",
    facts: int = 24,
    distances: Annotated[tuple[int, ...], arg(metavar="TOKENS")] = (),
    world: Literal["asked", "trained"] = "asked",
    seed: int = 0,
    figures: Path | None = None,
    publish: bool = False,
):
    """How much of a fact is left, 64 to 16 K tokens behind it, beside the frozen twin.

    Args:
        models: published names or paths.
        corpus: documents that the facts are told in.
        split: train, val or all.
        facts: how many, each in a passage of its own.
        distances: at which to ask, in tokens (default: 64 to 16,384, doubling).
        world: asked: in words that no training has seen. trained: in those of the
            recall mixture, with new facts.
        seed: decides the facts.
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """
    from lab.data import questions, shards, tokenizers
    from lab.data.facts import ASKED, TRAINED
    from lab.measure.readers import systems

    found = systems(models)
    tokenizer = tokenizers.load(found[0].tokenizer)
    opened = shards.open(corpus, tokenizer, split)
    built = questions.build(
        opened,
        tokenizer,
        count=quick(facts, min(facts, 3)),
        distances=distances or quick(None, (200, 300)),
        seed=seed,
        world={"asked": ASKED, "trained": TRAINED}[world],
    )
    result = {
        "corpus": corpus,
        "split": split,
        "tokenizer": found[0].tokenizer,
        "text_hash": opened.data_hash,
        "world": world,
        "seed": seed,
        "systems": {
            one.name: _measure(one, model, built)
            for one, model in zip(found, models, strict=True)
        },
    }
    for name, row in result["systems"].items():
        Console().print(_table(name, row))
    stem = "-".join(result["systems"])
    finish(
        "recall",
        stem if world == "asked" else f"{stem}-trained",
        result,
        figures,
        publish,
    )


def _measure(one, model: str, built) -> dict:
    from lab import checkpoints
    from lab.evals.recall import as_json, measure_recall

    with Progress(transient=True) as progress:
        task = progress.add_task(one.name, total=None)
        report = lambda done, total: progress.update(task, completed=done, total=total)
        measured = measure_recall(checkpoints.load(model), built, report=report)
    about = {"sha256": one.sha256, "trained_to": one.trained_to}
    return about | as_json(measured)


def _table(name: str, row: dict) -> Table:
    """A line for each distance: nats with intervals, then shares."""
    kinds = [kind for kind in ("learning", "frozen") if kind in row]
    both = " / ".join(kinds)
    table = Table(
        "tokens behind",
        *(f"nats recalled, {kind}" for kind in kinds),
        f"for a decoy, {kinds[0]}",
        f"first choice, {both}",
        f"whole answers, {both}",
        title=f"{name}: {row['facts']} held-out facts, 95 % intervals over facts",
    )
    for i, distance in enumerate(row["distances"]):
        beyond = row["reach"] is not None and distance > row["reach"]
        table.add_row(
            f"{distance:,}{' *' if beyond else ''}",
            *(_nats(row[kind]["nats"], i) for kind in kinds),
            _nats(row[kinds[0]]["decoy"], i),
            *(_shares(row, kinds, share, i) for share in ("first", "whole")),
        )
    if row["reach"] is not None:
        table.caption = f"* beyond the reach of attention, {row['reach']:,} tokens"
    return table


def _nats(curve: dict, i: int) -> str:
    mean, high = curve["mean"][i], curve["high"][i]
    return f"{mean:+.3f}" + ("" if high is None else f" ± {high - mean:.3f}")


def _shares(row: dict, kinds: list[str], name: str, i: int) -> str:
    return " / ".join(f"{row[kind][name]['mean'][i]:.0%}" for kind in kinds)
