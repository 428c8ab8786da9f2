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
import optax

from lab import runs
from lab.data import sources, tokenizers
from lab.names import choose
from lab.recipes.experiment import Experiment, Phase, Stage
from lab.training.devices import (
    begin,
    compile_step,
    compile_twin,
    gather,
    make_mesh,
    rows,
)
from lab.training.divergence import Divergence, advice
from lab.training.held_out import open_watch
from lab.training.hosts import agree, is_leader
from lab.training.metrics import Meter, Record, Stopwatch, machine_peak
from lab.training.provenance import claim_source
from lab.training.resuming import Checkpoints, Resumed, claim_devices


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
    track: str | None = None,
    state: int = 1,
):
    """Train to the end, resuming where a run of the same experiment stopped.

    `report(line: dict)` gets what `metrics.jsonl` gets, after every step; `say(text)`
    what a person should know.
    `stage_done(phase, model)` is called when a stage is done, and again by a run that
    resumes just there. `until` names the last stage to train. `checkpoint_every` is in
    seconds and has no influence on any number. `elastic` accepts other devices than
    the run was begun on. `track`: see `lab.training.trackers`. `state`: into how many
    pieces weights are cut (`ttt_core.scale.sharding`). Returns the trained model.

    **Raises** `ValueError` where the run folder holds another experiment or was begun
    on other devices, `FloatingPointError` where training diverges
    (`lab.training.divergence`; the last good checkpoint stays, and the best).
    """
    run = run or runs.folder(experiment.name)
    phases = _phases_until(experiment, until)
    with Checkpoints(run) as checkpoints:
        done = checkpoints.newest
        runs.claim(run, experiment, done)
        warnings = []
        if done < phases[-1].end:  # else no step is taken, here or under this source
            warnings.append(claim_devices(run, elastic=elastic, state=state))
            warnings.append(claim_source(run, done, write=is_leader()))
        for warning in filter(None, warnings):
            if say:
                say(warning)
        check_texts(phases)
        at = checkpoints.restore(*_beginning(experiment, done, state))
        with Record(run, experiment, at.step, report=report, track=track) as record:
            loop = _Loop(experiment, run, checkpoints, record, checkpoint_every, state)
            for phase in phases:
                if at.step < phase.end:
                    at = loop.run_stage(phase, at)
                if at.step == phase.end and stage_done:
                    stage_done(phase, gather(_with_config(at.model, phase)))
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


def check_texts(phases: tuple[Phase, ...]):
    """All stages' texts are there, before the first step of the first one.

    **Raises** `ValueError` or `FileNotFoundError`, a sentence, where one is not.
    """
    for phase in phases:
        tokenizer = _tokenizer(phase)
        sources.count_windows(phase.stage.corpus, tokenizer, "train", phase.seq)


def open_data(phase: Phase, process: tuple[int, int] = (0, 1)):
    """The batches of a stage, a Grain iterator as `lab.data.sources.open_batches`.

    `process`: which of how many shares of each batch, as `devices.rows` says.

    **Raises** `ValueError` where tokenizer and model have different vocabularies.
    """
    return sources.open_batches(
        phase.stage.corpus,
        _tokenizer(phase),
        "train",
        seq=phase.seq,
        batch=phase.batch,
        seed=phase.seed,
        process_index=process[0],
        process_count=process[1],
    )


def _tokenizer(phase: Phase):
    vocab = phase.experiment.model.vocab
    tokenizer = tokenizers.load(phase.experiment.tokenizer)
    if tokenizer.vocab != vocab:
        raise ValueError(
            f"tokenizer {tokenizer.name!r} has {tokenizer.vocab} entries and the model "
            f"{vocab}; set model.vocab={tokenizer.vocab}."
        )
    return tokenizer


