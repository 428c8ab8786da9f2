"""`ttt-lab train`: a recipe trained to its end, or its settings compared (`--sweep`).

    ttt-lab train tiny-e2e --size nano
    ttt-lab train tiny-e2e --sweep lr=2e-3,4e-3,8e-3 --tokens 5e5

The training itself is in `lab.training`; here are the options, and what a person at the
terminal sees.
"""

import contextlib
import dataclasses
import functools
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from lab import runs
from lab.commands.options import option
from lab.commands.progress import Bar
from lab.commands.terminal import Terminal
from lab.recipes.experiment import Experiment, Phase
from lab.recipes.settings import find, make_experiment
from lab.stopping import Stopped
from lab.training.conduct import Conduct
from lab.training.hosts import Hosts, is_leader


SMOOTHED = 20  # the loss shown is a mean over at most this many steps


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which experiment of a recipe is trained.

    Args:
        size: one of the recipe's sizes.
        set: overrides, as `lr=2e-3` (every stage) `extend.lr=1e-3` `model.window=256`.
        plain: train the twin that is not meta-trained (inner rate 0).
    """

    size: str = "tiny"
    set: Annotated[tuple[str, ...], option("NAME=VALUE")] = ()
    plain: bool = False

    def experiment(self, recipe: str) -> Experiment:
        """The chosen experiment of a recipe.

        **Raises** `ValueError` naming the closest recipe, size or setting that exists.
        """
        return make_experiment(recipe, self.size, self.set, self.plain)


def train(
    recipe: Annotated[Positional[str], arg(metavar="RECIPE")],
    /,
    choice: Annotated[Choice, arg(name="")] = Choice(),
    conduct: Annotated[Conduct, arg(name="")] = Conduct(),
    where: Annotated[Hosts, arg(name="")] = Hosts(),
    run: Annotated[str | None, option("NAME")] = None,
    publish: bool = False,
    sweep: Annotated[tuple[str, ...], option("NAME=A,B,C")] = (),
    tokens: float = 5e5,
) -> Path:
    """Train a recipe; run again to resume where it stopped.

    Args:
        recipe: a name from `ttt-lab recipes`.
        choice: which experiment of the recipe is trained.
        conduct: how the training is conducted.
        where: which machines take part.
        run: name of the run folder in .runs/ (default: the experiment's name).
        publish: put the finished model into lab/published/models.
        sweep: compare settings by short runs of the first stage, as `lr=2e-3,4e-3`.
        tokens: length of each run of a sweep.

    Returns:
        The path of the card, or of a sweep's results.
    """
    where.join()
    if sweep:
        return _sweep(choice.experiment(recipe), run, conduct, sweep, tokens)
    asked = find(recipe, choice.size)
    if hasattr(asked, "points_at"):
        card = _tune(asked, choice, conduct)
    else:
        experiment = choice.experiment(recipe)
        folder = runs.folder(run or experiment.name)
        card = train_experiment(experiment, folder, conduct)
    if publish and is_leader():
        from lab.training.cards import publish_model

        return publish_model(card)
    return card


def train_experiment(
    experiment: Experiment,
    folder: Path,
    conduct: Conduct = Conduct(),
    screen: "Screen | None" = None,
) -> Path:
    """Train with progress at the terminal, and return the card of the last stage.

    `screen`: shows the training instead of a bar of its own.
    """
    from lab.training import cards, loop
    from lab.training.interrupts import Interrupts

    check_machine([experiment], conduct.cut)
    screen = screen or Screen(experiment, folder)
    with screen, Interrupts(folder, screen.say) as interrupts:
        loop.train(
            experiment,
            folder,
            conduct,
            report=screen.report,
            say=screen.say,
            stage_done=screen.stage_done,
            interrupts=interrupts,
        )
    return cards.card_of(experiment, folder, conduct.until)


def check_machine(experiments: list[Experiment], cut: int):
    """Choose the devices, and refuse what this machine cannot hold.

    Each core becomes a device, if the batches allow, and before JAX is used.
    """
    from lab.training.devices import use_all_cores
    from lab.training.plan import check_fits

    use_all_cores(max(stage.batch for stage in experiments[0].stages))
    check_fits(experiments, cut)


def _sweep(
    experiment: Experiment,
    run: str | None,
    conduct: Conduct,
    sweeps: tuple[str, ...],
    tokens: float,
) -> Path:
    from lab.commands.sweep import run_sweep, shorts

    check_machine(list(shorts(experiment, sweeps, tokens).values()), conduct.cut)
    folder = runs.folder(f"{run or experiment.name}-sweep")
    train = functools.partial(train_experiment, conduct=conduct)
    with _going_on("finished runs"):
        return run_sweep(experiment, sweeps, tokens, folder, train)


def _tune(recipe, choice: Choice, conduct: Conduct) -> Path:
    from lab.commands.naive import tune

    weights = recipe.points_at(choice.size)
    if choice.plain or choice.set or conduct.until:
        raise ValueError(
            f"{weights}'s weights are used as they are, so there is nothing to set, no "
            "stage and no plain twin; leave out --set, --until and --plain."
        )
    with _going_on("finished readings"):
        return tune(recipe.name(choice.size), weights, recipe.RATES, recipe.CLIPS)


@contextlib.contextmanager
def _going_on(kept: str) -> Iterator[None]:
    """A context whose work goes on when it is repeated; a sentence within it wins."""
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt as error:
        goes_on = "the same command goes on from there"
        raise Stopped(f"stopped; {kept} are kept, and {goes_on}") from error


class Screen:
    """What a person at the terminal sees of a training, shown by the first process."""

    def __init__(self, experiment: Experiment, folder: Path):
        self.experiment, self.folder = experiment, folder
        self.console = Terminal(quiet=not is_leader())
        self.bar = Bar(experiment.tokens, self.console)
        self.losses, self.gain = [], ""

    def __enter__(self) -> "Screen":
        how = "stop with Ctrl-C, run again to resume"
        self.console.print(f"run folder: {self.folder}  ({how})", soft_wrap=True)
        return self

    def __exit__(self, problem, *_):
        self.bar.__exit__()
        if self.bar.is_untouched and problem is None:
            self.console.print("nothing left to train")

    def say(self, text: str):
        """Print a sentence for the person at the terminal."""
        self.console.print(text, style="yellow", markup=False, soft_wrap=True)

    def report(self, line: dict):
        """Show one metrics line."""
        self.losses.append(line["loss"])
        if "gain" in line:  # the frozen twin is only read now and then
            self.gain = f"  gain {line['gain']:+.3f}"
        steps, held_out = self.experiment.steps, line.get("held_out")
        recent = self.losses[-max(1, min(SMOOTHED, steps // 40)) :]
        self.bar.show(
            line["tokens"],
            f"{self.experiment.name} {line['stage']}",
            f"step {line['step'] + 1}/{steps}  loss {statistics.fmean(recent):.3f}"
            f"{self.gain}  {line['tokens_per_s']:,.0f} tokens/s"
            + ("" if held_out is None else f"  held out {held_out:.4f}"),
            news=held_out is not None,
        )

    def stage_done(self, phase: Phase, model):
        """Save the model and its card, unless they have been saved."""
        from lab import checkpoints
        from lab.training import cards

        path = cards.card_of(self.experiment, self.folder, phase.stage.name)
        if not is_leader() or path.exists():
            return
        about = checkpoints.card(cards.write_snapshot(phase, model, self.folder))
        said = f"{path}  {_held_out(about['held_out'])}"
        self.console.print(said, soft_wrap=True)


def _held_out(found: dict | None) -> str:
    """A card's held-out losses, as words."""
    if found is None:
        return "no part of the text is held out"
    return (
        f"held out {found['loss_learning']:.4f} nats a token (frozen twin "
        f"{found['loss_frozen']:.4f}), {found['passages']} passages of "
        f"{found['tokens_each']:,} tokens of {found['text']}"
    )
