"""What happens around a training: options, progress line, snapshots and their cards."""

import dataclasses
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
from lab.names import choose
from lab.recipes import RECIPES
from lab.recipes.experiment import Experiment, Phase
from lab.recipes.settings import override


@dataclasses.dataclass(frozen=True)
class Options:
    """How a recipe is run: none of these decides a number but `size`, `settings` and
    `plain`.

    `settings`: as `NAME=VALUE`. `plain`: the twin that is not meta-trained. `run`: name
    of the run folder. `until`: the last stage to train. `publish`: copy the model to
    lab/published. `elastic`: go on even on other devices. `checkpoint_every`: seconds.
    `track`: a mirror of the metrics, see `lab.training.trackers`. `state`: into how
    many pieces weights are cut over the devices.
    """

    size: str = "tiny"
    settings: tuple[str, ...] = ()
    plain: bool = False
    run: str | None = None
    until: str | None = None
    publish: bool = False
    elastic: bool = False
    checkpoint_every: float = 120.0
    track: str | None = None
    state: int = 1


def run_recipe(name: str, options: Options) -> Path:
    """Train a recipe to its end and write model and card. Returns the card's path.

    **Raises** `ValueError` naming the closest recipe, size or option that exists.
    """
    recipe, size = find(name, options.size)
    if hasattr(recipe, "points_at"):
        return _point(recipe, size, options)
    experiment = make_experiment(name, options)
    folder = runs.folder(options.run or experiment.name)
    card = train_with_progress(experiment, folder, options)
    from lab.training.hosts import is_leader

    return publish_model(card) if options.publish and is_leader() else card


def find(name: str, size: str):
    """The recipe module and the size, both checked."""
    recipe = RECIPES[choose("recipe", name, RECIPES)]
    return recipe, choose("size", size, recipe.SIZES)


def make_experiment(name: str, options: Options) -> Experiment:
    """The recipe's experiment with the options applied."""
    recipe, size = find(name, options.size)
    if not hasattr(recipe, "experiment"):
        raise ValueError(
            f"{name} trains nothing: it reads with the weights of "
            f"{recipe.points_at(size)}; train those."
        )
    experiment = override(recipe.experiment(size), options.settings)
    return experiment.plain() if options.plain else experiment


def train_with_progress(experiment: Experiment, folder: Path, options: Options) -> Path:
    """Train up to `options.until`; returns the card of the last stage's model."""
    use_devices(experiment)
    from lab.training.hosts import is_leader
    from lab.training.loop import train

    console = Console(quiet=not is_leader())
    console.print(
        f"run folder: {folder}  (stop with Ctrl-C, run again to resume)",
        soft_wrap=True,
    )
    written = []

    def stage_done(phase: Phase, model):
        if not is_leader():
            return
        written.append(write_snapshot(phase, model, folder, console))

    with _Bar(experiment, console) as bar:
        train(
            experiment,
            run=folder,
            report=bar.report,
            say=lambda text: console.print(f"[yellow]{text}[/yellow]"),
            stage_done=stage_done,
            until=options.until,
            checkpoint_every=options.checkpoint_every,
            elastic=options.elastic,
            track=options.track,
            state=options.state,
        )
    return written[-1] if written else _card_of(experiment, folder, options.until)


def use_devices(experiment: Experiment):
    """One device a core, as far as the batches allow; before JAX has been used."""
    from lab.training.devices import use_all_cores

    use_all_cores(max(stage.batch for stage in experiment.stages))


def write_snapshot(phase: Phase, model, folder: Path, console=None) -> Path:
    """Model and card at the end of a stage, unless they are there. Returns the card."""
    path = folder / phase.checkpoint_name
    card = path.with_name(path.name + ".json")
    if not card.exists():
        about = describe_model(phase, model, folder)
        card = checkpoints.save(path, model, about)
        if console:
            console.print(
                f"[bold]{card}[/bold]  held out: {about['held_out']}", soft_wrap=True
            )
    return card


