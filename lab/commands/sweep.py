"""Which rate? Short trainings of a recipe's first stage, compared by held-out loss.

    ttt-lab train tiny-e2e --sweep lr=2e-3,4e-3,8e-3 --tokens 5e5

Every run has its own full warm-up and cosine over `tokens`. Several settings make a
grid. The runs and their results are kept in `.runs/NAME-sweep/`, and finished runs are
not repeated.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.table import Table

from lab import files, runs
from lab.checkpoints import EXPERIMENT
from lab.commands.terminal import Terminal
from lab.recipes.experiment import Experiment
from lab.recipes.settings import shortened


NUMBER = int | float
POINT = {  # what the results hold of each point of the grid
    "settings": [str],
    "held_out": {
        "loss_learning": NUMBER,
        "loss_frozen": NUMBER,
        "passages": int,
        "tokens_each": int,
        "text": str,
    },
    "tokens": int,
    "experiment": EXPERIMENT,
}


def grid(sweeps: tuple[str, ...]) -> list[tuple[str, ...]]:
    """`("lr=1,2", "model.lr=3")` -> `[("lr=1", "model.lr=3"), ("lr=2", ...)]`.

    **Raises** `ValueError` if a sweep has no `=` or no values.
    """
    axes = []
    for sweep in sweeps:
        name, equals, values = sweep.partition("=")
        found = [value.strip() for value in values.split(",") if value.strip()]
        if not equals or not found:
            raise ValueError(f"a sweep looks like lr=2e-3,4e-3: got {sweep!r}.")
        axes.append([f"{name.strip()}={value}" for value in found])
    return list(itertools.product(*axes))


def run_sweep(
    experiment: Experiment,
    sweeps: tuple[str, ...],
    tokens: float,
    folder: Path,
    train: Callable[[Experiment, Path], Path],
) -> Path:
    """Train every point of the grid and print the table.

    Args:
        experiment: the experiment to vary; its first stage is trained.
        sweeps: `NAME=A,B,C`, each an axis of the grid.
        tokens: length of each run.
        folder: where the runs and the results are kept.
        train: trains an experiment in a folder and returns the card of the model.

    Returns:
        The path of the results.

    **Raises** `ValueError` for a setting that does not exist, before anything runs.
    """
    points = shorts(experiment, sweeps, tokens)
    _check_held_out(points.values())
    results = folder / "results.json"
    for point, short in points.items():
        done = _read(results)
        name = ",".join(point)
        if name in done and not runs.differences(done[name]["experiment"], short):
            continue
        done[name] = {"settings": list(point), **_measure(short, folder, train)}
        files.write(results, json.dumps(done, indent=1) + "\n")
    _print(experiment, [_read(results)[",".join(point)] for point in points])
    return results


def shorts(
    experiment: Experiment, sweeps: tuple[str, ...], tokens: float
) -> dict[tuple[str, ...], Experiment]:
    """The short experiment of each point of the grid.

    **Raises** `ValueError` for a setting that does not exist or lies out of range.
    """
    return {point: shortened(experiment, point, tokens) for point in grid(sweeps)}


def _check_held_out(shorts: Iterable[Experiment]):
    from lab.training import held_out

    for corpus, tokenizer in {(e.stages[0].corpus, e.tokenizer) for e in shorts}:
        if held_out.passages(corpus, tokenizer, 1, held_out.CARD["length"]) is None:
            raise ValueError(
                f"A sweep compares held-out losses, but no part of {corpus} is held "
                "out; name another text with --set corpus=..."
            )


def _measure(
    short: Experiment, folder: Path, train: Callable[[Experiment, Path], Path]
) -> dict:
    began = time.monotonic()
    card = train(short, folder / short.name)
    return {
        "held_out": json.loads(card.read_text("utf-8"))["held_out"],
        "tokens": short.tokens,
        "seconds": round(time.monotonic() - began, 1),
        "experiment": runs.describe(short),
        "environment": runs.environment(),
    }


def _read(results: Path) -> dict:
    return files.read_json(results, {str: POINT}) if results.exists() else {}


def _print(experiment: Experiment, rows: list[dict]):
    best = min(row["held_out"]["loss_learning"] for row in rows)
    shown = rows[0]["held_out"]
    table = Table(
        "settings",
        "held out",
        "frozen twin",
        "",
        title=f"{experiment.name} after {rows[0]['tokens']:,} tokens: nats per token, "
        f"{shown['passages']} passages of {shown['tokens_each']:,} tokens each of "
        f"{shown['text']}",
    )
    for row in rows:
        loss = row["held_out"]["loss_learning"]
        table.add_row(
            " ".join(row["settings"]),
            f"{loss:.4f}",
            f"{row['held_out']['loss_frozen']:.4f}",
            "best" if loss == best else "",
        )
    Terminal().print(table)
