"""`ttt-lab plan`: what would a recipe need on this many devices?"""

from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg

from lab.commands.train import Choice
from lab.recipes.experiment import Experiment
from lab.training.machine import size_of


if TYPE_CHECKING:
    from lab.training.plan import StagePlan


GIB = 2**30


def plan(
    recipe: Annotated[Positional[str], arg(metavar="RECIPE")],
    /,
    choice: Annotated[Choice, arg(name="")] = Choice(),
    devices: int = 1,
    cut: int | None = None,
    memory: float = 80.0,
):
    """Parameters, work, memory and mesh of a recipe; nothing is allocated.

    Args:
        recipe: a name from `ttt-lab recipes`.
        choice: what would be trained.
        devices: number of devices.
        cut: number of pieces that weights are cut into (default: as few as fit).
        memory: GiB of one device.
    """
    from lab.training.loop import make_optimizer
    from lab.training.plan import plan_run

    experiment = choice.experiment(recipe)
    stages = [
        (phase, make_optimizer(experiment, phase.stage)) for phase in experiment.phases
    ]
    plans = plan_run(stages, devices=devices, cut=cut, limit=memory * GIB)
    console = Console()
    console.print(table(experiment, plans, devices))
    if plans[0].mesh[1] > 1:
        console.print(f"Train it with --cut {plans[0].mesh[1]}.")
    for stage in plans:
        if stage.total > memory * GIB:
            console.print(advice(stage, memory), style="yellow")


def table(experiment: Experiment, plans: list["StagePlan"], devices: int) -> Table:
    """One column per stage, one row per number."""
    first = plans[0]
    title = f"{experiment.name} ({experiment.method}) on {devices} device(s)"
    shown = Table("", *(stage.name for stage in plans), title=title)
    row = lambda name, show: shown.add_row(name, *map(show, plans))
    row("parameters", lambda p: f"{p.parameters:,}")
    row("  of which embedding", lambda p: f"{p.embedding:,}")
    if first.fast_parameters:
        row("  of which fast", lambda p: f"{p.fast_parameters:,}")
        row("fast weights of one sequence", lambda p: size_of(p.fast_bytes))
    shown.add_section()
    row("tokens per step", lambda p: f"{p.batch} x {p.seq:,}")
    row("FLOPs per token", lambda p: f"{p.flops.total:.3g}")
    row("  forward", lambda p: f"{p.flops.forward:.3g}")
    row("  inner gradient", lambda p: f"{p.flops.inner:.3g}")
    row("  outer gradient", lambda p: f"{p.flops.backward:.3g}")
    row("FLOPs per step", lambda p: f"{p.step_flops:.3g}")
    shown.add_section()
    row("mesh", lambda p: f"data {p.mesh[0]} x model {p.mesh[1]}")
    row("sequences per device", lambda p: f"{p.share}, {p.at_once} at once")
    row("memory per device", lambda p: size_of(p.total))
    for part in first.memory:
        row(f"  {part}", lambda p, part=part: size_of(p.memory[part]))
    return shown


def advice(stage: "StagePlan", memory: float) -> str:
    """What to try if a device is too small."""
    said = (
        f"{stage.name}: {stage.total / GIB:.1f} GiB do not fit into {memory:g} GiB. "
        "Try more devices"
    )
    if stage.at_once > 1:
        few = f", or fewer sequences at once (--set {stage.name}.accumulate="
        said += f"{few}{stage.batch} reads one per device at a time)"
    return f"{said}, or another `remat`."
