"""`ttt-lab plan`: what would a recipe need on this many devices?"""

import math
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from tyro.conf import Positional, arg

from lab.commands.options import option
from lab.commands.progress import FEW, Bar
from lab.commands.terminal import Terminal
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
    device: str = "h100",
    cut: Annotated[int | None, option("N")] = None,
    memory: Annotated[float | None, option("GIB")] = None,
    efficiency: float = 0.3,
):
    """Parameters, work, memory, mesh and days of a recipe; nothing is allocated.

    Args:
        recipe: a name from `ttt-lab recipes`.
        choice: what would be trained.
        devices: number of devices.
        device: what a device is: a100 h100 h200 b200 rtx4090 tpu-v4 tpu-v5e tpu-v5p
            tpu-v6e, or `this` for one of this machine.
        cut: number of pieces that weights are cut into (default: as few as fit).
        memory: GiB of one device (default: what such a device has).
        efficiency: share of its peak that a device keeps up.
    """
    from lab.training import accelerators

    experiment = choice.experiment(recipe)
    kind = accelerators.find(device)
    limit = kind.memory if memory is None else memory
    plans = _plan(experiment, devices, cut, limit)
    console = Terminal()
    console.print(table(experiment, plans, devices))
    console.print(time_needed(experiment, plans, kind, efficiency))
    if plans[0].mesh[1] > 1:
        console.print(f"Train it with --cut {plans[0].mesh[1]}.")
    for stage in plans:
        if (used := math.prod(stage.mesh)) < devices:
            console.print(f"{stage.name} uses {used} of {devices} devices.")
        if stage.total > limit * GIB:
            console.print(advice(stage, limit), style="yellow")


def _plan(experiment: Experiment, devices: int, cut: int | None, limit: float) -> list:
    from lab.training.loop import make_optimizer
    from lab.training.plan import plan_run

    phases = experiment.phases
    stages = [(phase, make_optimizer(experiment, phase.stage)) for phase in phases]
    title = f"planning {experiment.name}"
    with Bar(1.0, lines=FEW, passing=True) as bar:
        report = lambda done, what: bar.show(done, title, what)
        knobs = {"cut": cut, "limit": limit * GIB, "report": report}
        return plan_run(stages, devices=devices, **knobs)


def table(experiment: Experiment, plans: list["StagePlan"], devices: int) -> Table:
    """One column per stage, one row per number."""
    first = plans[0]
    machines = "1 device" if devices == 1 else f"{devices:,} devices"
    title = f"{experiment.name} ({experiment.method}) on {machines}"
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
    row("steps", lambda p: f"{p.steps:,}")
    row("FLOPs in all", lambda p: f"{p.all_flops:.3g}")
    shown.add_section()
    row("mesh", lambda p: f"data {p.mesh[0]} x model {p.mesh[1]}")
    row("sequences per device", lambda p: f"{p.share}, {p.at_once} at once")
    row("memory per device", lambda p: size_of(p.total))
    for part in first.memory:
        row(f"  {part}", lambda p, part=part: size_of(p.memory[part]))
    return shown


def time_needed(experiment, plans: list["StagePlan"], kind, efficiency: float) -> str:
    """Steps, operations and time of all stages, in a sentence."""
    dtype = experiment.model.compute_dtype
    peak = kind.peak(dtype)
    shown = f"{peak / 1e12:.3g} T" if peak >= 1e12 else f"{peak / 1e9:.3g} G"
    used = lambda stage: math.prod(stage.mesh) * peak * efficiency
    seconds = sum(stage.all_flops / used(stage) for stage in plans)
    many = max(math.prod(stage.mesh) for stage in plans)
    return (
        f"{experiment.steps:,} steps, {sum(p.all_flops for p in plans):.3g} FLOPs: "
        f"{duration(seconds)} on {many} x {kind.title}, at {efficiency:.0%} of a peak "
        f"of {shown}FLOP/s ({dtype})."
    )


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(90), duration(36 * 3600)
    ('1.5 minutes', '36 hours')
    """
    for unit, size in {"days": 86_400, "hours": 3600, "minutes": 60}.items():
        if seconds >= (2 * size if unit == "days" else size):
            return f"{seconds / size:,.3g} {unit}"
    return f"{seconds:.2g} seconds"


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
