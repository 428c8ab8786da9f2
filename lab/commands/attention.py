"""`ttt-lab eval attention`: how far back attention looks."""

from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tyro.conf import Positional

from lab.commands.compare import finish
from lab.quick import quick


def attention(
    models: Positional[tuple[str, ...]],
    /,
    corpus: str = "eltec-eng",
    split: str = "val",
    length: int = 2048,
    per_novel: int = 1,
    figures: Path | None = None,
    publish: bool = False,
):
    """How far back attention looks: its shares by distance, head by head.

    Args:
        models: published names or paths.
        corpus: a name from `ttt-lab data list`.
        split: train, val or all.
        length: tokens of a passage; queries of its second half are counted.
        per_novel: passages of each document, evenly spread.
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """
    from lab.analysis import attention as numbers
    from lab.data import shards
    from lab.measure import texts
    from lab.measure.readers import load, systems

    found = systems(models)
    opened = shards.open(corpus, found[0].tokenizer, split)
    length = quick(length, min(length, 128))
    passages = texts.passages(opened, length=length, per_novel=per_novel)
    rows = {}
    with Progress(transient=True) as progress:
        for one in found:
            task = progress.add_task(one.name, total=len(passages))
            report = lambda done, task=task: progress.update(task, completed=done)
            looks = numbers.look(load(one.frozen), passages, report)
            rows[one.name] = numbers.as_json(looks)
    result = {
        "corpus": opened.corpus,
        "split": split,
        "text_hash": opened.data_hash,
        "length": length,
        "passages": len(passages),
        "distances": numbers.bins(length),
        "systems": {one.name: {"sha256": one.sha256} for one in found},
        "attention": rows,
    }
    _print(result)
    finish("attention", "-".join(rows), result, figures, publish)


def _print(result: dict):
    console = Console()
    words = f"{result['passages']} passages of {result['length']:,} tokens"
    words += f" of {result['corpus']}/{result['split']}"
    for name, blocks in result["attention"].items():
        heads = ("block", "mixer", "head", *result["distances"], "spread")
        table = Table(*heads, title=f"{name}: attention by distance, {words}")
        for i, block in enumerate(blocks):
            for j, head in enumerate(block["heads"]):
                table.add_row(str(i + 1), block["kind"], str(j + 1), *_cells(head))
            if not block["heads"]:
                table.add_row(str(i + 1), block["kind"], "no attention")
        kinds = {b["kind"]: b["even"] for b in blocks if b["heads"]}
        if kinds:
            table.add_section()
        for kind, even in kinds.items():
            table.add_row("", kind, "evenly", *_cells(even))
        console.print(table)
    console.print("[dim]spread: over so many tokens it might as well be even.[/dim]")


def _cells(row: dict) -> list[str]:
    shares = (f"{share:.1%}" for share in row["shares"])
    return [*shares, f"{row['spread']:,.1f}"]
