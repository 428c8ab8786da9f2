"""What a recipe asks for: a model, texts, and how to train the model on the texts.

A run goes through *stages*, as in the paper: pre-training at a short context, then an
extension at a long one. Weights are carried over; the optimiser begins anew, with its
own warm-up and cosine. Steps are counted through all stages.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lab.names import choose


if TYPE_CHECKING:
    from ttt_core import ModelConfig


METHODS = ("meta", "plain")
TRAINED = ("all", "fast")
MOST_STEPS = 2**31 - 1  # counted in int32
# Name: least, most, what it is ("least" itself left out where the fourth is True).
STAGE_RANGES = {
    "tokens": (1, 10**15, "length of the stage"),
    "seq": (1, 2**30, "tokens per sequence"),
    "batch": (1, 2**20, "sequences per outer step"),
    "accumulate": (1, 2**20, "parts that a batch is read in"),
    "lr": (0, 10, "peak outer rate", True),
    "warmup": (0, 1, "a share of the stage's steps"),
    "final_lr": (0, 10, "outer rate at the end"),
    "inner_start": (0, 1, "a share of the inner rate"),
    "inner_warmup": (0, 1, "a share of the stage's steps"),
    "rope_theta": (1, 1e12, "base of the rotary positions"),
    "remat": (1, 2**30, "chunks between kept learners, none = keep everything"),
}
RANGES = {
    "decay": (0, 1, "weight decay"),
    "clip": (0, math.inf, "largest norm of the outer gradient", True),
    "seed": (0, 2**32 - 1, "decides first weights and the order of the data"),
    "checks": (0, 10**6, "measurements of held-out loss in a stage, 0 = never"),
    "gain_every": (0, 2**31 - 1, "steps between two readings, 0 = never"),
}


def _check(config, ranges: dict[str, tuple]):
    from ttt_core.ranges import Range, check_ranges  # JAX waits until it is needed

    check_ranges(config, {name: Range(*row) for name, row in ranges.items()})


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a training: a text, a length, a schedule.

    `tokens`: length of the stage. `seq`: tokens per sequence. `batch`: sequences per
    outer step, in `accumulate` parts one after another. `lr`: peak outer rate, reached
    after `warmup` (a share of the stage's steps) and lowered to `final_lr` by a cosine.
    `inner_start`: the inner rate begins at this share of `model.inner.lr` and reaches
    the full rate after `inner_warmup` (a share of the steps); 1 = no warm-up.
    `rope_theta`: base of the rotary positions from this stage on, None = as before.
    `remat`: see `meta_loss`.

    **Raises** `ValueError` with the offending value.
    """

    name: str
    corpus: str
    tokens: int
    seq: int
    batch: int
    lr: float
    accumulate: int = 1
    warmup: float = 0.1
    final_lr: float = 1e-5
    inner_start: float = 0.1
    inner_warmup: float = 0.1
    rope_theta: float | None = None
    remat: int | None = None

    def __post_init__(self):
        _check(self, STAGE_RANGES)
        if self.batch % self.accumulate:
            raise ValueError(
                f"`accumulate` must divide `batch`: got accumulate={self.accumulate}, "
                f"batch={self.batch}."
            )
        if self.steps > MOST_STEPS:
            raise ValueError(
                f"{self.name} would take {self.steps:,} steps, and at most "
                f"{MOST_STEPS:,} can be counted: lower `tokens` ({self.tokens:,}), or "
                f"raise `seq` ({self.seq:,}) or `batch` ({self.batch:,})."
            )

    @property
    def steps(self) -> int:
        """Number of outer steps: as many as `tokens` fill, at least one."""
        return max(1, self.tokens // self.tokens_per_step)

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one outer step."""
        return self.seq * self.batch

    def inner_rate(self, step: int) -> float:
        """The factor on the inner rate at a step of this stage (0-based)."""
        ramp = min(1.0, (step + 1) / max(1.0, self.inner_warmup * self.steps))
        return self.inner_start + (1.0 - self.inner_start) * ramp


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that decides a training run, and nothing about where it runs.

    `model`: the configuration. `method`: "meta" trains through the inner steps; "plain"
    trains the same Transformer without inner steps (inner rate 0). `decay`: weight
    decay of AdamW, on everything, or (`decay_norms=False`) on all but the weights of
    norms. `clip`: largest global norm of the outer gradient.
    `seed`: decides the first weights and the order of the data. `checks`: how many
    times a stage measures held-out loss. `gain_every`: steps between two readings of
    the batch by the frozen twin, 0 = never. The last two do not influence the training.

    `start`: the name of the model to begin from, "" = fresh weights. Its weights get
    fast ones as `model` says (`ttt_core.warm_start`). `trained`: which part is trained,
    "all" or "fast" (W0 and the norms around it; the rest stays as it is).

    **Raises** `ValueError` with the offending value.
    """

    name: str
    model: "ModelConfig"
    tokenizer: str
    stages: tuple[Stage, ...]
    method: str = "meta"
    decay: float = 0.1
    decay_norms: bool = True
    clip: float = 1.0
    seed: int = 0
    checks: int = 10
    gain_every: int = 20
    start: str = ""
    trained: str = "all"

    def __post_init__(self):
        choose("method", self.method, METHODS)
        choose("trained", self.trained, TRAINED)
        _check(self, RANGES)
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"stages need names of their own, at least one: {names}.")
        if self.method == "meta" and not self.model.learns:
            raise ValueError(
                "meta-training needs a model that learns: got inner rate "
                f"{self.model.inner.lr} and {self.model.fast_blocks} fast blocks; set "
                'model.lr and model.fast_blocks, or method="plain".'
            )

    @property
    def steps(self) -> int:
        """Number of outer steps in all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def tokens(self) -> int:
        """Number of tokens in all stages, whole steps only."""
        return sum(stage.steps * stage.tokens_per_step for stage in self.stages)

    @property
    def phases(self) -> tuple["Phase", ...]:
        """The stages, each at its place in the run."""
        found, start, tokens, theta = [], 0, 0, None
        for index, stage in enumerate(self.stages):
            theta = stage.rope_theta or theta
            found.append(Phase(self, index, start, tokens, theta))
            start += stage.steps
            tokens += stage.steps * stage.tokens_per_step
        return tuple(found)

    def plain(self) -> "Experiment":
        """The plainly trained twin: same weights, same text, no inner steps."""
        if self.method == "plain":
            return self
        return dataclasses.replace(self, method="plain", name=self.name + "-plain")


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stage at its place in a run: what one compiled outer step needs to know.

    `start`: the run's first step of this stage. `tokens_before`: tokens of all earlier
    stages. `theta`: base of the rotary positions, None = the model's own.
    """

    experiment: Experiment
    index: int
    start: int
    tokens_before: int
    theta: float | None

    @property
    def stage(self) -> Stage:
        """The settings of this stage."""
        return self.experiment.stages[self.index]

    @property
    def model(self) -> "ModelConfig":
        """The model's configuration during this stage."""
        config = self.experiment.model
        if self.theta is not None:
            config = config.replace(rope_theta=self.theta)
        return config.replace(lr=0.0) if self.experiment.method == "plain" else config

    @property
    def seq(self) -> int:
        """Tokens per sequence."""
        return self.stage.seq

    @property
    def batch(self) -> int:
        """Sequences per outer step, over all devices."""
        return self.stage.batch

    @property
    def accumulate(self) -> int:
        """Number of parts that a batch is read in, one after another."""
        return self.stage.accumulate

    @property
    def remat(self) -> int | None:
        """See `meta_loss`."""
        return self.stage.remat

    @property
    def end(self) -> int:
        """The run's first step after this stage."""
        return self.start + self.stage.steps

    @property
    def is_last(self) -> bool:
        """Whether the run ends with this stage."""
        return self.index + 1 == len(self.experiment.stages)

    @property
    def seed(self) -> int:
        """The seed of the data's order, which differs from stage to stage."""
        if self.index == 0:
            return self.experiment.seed
        words = np.random.SeedSequence((self.experiment.seed, self.index))
        return int(words.generate_state(1)[0])

    @property
    def checkpoint_name(self) -> str:
        """The name of the model when this stage is done."""
        name = self.experiment.name
        return name if self.is_last else f"{name}-{self.stage.name}"

    def tokens_at(self, step: int) -> int:
        """Tokens seen after a step of the run."""
        return self.tokens_before + (step + 1 - self.start) * self.stage.tokens_per_step

    def steps_from(self, first: int) -> Iterator["Step"]:
        """The steps of this stage from the run's step `first` on."""
        for index in range(first, self.end):
            since = index - self.start
            yield Step(
                index,
                self.stage.inner_rate(since),
                is_compared=self._is_compared(since),
                is_checked=self._is_checked(since + 1),
                is_last=index + 1 == self.end,
            )

    def _is_compared(self, since: int) -> bool:
        every = self.experiment.gain_every
        return self.model.learns and every > 0 and since % every == 0

    def _is_checked(self, done: int) -> bool:
        every = max(1, self.stage.steps // max(1, self.experiment.checks))
        is_due = done % every == 0 or done == self.stage.steps
        return self.experiment.checks > 0 and is_due


@dataclasses.dataclass(frozen=True)
class Step:
    """One outer step, and what is measured beside it.

    `index`: number of the step, counted through all stages. `inner_rate`: factor on the
    inner rate. `is_compared`: whether the frozen twin reads the batch too.
    `is_checked`: whether held-out loss is measured afterwards. `is_last`: whether the
    step is the last of its stage.
    """

    index: int
    inner_rate: float
    is_compared: bool
    is_checked: bool
    is_last: bool
