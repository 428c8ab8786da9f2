"""`ttt-lab eval`: run an evaluation, print its table, keep its numbers.

Commands on several systems are in `system_commands.py`.
"""

import json
import re
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lab import runs


def gain(
    model: str = "tiny-e2e",
    sources: tuple[str, ...] = ("eltec-eng/val", "sotu-chronicle/all"),
    passages: int = 24,
    length: int = 16_384,
    publish: bool = False,
):
    """What learning while reading is worth, on held-out passages, paired.

    Args:
        model: a published model's name, or a path.
        sources: texts as CORPUS/SPLIT.
        passages: how many of each, evenly spread.
        length: tokens of each.
        publish: keep the numbers in lab/published/results.
    """
    from lab import checkpoints
    from lab.data import batches, shards
    from lab.evals.gain import measure_gain

    loaded, card = checkpoints.load(model), checkpoints.card(model)
    rows = {}
    with Progress(transient=True) as progress:
        for source in sources:
            corpus, _, split = source.rpartition("/")
            opened = shards.open(corpus, card["tokenizer"], split)
            found = batches.passages(
                opened, count=passages, length=length, bos=loaded.config.bos
            )
            task = progress.add_task(source, total=passages)
            report = lambda done, _, task=task: progress.update(task, completed=done)
            rows[source] = measure_gain(loaded, found.tokens[:, 1:], report=report)
    _print_gain(model, passages, length, rows)
    if publish:
        result = {source: _as_json(row) for source, row in rows.items()}
        settings = {"model": model, "passages": passages, "length": length}
        settings["model_sha256"] = card["sha256"]
        keep("gain-" + Path(model).name, {**settings, "sources": result})


def _print_gain(model, passages, length, rows):
    table = Table(
        "held-out text",
        "learning",
        "frozen twin",
        "gain",
        "95 % interval",
        "first / last sixteenth",
        title=f"{model}: nats per token, {passages} passages of {length:,} tokens each",
    )
    for source, row in rows.items():
        table.add_row(
            source,
            f"{row.learning.mean():.4f}",
            f"{row.frozen.mean():.4f}",
            f"{row.difference:+.4f}",
            f"{row.low:+.4f} to {row.high:+.4f}",
            f"{row.by_position[0]:+.4f} / {row.by_position[-1]:+.4f}",
        )
    Console().print(table)


def _as_json(row) -> dict:
    return {
        "loss_learning": round(float(row.learning.mean()), 5),
        "loss_frozen": round(float(row.frozen.mean()), 5),
        "gain": round(row.difference, 5),
        "interval_95": [round(row.low, 5), round(row.high, 5)],
        "gain_by_sixteenth": [round(float(x), 5) for x in row.by_position],
        "gain_by_passage": [round(float(x), 5) for x in row.frozen - row.learning],
    }


def keep(name: str, result: dict) -> Path:
    """Write a result, with the command and commit it came from, for clones to show."""
    text = as_text({**result, "provenance": runs.environment()})
    folder = Path(__file__).parent / "published" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(text, "utf-8")
    Console().print(f"kept in {path.relative_to(folder.parents[2])}")
    return path


def as_text(result: dict) -> str:
    """JSON with a line for each entry, and lists of numbers on one line each."""
    text = json.dumps(result, indent=1, ensure_ascii=False)
    flat = lambda found: "[" + " ".join(found[1].split()) + "]"
    return re.sub(r"\[([^\[\]{}\"]*)\]", flat, text) + "\n"


def draw(kind: str, name: str, result: dict, folder: Path):
    """Write a result's figures as HTML; `kind` as `lab.plots.result_figures` has it."""
    from lab import plots

    folder.mkdir(parents=True, exist_ok=True)
    for part, figure in plots.result_figures(kind, result).items():
        path = folder / f"{name}-{part}.html"
        bar = {"displaylogo": False}
        figure.write_html(path, include_plotlyjs="directory", config=bar)
        Console().print(f"figure: {path}", soft_wrap=True)
