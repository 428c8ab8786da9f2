"""Shared by `eval ablation` and `eval compute`: many trainings, one after another.

Each has a run folder of its own in `.runs/trainings`, named by what it is. A finished
training is not repeated, and one that was stopped goes on where it was saved.
"""

from collections.abc import Iterable
from pathlib import Path

from lab import files, runs
from lab.checkpoints import EXPERIMENT
from lab.commands.progress import Bar
from lab.commands.terminal import Terminal
from lab.commands.train import Screen, check_machine, train_experiment
from lab.recipes.experiment import Experiment
from lab.recipes.grids import Pair
from lab.stopping import Stopped
from lab.training import cards


META = 2.5  # the time of a step that learns, in steps of the plain twin, about


def train_all(pairs: Iterable[Pair]) -> dict[str, Path]:
    """Train what is not yet trained; the cards of all trainings, by name.

    **Raises** `ValueError` for a training that this machine cannot hold, `Stopped` if
    interrupted.
    """
    wanted = {
        experiment.name: experiment
        for pair in pairs
        for experiment in (*pair.learning, *pair.plain)
    }
    check_machine(list(wanted.values()), 1)
    missing = [one for one in wanted.values() if not _is_done(one)]
    _announce(len(wanted), missing)
    total = sum(map(_work, missing))
    with Bar(total, passing=True) as bar:
        before = 0.0
        for i, one in enumerate(missing, 1):
            screen = _Part(one, bar, before, f"{i} of {len(missing)}:")
            try:
                train_experiment(one, folder_of(one), screen=screen)
            except Stopped as stopped:
                there = len(wanted) - len(missing) + i - 1
                raise Stopped(
                    f"{stopped} Finished trainings are kept: {there} of {len(wanted)}."
                ) from None
            before += _work(one)
    return {name: cards.card_of(one, folder_of(one)) for name, one in wanted.items()}


def folder_of(experiment: Experiment) -> Path:
    """The run folder of a training of a grid."""
    return runs.folder("trainings") / experiment.name


def _is_done(experiment: Experiment) -> bool:
    """Whether the folder holds the finished model of this very experiment."""
    folder = folder_of(experiment)
    asked = folder / "experiment.json"
    if not cards.card_of(experiment, folder).exists() or not asked.exists():
        return False
    return not runs.differences(files.read_json(asked, EXPERIMENT), experiment)


def _work(experiment: Experiment) -> float:
    """A number in proportion to the time that a training takes."""
    width = experiment.model.d_model / 32
    return experiment.tokens * width * (META if experiment.method == "meta" else 1)


def _announce(total: int, missing: list[Experiment]):
    there = "" if len(missing) == total else f" ({total - len(missing)} are there)"
    tokens = sum(one.tokens for one in missing)
    left = (
        f"{tokens / 1e6:.1f} M tokens to train on{there}; stop with Ctrl-C, run again "
        "to resume"
        if missing
        else "all there"
    )
    where = runs.shown(runs.folder("trainings"))
    said = f"{total} trainings in {where}: {left}"
    Terminal(error=True).print(said, soft_wrap=True)


class _Part(Screen):
    """One of many trainings, shown by the bar that they share."""

    def __init__(self, experiment: Experiment, bar: Bar, before: float, which: str):
        self.experiment, self.folder = experiment, folder_of(experiment)
        self.console, self.bar = Terminal(error=True), bar
        self.before, self.which = before, which

    def __enter__(self) -> "_Part":
        return self

    def __exit__(self, *_):
        """The bar goes on with the next training."""

    def report(self, line: dict):
        """Show one metrics line."""
        done = line["tokens"] / self.experiment.tokens
        self.bar.show(
            self.before + done * _work(self.experiment),
            self.which,
            f"{self.experiment.name}  loss {line['loss']:.3f}",
        )

    def stage_done(self, phase, model):
        """Save the model and its card, unless they have been saved."""
        path = cards.card_of(self.experiment, self.folder, phase.stage.name)
        if not path.exists():
            cards.write_snapshot(phase, model, self.folder)
