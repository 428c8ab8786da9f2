"""What happens around a training: options, progress line, held-out losses, the card."""

import dataclasses
import difflib
import shutil
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lab import checkpoints, runs
from lab.experiment import Experiment
from lab.recipes import RECIPES


HELD_OUT = {"count": 12, "length": 4096}


def run_recipe(name, *, size="tiny", overrides=(), run=None, publish=False) -> Path:
    """Train a recipe to its end and write model and card. Returns the card's path.

    **Raises** `ValueError` naming the closest recipe, size or option that exists.
    """
    recipe = RECIPES[choose("recipe", name, RECIPES)]
    size = choose("size", size, recipe.SIZES)
    experiment = override(recipe.experiment(size), overrides)
    folder = runs.folder(run or experiment.name)
    model = _train_with_progress(experiment, folder)
    about = describe_model(experiment, model, folder)
    card = checkpoints.save(folder / experiment.name, model, about)
    Console().print(f"[bold]{card}[/bold]  held out: {about['held_out']}")
    return publish_model(card) if publish else card


def choose(kind: str, name: str, known) -> str:
    """`name` if it is known, else a `ValueError` naming the closest that is."""
    if name in known:
        return name
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    raise ValueError(
        f"There is no {kind} {name!r}; did you mean {near[0]!r}? "
        f"Known: {', '.join(known)}."
    )


def override(experiment: Experiment, settings: tuple[str, ...]) -> Experiment:
    """The experiment with `NAME=VALUE` settings; `model.NAME` reaches the model.

    `model.lr`, `model.clip` and `model.rule` are those of the inner loop.

    **Raises** `ValueError` for an unknown name or a value of the wrong kind.
    """
    model = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"settings look like lr=2e-3: got {setting!r}.")
        if path.startswith("model."):
            field = path.removeprefix("model.")
            current = _fields(experiment.model) | _fields(experiment.model.inner)
            choose("setting", field, [k for k in current if k != "inner"])
            model[field] = _parse(path, text, current[field])
        else:
            known = [k for k in _fields(experiment) if k not in ("model", "name")]
            choose("setting", path, known)
            value = _parse(path, text, getattr(experiment, path))
            experiment = dataclasses.replace(experiment, **{path: value})
    if not model:
        return experiment
    return dataclasses.replace(experiment, model=experiment.model.replace(**model))


def _fields(config) -> dict:
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}


def _parse(name: str, text: str, current):
    try:
        if isinstance(current, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(current, int):
            return int(float(text)) if float(text).is_integer() else int(text)
        if isinstance(current, float):
            return float(text)
        if isinstance(current, tuple):
            return tuple(text.split(","))
        if current is None:
            return None if text.lower() == "none" else int(text)
    except (ValueError, KeyError) as error:
        kind = type(current).__name__
        raise ValueError(
            f"{name} takes a value like {current!r} ({kind}): got {text!r}."
        ) from error
    return text


def _train_with_progress(experiment: Experiment, folder: Path):
    from lab.train import train

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:,.0f} tokens/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console()
    console.print(f"run folder: {folder}  (stop with Ctrl-C, run again to resume)")
    losses = []
    with Progress(*columns, console=console, speed_estimate_period=120) as progress:
        task = progress.add_task(
            experiment.name, total=experiment.steps, loss=np.nan, speed=0.0
        )

        def report(line: dict, _):
            losses.append(line["loss"])
            progress.update(
                task,
                completed=line["step"] + 1,
                loss=float(np.mean(losses[-20:])),
                speed=line["tokens_per_s"],
            )
            every = max(1, experiment.steps // 40)
            if not console.is_terminal and (line["step"] + 1) % every == 0:
                console.print(
                    f"step {line['step'] + 1}/{experiment.steps}  "
                    f"loss {np.mean(losses[-every:]):.3f}  "
                    f"{line['tokens_per_s']:,.0f} tokens/s"
                )

        model = train(experiment, run=folder, report=report)
        progress.update(task, completed=experiment.steps)
        return model


def describe_model(experiment: Experiment, model, folder: Path) -> dict:
    """The card of a trained model: where it came from and what it is worth."""
    from lab.data import shards

    data = shards.open(experiment.corpus, experiment.tokenizer, "train")
    lines = runs.read_metrics(folder / "metrics.jsonl")
    settings = runs.describe(experiment)
    settings.pop("model")
    return {
        "tokenizer": experiment.tokenizer,
        "recipe": experiment.name,
        **runs.environment(),
        "seed": experiment.seed,
        "experiment": settings,
        "data_hash": data.data_hash,
        "tokens_seen": experiment.steps * experiment.batch * experiment.seq,
        "training_loss": float(np.mean([line["loss"] for line in lines[-20:]])),
        "training_hours": round(sum(line["seconds"] for line in lines) / 3600, 2),
        "held_out": held_out(experiment, model),
    }


def held_out(experiment: Experiment, model) -> dict:
    """Mean loss of passages the model has not seen, with learning and without."""
    from lab.data import batches, shards
    from lab.evals.gain import measure_gain

    opened = shards.open(experiment.corpus, experiment.tokenizer, "val")
    passages = batches.passages(opened, **HELD_OUT, bos=model.config.bos)
    gain = measure_gain(model, passages.tokens[:, 1:])
    return {
        "text": f"{experiment.corpus}/val",
        "passages": HELD_OUT["count"],
        "tokens_each": HELD_OUT["length"],
        "loss_learning": round(float(gain.learning.mean()), 4),
        "loss_frozen": round(float(gain.frozen.mean()), 4),
    }


def publish_model(card: Path) -> Path:
    """Copy a finished model and its card to where a clone finds them."""
    target = checkpoints.PUBLISHED
    target.mkdir(parents=True, exist_ok=True)
    weights = card.with_suffix(".safetensors")
    shutil.copyfile(weights, target / weights.name)
    return Path(shutil.copyfile(card, target / card.name))
