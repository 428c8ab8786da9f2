"""What does a training step cost here? Time, tokens, memory, share of the peak.

Meta-training, its plain twin and full attention of the same size are measured over
lengths of context, with the trainer's own compiled step (optimiser included). The
systems take turns, so that a machine that slows down slows all of them; the best time
of each counts. Useful operations are counted by `lab.training.flops`, without
recomputation.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from lab.training.machine import seconds_of


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of a step of one system at one length.

    `flops_per_token`: useful operations. `temporary_bytes`: memory of the compiled step
    on each device besides weights and optimiser state. `spread`: the median step's time
    over the best step's.
    """

    system: str
    seq: int
    batch: int
    step_seconds: float
    compile_seconds: float
    flops_per_token: float
    temporary_bytes: int
    spread: float = 1.0

    @property
    def tokens_per_second(self) -> float:
        """Tokens trained on per second, over all devices."""
        return self.seq * self.batch / self.step_seconds

    def share(self, peak: float) -> float:
        """Useful operations per second as a share of `peak`."""
        return self.tokens_per_second * self.flops_per_token / peak


@dataclasses.dataclass(frozen=True)
class Row:
    """A `Cost` in plain numbers, against the plain twin's and the machine's peak."""

    system: str
    seq: int
    batch: int
    step_seconds: float
    over_plain: float
    tokens_per_second: float
    compile_seconds: float
    mflop_per_token: float
    share_of_peak: float
    temporary_mib_per_device: float


@dataclasses.dataclass(frozen=True)
class TrainingBench:
    """What a training step costs, one row per system and length.

    `systems`: presets by the names in the rows.
    """

    KIND: ClassVar[str] = "bench-train"
    peak_gflops: float
    repeats: int
    systems: dict[str, str]
    rows: tuple[Row, ...]


def rows(costs: list[Cost], peak: float) -> tuple[Row, ...]:
    """Costs in plain numbers; `peak` in operations per second."""
    plain = {cost.seq: cost.step_seconds for cost in costs if cost.system == "plain"}
    return tuple(
        Row(
            system=cost.system,
            seq=cost.seq,
            batch=cost.batch,
            step_seconds=cost.step_seconds,
            over_plain=cost.step_seconds / plain[cost.seq],
            tokens_per_second=round(cost.tokens_per_second),
            compile_seconds=cost.compile_seconds,
            mflop_per_token=cost.flops_per_token / 1e6,
            share_of_peak=cost.share(peak),
            temporary_mib_per_device=cost.temporary_bytes / 2**20,
        )
        for cost in costs
    )


def measure_training(
    systems: dict, *, seqs=(2048,), tokens: int = 16_384, repeats: int = 5, report=None
) -> list[Cost]:
    """Cost of a step of every system at every length.

    `systems`: configurations by name. `tokens`: tokens per step, but at least one
    sequence for each device. `report(name, seq)`: called before each compilation.

    **Raises** `ValueError` if a length does not leave one sequence for each device.
    """
    import jax

    costs = []
    for seq in seqs:
        batch = max(tokens // seq, len(jax.devices()))
        steps = {}
        for name, config in systems.items():
            if report:
                report(name, seq)
            steps[name] = _Step(config, seq, batch)
        times = {name: [] for name in steps}
        for _ in range(repeats):
            for name, step in steps.items():
                times[name].append(seconds_of(step))
        costs += [step.cost(name, times[name]) for name, step in steps.items()]
    return costs


class _Step:
    """A compiled outer step on random tokens; a call takes one step."""

    def __init__(self, config, seq: int, batch: int):
        from lab.training.devices import begin, compile_step, make_mesh
        from lab.training.loop import make_optimizer

        experiment = _experiment(config, seq, batch)
        phase = experiment.phases[0]
        optimizer = make_optimizer(experiment, phase.stage)
        self.phase, self.step = phase, compile_step(phase, optimizer)
        began = begin(phase, optimizer, make_mesh(batch), experiment.seed)
        self.model, self.opt_state = began
        draw = np.random.default_rng(0)
        self.tokens = draw.integers(0, config.vocab, (batch, seq + 1), np.int32)
        self.compile_seconds = seconds_of(self)
        self.temporary_bytes = self._temporary_bytes()

    def __call__(self):
        self.model, self.opt_state, measured = self.step(
            self.model, self.opt_state, self.tokens, 1.0
        )
        return measured

    def _temporary_bytes(self) -> int:
        """Temporary memory of the very program that runs, which jit returns again."""
        arguments = self.step.arrange(self.model, self.opt_state, self.tokens, 1.0)
        compiled = self.step.program.lower(*arguments).compile()
        return int(compiled.compiled.memory_analysis().temp_size_in_bytes)

    def cost(self, name: str, seconds: list[float]) -> Cost:
        from lab.training.flops import train_flops_per_token

        phase = self.phase
        flops = train_flops_per_token(phase.model, phase.seq)
        return Cost(
            name,
            phase.seq,
            phase.batch,
            min(seconds),
            self.compile_seconds,
            flops,
            self.temporary_bytes,
            float(np.median(seconds)) / min(seconds),
        )


def _experiment(config, seq: int, batch: int):
    from lab.recipes.experiment import Experiment, Stage

    stage = Stage(
        "bench", "", tokens=seq * batch, seq=seq, batch=batch, lr=1e-3, accumulate=batch
    )
    method = "meta" if config.learns else "plain"
    return Experiment("bench", config, "", (stage,), method=method)
