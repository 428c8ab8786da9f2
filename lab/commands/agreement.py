"""`ttt-lab eval gradients`: how far the gradients of different texts agree."""

from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tyro.conf import Positional

from lab.commands.compare import finish
from lab.quick import quick


def gradients(
    models: Positional[tuple[str, ...]],
    /,
    corpus: str = "eltec-eng",
    split: str = "train",
    length: int = 2048,
    novels: int = 16,
    figures: Path | None = None,
    publish: bool = False,
):
    """What a passage's gradient shares with others: of all novels, of its own, none.

    Args:
        models: published names or paths; those that learn are asked with and without.
        corpus: a name from `ttt-lab data list`.
        split: train, val or all.
        length: tokens of a passage.
        novels: documents, two passages of each.
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """
    from lab.analysis import agreement as numbers
    from lab.data import shards
    from lab.measure import texts
    from lab.measure.readers import load, systems

    found = systems(models)
    opened = shards.open(corpus, found[0].tokenizer, split)
    length = quick(length, min(length, 128))
    chosen = numbers.pairs(texts.passages(opened, length=length, per_novel=2), novels)
    rows = {}
    with Progress(transient=True) as progress:
        for label, reader in {
            k: v for s in found for k, v in s.readers.items()
        }.items():
            task = progress.add_task(label, total=len(chosen))
            report = lambda done, task=task: progress.update(task, completed=done)
            products = numbers.gram(load(reader), chosen, report)
            rows[label] = numbers.as_json(numbers.agreement(products))
    result = {
        "corpus": opened.corpus,
        "split": split,
        "text_hash": opened.data_hash,
        "length": length,
        "novels": len(chosen) // 2,
        "systems": {one.name: {"sha256": one.sha256} for one in found},
        "gradients": rows,
    }
    _print(result)
    finish("gradients", "-".join(result["systems"]), result, figures, publish)


def _print(result: dict):
    table = Table(
        "gradient of",
        "norm",
        "all novels share",
        "its novel's",
        "its own",
        "half noise at",
        title=f"squared gradients of {result['length']:,} tokens, "
        f"{result['novels']} novels of {result['corpus']}/{result['split']}, ± 95 %",
    )
    for label, row in result["gradients"].items():
        shares = (_share(row[name]) for name in ("shared", "novel", "passage"))
        batch = row["passages"]
        noise = "never" if batch is None else f"{batch:.1f} passages"
        table.add_row(label, f"{row['norm']:.3f}", *shares, noise)
    Console().print(table)


def _share(part: dict) -> str:
    if part["interval_95"] is None:
        return f"{part['mean']:.1%}"
    low, high = part["interval_95"]
    return f"{part['mean']:.1%} ±{(high - low) / 2:.1%}"
