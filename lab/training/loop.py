"""The training loop: one, for every recipe.

A run is decided by its `Experiment` alone. Batch `i` of a stage follows from the seed,
the stage and `i`, the inner rate from `i`, and a checkpoint holds model, optimiser and
position; so a run that was killed goes on, by the same command, to the same numbers.

Read `train`, then `_run_stage`: its loop is a step of training, line by line.
"""

import time
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import grain
import jax
import optax

import ttt_core as ttt
from lab import runs
from lab.data import sources, tokenizers
from lab.names import choose
from lab.recipes.experiment import Experiment, Phase, Stage
from lab.training.conduct import Conduct
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
from lab.training.machine import total_peak
from lab.training.metrics import Meter, Record, Stopwatch
from lab.training.provenance import claim_source
from lab.training.resuming import Checkpoints, Resumed, claim_devices


def train(
    experiment: Experiment,
    run: Path | None = None,
    conduct: Conduct = Conduct(),
    *,
    report: Callable[[dict], None] | None = None,
    say: Callable[[str], None] | None = None,
    stage_done: Callable[[Phase, ttt.Transformer], None] | None = None,
) -> ttt.Transformer:
    """Train to the end, resuming where a run of the same experiment stopped.

    Args:
        experiment: what to train.
        run: the run folder; None for the one named after the experiment.
        conduct: where to stop, how often to save, on which devices.
        report: called after every step with the line that `metrics.jsonl` gets.
        say: called with a sentence where a person should know something.
        stage_done: called when a stage is done with its phase and the model, and again
            by a run that resumes exactly there.

    Returns the trained model.

    **Raises** `ValueError` where the run folder holds another experiment or was begun
    on other devices, `FloatingPointError` where training diverges
    (`lab.training.divergence`; the last good checkpoint stays, and the best).
    """
    run = run or runs.folder(experiment.name)
    phases = phases_until(experiment, conduct.until)
    with Checkpoints(run) as checkpoints:
        done = checkpoints.newest
        runs.claim(run, experiment, done)
        if done < phases[-1].end:  # else no step is taken, here or under this source
            _claim_place(run, done, conduct, say)
        check_texts(phases)
        at = checkpoints.restore(*beginning(experiment, done, conduct.cut))
        with Record(run, experiment, at.step, report, conduct.track) as record:
            for phase in phases:
                if at.step < phase.end:
                    at = _run_stage(phase, at, conduct, checkpoints, record)
                if at.step == phase.end and stage_done:
                    stage_done(phase, gather(at.model))
    return at.model


def _run_stage(
    phase: Phase,
    at: Resumed,
    conduct: Conduct,
    checkpoints: Checkpoints,
    record: Record,
) -> Resumed:
    """Train from where `at` is, in this stage or just before it, to the stage's end."""
    mesh = make_mesh(phase.batch, conduct.cut)
    optimizer = make_optimizer(phase.experiment, phase.stage)
    data = open_data(phase, rows(mesh))
    model, opt_state = _enter(phase, at, optimizer, data)
    take_step = compile_step(phase, optimizer, mesh)
    read_frozen = compile_twin(phase, mesh)
    read_held_out = open_watch(phase.experiment)
    meter = Meter(phase, make_schedule(phase.stage), total_peak())
    divergence, saved = Divergence(phase, record.lines), time.monotonic()
    for step in phase.steps_from(at.step):
        clock, text, frozen = Stopwatch(), dict(next(data)), None
        tokens, rate = text.pop("tokens"), step.inner_rate
        if step.is_compared:  # before the step, to which the model's arrays are given
            with clock.stopped():
                frozen = read_frozen(model, tokens, text.get("mask"))
        model, opt_state, measured = take_step(model, opt_state, tokens, rate, **text)
        line = meter.line(step, measured, frozen, clock)
        if step.is_checked:
            line |= read_held_out(model)
        record.write(line)
        if wrong := divergence.see(line):
            left = checkpoints.forget_from(divergence.since)
            said = f"{wrong}: training diverged; {left}. {advice(phase)}"
            raise FloatingPointError(said)
        is_late = agree(time.monotonic() - saved > conduct.checkpoint_every)
        is_due = divergence.since is None and (is_late or "held_out" in line)
        if is_due or step.is_last:
            position, held_out = data.get_state(), line.get("held_out")
            checkpoints.save(step.index + 1, model, opt_state, position, held_out)
            saved = time.monotonic()
    return Resumed(model, opt_state, phase.end, None)


def phases_until(experiment: Experiment, until: str | None) -> tuple[Phase, ...]:
    """The stages up to the one called `until`, or all.

    **Raises** `ValueError` where no stage is called so.
    """
    if until is None:
        return experiment.phases
    names = [stage.name for stage in experiment.stages]
    return experiment.phases[: names.index(choose("stage", until, names)) + 1]


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
    """Check, before the first step, that all texts are there and fit the model.

    **Raises** `ValueError` or `FileNotFoundError`, a sentence, where one does not.
    """
    experiment = phases[0].experiment
    tokenizer, vocab = tokenizers.load(experiment.tokenizer), experiment.model.vocab
    if tokenizer.vocab != vocab:
        raise ValueError(
            f"tokenizer {tokenizer.name!r} has {tokenizer.vocab} entries and the model "
            f"{vocab}; set model.vocab={tokenizer.vocab}."
        )
    for phase in phases:
        sources.count_windows(phase.stage.corpus, tokenizer, "train", phase.seq)


def open_data(phase: Phase, process: tuple[int, int] = (0, 1)) -> grain.DatasetIterator:
    """The batches of a stage, a Grain iterator as `lab.data.sources.open_batches`.

    `process`: which of how many shares of each batch, as `devices.rows` says.
    """
    return sources.open_batches(
        phase.stage.corpus,
        phase.experiment.tokenizer,
        "train",
        seq=phase.seq,
        batch=phase.batch,
        seed=phase.seed,
        process_index=process[0],
        process_count=process[1],
    )


def _claim_place(run: Path, done: int, conduct: Conduct, say):
    """Check the devices and the source of a run that goes on, and say what changed."""
    warnings = (
        claim_devices(run, elastic=conduct.elastic, cut=conduct.cut),
        claim_source(run, done, write=is_leader()),
    )
    for warning in filter(None, warnings if say else ()):
        say(warning)


def beginning(
    experiment: Experiment, done: int, cut: int = 1
) -> tuple[ttt.Transformer, optax.OptState]:
    """A fresh model and optimiser state, shaped as the stage of step `done` has them.

    `cut`: into how many pieces weights are cut.
    """
    phase = next(phase for phase in experiment.phases if done <= phase.end)
    optimizer = make_optimizer(experiment, phase.stage)
    return begin(phase, optimizer, make_mesh(phase.batch, cut), experiment.seed)


def _enter(phase: Phase, at: Resumed, optimizer: optax.GradientTransformation, data):
    """Model and optimiser state as a stage goes on from them; `data` is wound there."""
    build = lambda: phase.model.build(key=jax.random.key(0))
    structure = jax.tree.structure(eqx.filter_eval_shape(build))
    model = jax.tree.unflatten(structure, jax.tree.leaves(at.model))
    if at.step == phase.start:
        return model, optimizer.init(eqx.filter(model, eqx.is_inexact_array))
    data.set_state(at.data)
    return model, at.opt_state