@dataclasses.dataclass
class _Loop:
    """What stays the same from stage to stage."""

    experiment: Experiment
    run: Path
    checkpoints: Checkpoints
    record: Record
    checkpoint_every: float
    state: int

    def __post_init__(self):
        self.watch, self.peak, self.saved = open_watch(self.experiment), None, 0.0

    def run_stage(self, phase: Phase, at: Resumed) -> Resumed:
        """From where `at` is, in this stage or just before it, to the stage's end."""
        optimizer = make_optimizer(self.experiment, phase.stage)
        mesh = make_mesh(phase.batch, self.state)
        model, data = _with_config(at.model, phase), open_data(phase, rows(mesh))
        opt_state = at.opt_state
        if at.step == phase.start:
            opt_state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))
        elif at.data is not None:
            data.set_state(at.data)
        step_once = self._measured_step(phase, optimizer, mesh)
        divergence, self.saved = Divergence(phase, self.record.lines), time.monotonic()
        for step in range(at.step, phase.end):
            model, opt_state, line = step_once(step, model, opt_state, data)
            line |= self.watch(model) if phase.is_checked_at(step) else {}
            self.record.write(line)
            self._check(phase, divergence.see(line), divergence.since)
            if self._is_due(line, divergence.since, step + 1 == phase.end):
                position, held_out = data.get_state(), line.get("held_out")
                self.checkpoints.save(step + 1, model, opt_state, position, held_out)
                self.saved = time.monotonic()
        return Resumed(model, opt_state, phase.end, None)

    def _measured_step(self, phase: Phase, optimizer, mesh):
        """A function that takes one step and makes its metrics line."""
        take_step = compile_step(phase, optimizer, mesh)
        twin = compile_twin(phase, mesh)
        self.peak = self.peak or machine_peak()
        meter = Meter(phase, make_schedule(phase.stage), self.peak)

        def step_once(step: int, model, opt_state, data):
            watch, text = Stopwatch(), dict(next(data))
            tokens, frozen = text.pop("tokens"), None
            rate = phase.stage.inner_rate(step - phase.start)
            if phase.is_compared_at(step):  # before the step, which takes the model
                frozen = watch.without(twin, model, tokens, text.get("mask"))
            taken = take_step(model, opt_state, tokens, rate, **text)
            model, opt_state, measured = taken
            return model, opt_state, meter.line(step, rate, measured, frozen, watch)

        return step_once

    def _is_due(self, line: dict, jumped: int | None, is_end: bool) -> bool:
        """Whether to save: by the clock or with a held-out loss, while all is well."""
        late = agree(time.monotonic() - self.saved > self.checkpoint_every)
        return is_end or (jumped is None and (late or "held_out" in line))

    def _check(self, phase: Phase, wrong: str | None, since: int | None):
        if wrong is None:
            return
        kept = self.checkpoints.forget_from(since)
        best = self.checkpoints.best
        good = f"the last good checkpoint is that of step {kept}" if kept else ""
        good += f", the best that of step {best}" if best not in (None, kept) else ""
        where = f"{good} ({self.run / 'checkpoints'})" if good else "none was kept yet"
        raise FloatingPointError(
            f"{wrong}: training diverged; {where}. {advice(phase)}"
        )


def _phases_until(experiment: Experiment, until: str | None) -> tuple[Phase, ...]:
    if until is None:
        return experiment.phases
    names = [stage.name for stage in experiment.stages]
    return experiment.phases[: names.index(choose("stage", until, names)) + 1]


def _beginning(experiment: Experiment, done: int, state: int):
    """Model and optimiser state, shaped as the stage of step `done` shapes them."""
    phase = next(phase for phase in experiment.phases if done <= phase.end)
    optimizer = make_optimizer(experiment, phase.stage)
    return begin(phase, optimizer, make_mesh(phase.batch, state), experiment.seed)


def _with_config(model, phase: Phase):
    """The same weights, in a model configured as this stage wants it."""
    build = lambda: phase.model.build(key=jax.random.key(0))
    structure = jax.tree.structure(eqx.filter_eval_shape(build))
    return jax.tree.unflatten(structure, jax.tree.leaves(model))
