"""The training loop: one, for every recipe.

A run is decided by its `Experiment` alone. Batch `i` of a stage follows from the seed,
the stage and `i`, the inner rate from `i`, and a checkpoint holds model, optimiser and
position; so a run that was killed goes on, by the same command, to the same numbers.
"""

import dataclasses
import time
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import optax

from lab import runs
from lab.data import batches, shards, tokenizers
from lab.devices import compile_step
from lab.experiment import Experiment, Phase, Stage
from lab.held_out import open_watch
from lab.resuming import Checkpoints, Resumed, claim_devices


CHECKPOINT_EVERY_S = 120.0


def train(
    experiment: Experiment,
    *,
    run: Path | None = None,
    report=None,
    stage_done=None,
    say=None,
    until: str | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY_S,
    elastic: bool = False,
):
    """Train to the end, resuming where a run of the same experiment stopped.

    `report(line: dict)` gets what `metrics.jsonl` gets, after every step; `say(text)`
    what a person should know.
    `stage_done(phase, model)` is called when a stage is done, and again by a run that
    resumes just there. `until` names the last stage to train. `checkpoint_every` is in
    seconds and has no influence on any number. `elastic` accepts other devices than
    the run was begun on. Returns the trained model.

    **Raises** `ValueError` where the run folder holds another experiment or was begun
    on other devices, `FloatingPointError` where the loss stops being finite (the last
    good checkpoint stays).
    """
    run = run or runs.folder(experiment.name)
    phases = _phases_until(experiment, until)
    with Checkpoints(run) as checkpoints:
        runs.claim(run, experiment, checkpoints.newest)
        warning = claim_devices(run, elastic=elastic)
        if warning and say:
            say(warning)
        loop = _Loop(experiment, run, checkpoints, report, checkpoint_every)
        at = checkpoints.restore(*_beginning(experiment, checkpoints.newest))
        loop.metrics = runs.Metrics(run / "metrics.jsonl", at.step)
        for phase in phases:
            if at.step < phase.end:
                at = loop.run_stage(phase, at)
            if at.step == phase.end and stage_done:
                stage_done(phase, _with_config(at.model, phase))
    return _with_config(at.model, phases[-1])


def make_optimizer(
    experiment: Experiment, stage: Stage
) -> optax.GradientTransformation:
    """AdamW 0.9/0.95, decay on everything, clip, linear warm-up, cosine."""
    adamw = optax.adamw(
        make_schedule(stage), b1=0.9, b2=0.95, weight_decay=experiment.decay
    )
    return optax.chain(optax.clip_by_global_norm(experiment.clip), adamw)


def make_schedule(stage: Stage) -> optax.Schedule:
    """The outer rate at each step of a stage."""
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=stage.lr,
        warmup_steps=max(1, round(stage.warmup * stage.steps)),
        decay_steps=max(stage.steps, 2),
        end_value=min(stage.final_lr, stage.lr),
    )


def open_data(phase: Phase):
    """The batches of a stage, as a Grain iterator of `{"tokens": [batch, seq + 1]}`.

    **Raises** `ValueError` where tokenizer and model have different vocabularies.
    """
    experiment, stage = phase.experiment, phase.stage
    tokenizer = tokenizers.load(experiment.tokenizer)
    if tokenizer.vocab != experiment.model.vocab:
        raise ValueError(
            f"tokenizer {tokenizer.name!r} has {tokenizer.vocab} entries and the model "
            f"{experiment.model.vocab}; set model.vocab={tokenizer.vocab}."
        )
    opened = shards.open(stage.corpus, experiment.tokenizer, "train")
    return batches.batches(
        opened, seq=stage.seq, batch=stage.batch, bos=tokenizer.bos, seed=phase.seed
    )


@dataclasses.dataclass
class _Loop:
    """What stays the same from stage to stage."""

    experiment: Experiment
    run: Path
    checkpoints: Checkpoints
    report: object
    checkpoint_every: float
    metrics: runs.Metrics | None = None

    def __post_init__(self):
        self.watch = open_watch(self.experiment)

    def run_stage(self, phase: Phase, at: Resumed) -> Resumed:
        """From where `at` is, in this stage or just before it, to the stage's end."""
        optimizer = make_optimizer(self.experiment, phase.stage)
        model, data = _with_config(at.model, phase), open_data(phase)
        opt_state = at.opt_state
        if at.step == phase.start:
            opt_state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))
        elif at.data is not None:
            data.set_state(at.data)
        step_fn, saved = compile_step(phase, optimizer), time.monotonic()
        for step in range(at.step, phase.end):
            began = time.monotonic()
            rate = phase.stage.inner_rate(step - phase.start)
            tokens = next(data)["tokens"]
            model, opt_state, measured = step_fn(model, opt_state, tokens, rate)
            line = _measure(phase, step, rate, measured, began)
            line |= self._check(phase, step, model)
            self.metrics.write(line)
            if self.report:
                self.report(line)
            _check_finite(line, self.run)
            late = time.monotonic() - saved > self.checkpoint_every
            if late or "held_out" in line or step + 1 == phase.end:
                self.checkpoints.save(
                    step + 1, model, opt_state, data.get_state(), line.get("held_out")
                )
                saved = time.monotonic()
        return Resumed(model, opt_state, phase.end, None)

    def _check(self, phase: Phase, step: int, model) -> dict:
        return self.watch(model) if phase.is_checked_at(step) else {}


def _phases_until(experiment: Experiment, until: str | None) -> tuple[Phase, ...]:
    from lab.experiment import choose

    if until is None:
        return experiment.phases
    names = [stage.name for stage in experiment.stages]
    return experiment.phases[: names.index(choose("stage", until, names)) + 1]


def _beginning(experiment: Experiment, done: int):
    """Model and optimiser state, shaped as the stage of step `done` shapes them."""
    phase = next(phase for phase in experiment.phases if done <= phase.end)
    model = phase.model.build(key=jax.random.key(experiment.seed))
    optimizer = make_optimizer(experiment, phase.stage)
    return model, optimizer.init(eqx.filter(model, eqx.is_inexact_array))


def _with_config(model, phase: Phase):
    """The same weights, in a model configured as this stage wants it."""
    build = lambda: phase.model.build(key=jax.random.key(0))
    structure = jax.tree.structure(eqx.filter_eval_shape(build))
    return jax.tree.unflatten(structure, jax.tree.leaves(model))


def _measure(phase: Phase, step: int, rate: float, measured: dict, began: float):
    numbers = {name: float(value) for name, value in measured.items()}
    seconds = time.monotonic() - began
    outer = float(make_schedule(phase.stage)(step - phase.start))
    return {
        "step": step,
        "stage": phase.stage.name,
        "tokens": phase.tokens_at(step),
        **numbers,
        "lr": outer,
        "inner_rate": rate,
        "seconds": seconds,
        "tokens_per_s": phase.stage.tokens_per_step / seconds,
    }


def _check_finite(line: dict, run: Path):
    if not np.isfinite(line["loss"]):
        raise FloatingPointError(
            f"the loss is {line['loss']} at step {line['step']}: training diverged; "
            f"the last good checkpoint is in {run / 'checkpoints'}. Try half the "
            "outer rate (--set lr=...), a smaller inner rate, or a longer warm-up."
        )