def describe_model(phase: Phase, model, folder: Path) -> dict:
    """The card of a trained model: where it came from and what it is worth."""
    from lab.data import sources
    from lab.training import held_out
    from lab.training import provenance as source

    experiment = phase.experiment
    lines = runs.read_metrics(folder / "metrics.jsonl")
    lines = [line for line in lines if line["step"] < phase.end]
    settings = runs.describe(experiment)
    settings.pop("model")
    hashes = {
        stage.corpus: sources.data_hash(stage.corpus, experiment.tokenizer, "train")
        for stage in experiment.stages[: phase.index + 1]
    }
    return {
        "tokenizer": experiment.tokenizer,
        "recipe": experiment.name,
        **runs.environment(),
        "commits": source.commits(folder, phase.end),
        "seed": experiment.seed,
        "experiment": settings,
        "stage": phase.stage.name,
        "data_hash": hashes[phase.stage.corpus],
        "data_hashes": hashes,
        "tokens_seen": phase.tokens_at(phase.end - 1),
        "training_loss": float(np.mean([line["loss"] for line in lines[-20:]])),
        "training_hours": round(sum(line["seconds"] for line in lines) / 3600, 2),
        "held_out": held_out.summary(phase, model),
    }


def publish_model(card: Path) -> Path:
    """Copy a finished model and its card to where a clone finds them.

    A card that points at another model's weights is copied alone.

    **Raises** `FileNotFoundError` where it points at weights that are not published.
    """
    target = checkpoints.PUBLISHED
    target.mkdir(parents=True, exist_ok=True)
    points_at = checkpoints.card(card).get("weights")
    if points_at:
        if not (target / f"{points_at}.safetensors").exists():
            raise FileNotFoundError(
                f"{card.stem} reads with the weights of {points_at}, which is not "
                f"published yet: `ttt-lab train {points_at} --publish` first."
            )
    else:
        weights = card.with_suffix(".safetensors")
        shutil.copyfile(weights, target / weights.name)
    return Path(shutil.copyfile(card, target / card.name))


def _point(recipe, size: str, options: Options) -> Path:
    from lab.commands.naive import tune

    if options.plain or options.until or options.settings:
        raise ValueError(
            f"{recipe.points_at(size)}'s weights are used as they are: nothing to set, "
            "no stages, no plain twin; leave out --set, --until and --plain."
        )
    card = tune(recipe.name(size), recipe.points_at(size), recipe.RATES, recipe.CLIPS)
    return publish_model(card) if options.publish else card


def _card_of(experiment: Experiment, folder: Path, until: str | None) -> Path:
    names = {phase.stage.name: phase.checkpoint_name for phase in experiment.phases}
    return folder / f"{names[until] if until else experiment.name}.json"


class _Bar:
    """The progress line; plain lines where there is no terminal."""

    def __init__(self, experiment: Experiment, console: Console):
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.experiment, self.console, self.losses = experiment, console, []
        self.gain = ""  # over the frozen twin, when it was last measured
        self.progress = Progress(*columns, console=console, speed_estimate_period=120)
        self.task = self.progress.add_task(
            experiment.name, total=experiment.tokens, said=""
        )

    def __enter__(self):
        self.progress.start()
        return self

    def __exit__(self, problem, *_):
        if not self.losses:
            self.progress.update(self.task, visible=False)
        self.progress.stop()
        if not self.losses and problem is None:
            self.console.print("nothing left to train")

    def report(self, line: dict):
        """Show one metrics line."""
        self.losses.append(line["loss"])
        if "gain" in line:
            self.gain = f"  gain {line['gain']:+.3f}"
        self.progress.update(
            self.task,
            description=f"{self.experiment.name} {line['stage']}",
            completed=line["tokens"],
            said=self._said(line, last=20),
        )
        every = max(1, self.experiment.steps // 40)
        is_due = (line["step"] + 1) % every == 0 or "held_out" in line
        if is_due and not self.console.is_terminal:
            held_out = line.get("held_out")
            after = "" if held_out is None else f"  held out {held_out:.4f}"
            self.console.print(
                f"{line['stage']} step {line['step'] + 1}/{self.experiment.steps}  "
                f"{self._said(line, last=every)}{after}"
            )

    def _said(self, line: dict, last: int) -> str:
        loss = np.mean(self.losses[-last:])
        speed = line["tokens_per_s"]
        return f"loss {loss:.3f}{self.gain}  {speed:,.0f} tokens/s"
