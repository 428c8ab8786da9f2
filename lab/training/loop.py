"""The training loop: one for every recipe.

A run is decided by its `Experiment` alone. Batch `i` of a stage follows from the seed,
the stage and `i`, the inner rate follows from `i`, and a checkpoint holds model,
optimiser and position. So the same command resumes a killed run, to the same numbers.

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
    part,
    rows,
)
from lab.training.divergence import Divergence, advice
from lab.training.held_out import open_watch
from lab.training.hosts import agree, is_leader
from lab.training.interrupts import Interrupts
from lab.training.machine import total_peak
from lab.training.metrics import Meter, Record, Stopwatch
from lab.training.provenance import claim_source
from lab.training.resuming import (
    Checkpoints,
    Resumed,
    claim_devices,
    told_if_full,
)
from lab.training.texts import claim_texts, remarks
from ttt_core.layers import RMSNorm


def train(
    experiment: Experiment,
    run: Path | None = None,
    conduct: Conduct = Conduct(),
    *,
    report: Callable[[dict], None] | None = None,
    say: Callable[[str], None] | None = None,
    stage_done: Callable[[Phase, ttt.Transformer], None] | None = None,
    interrupts: Interrupts | None = None,
) -> ttt.Transformer:
    """Train to the end, resuming where a run of the same experiment stopped.

    Args:
        experiment: what to train.
        run: the run folder; None for the folder named after the experiment.
        conduct: where to stop, how often to save, on which devices.
        report: called after every step with the step's line of `metrics.jsonl`.
        say: called with each sentence for the person at the terminal.
        stage_done: called with the phase and the model when a stage is done, and again
            by a run that resumes exactly there.
        interrupts: an entered context that may ask the training to stop.

    Returns:
        The trained model.

    **Raises** `ValueError` if the run folder holds another experiment, was started on
    other devices or texts, or is in use by another process, `FloatingPointError` if
    training diverges (`lab.training.divergence`; the last good checkpoint and the best
    are kept), `OSError` if the disk is full, `Stopped` if asked to stop.
    """
    run = run or runs.folder(experiment.name)
    phases = phases_until(experiment, conduct.until)
    interrupts = interrupts or Interrupts(run)
    check_texts(phases)  # first, so that a refused training leaves no folder
    with (
        runs.locked(run, write=is_leader()),
        told_if_full(run),
        Checkpoints(run) as checkpoints,
    ):
        done = checkpoints.newest
        runs.claim(run, experiment, done)
        if done < phases[-1].end:  # a finished run takes no more steps
            _claim_place(run, phases, done, conduct, say)
        model, opt_state = beginning(experiment, done, conduct.cut)
        at = checkpoints.restore(part(phases[0], model), opt_state)
        at = at._replace(model=eqx.combine(at.model, model))
        with Record(run, experiment, at.step, report, conduct.track) as record:
            for phase in phases:
                if at.step < phase.end:
                    at = _run_stage(phase, at, conduct, checkpoints, record, interrupts)
                if at.step == phase.end and stage_done:
                    stage_done(phase, gather(at.model))
    return at.model


def _run_stage(
    phase: Phase,
    at: Resumed,
    conduct: Conduct,
    checkpoints: Checkpoints,
    record: Record,
    interrupts: Interrupts,
) -> Resumed:
    """Train from `at`, in this stage or just before it, to the end of the stage."""
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
        if step.is_compared:  # before the step, because the step donates the model
            with clock.stopped():
                frozen = read_frozen(model, tokens, text.get("mask"))
        model, opt_state, measured = take_step(model, opt_state, tokens, rate, **text)
        line = meter.line(step, measured, frozen, clock)
        interrupts.done = step.index + 1
        if step.is_checked:
            line |= read_held_out(model)
        record.write(line)
        if wrong := divergence.see(line):
            left = checkpoints.forget_from(divergence.since)
            said = f"{wrong}: training diverged; {left}. {advice(phase)}"
            raise FloatingPointError(said)
        is_late = time.monotonic() - saved > conduct.checkpoint_every
        is_late, asked = agree(is_late, interrupts.asked)
        is_wanted = is_late or asked or "held_out" in line
        is_due = divergence.since is None and is_wanted
        if is_due or step.is_last:
            position, held_out = data.get_state(), line.get("held_out")
            changed = part(phase, model)
            checkpoints.save(step.index + 1, changed, opt_state, position, held_out)
            saved, interrupts.saved = time.monotonic(), step.index + 1
        if asked:
            raise interrupts.stopped(asked)
    return Resumed(model, opt_state, phase.end, None)


def phases_until(experiment: Experiment, until: str | None) -> tuple[Phase, ...]:
    """The stages up to the one called `until`, or all stages.

    **Raises** `ValueError` if no stage has this name.
    """
    if until is None:
        return experiment.phases
    names = [stage.name for stage in experiment.stages]
    return experiment.phases[: names.index(choose("stage", until, names)) + 1]


def make_optimizer(
    experiment: Experiment, stage: Stage
) -> optax.GradientTransformation:
    """AdamW 0.9/0.95 with decay on everything, clip, linear warm-up and cosine.

    With `decay_norms=False` the weights of norms do not decay.
    """
    adamw = optax.adamw(
        make_schedule(stage),
        b1=0.9,
        b2=0.95,
        weight_decay=experiment.decay,
        mask=None if experiment.decay_norms else _all_but_norms,
    )
    return optax.chain(optax.clip_by_global_norm(experiment.clip), adamw)


def _all_but_norms(model):
    """True for every array of a model, False for the weights of its norms."""
    is_norm = lambda node: isinstance(node, RMSNorm)
    mark = lambda node: jax.tree.map(lambda _: not is_norm(node), node)
    return jax.tree.map(mark, model, is_leaf=is_norm)


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

    **Raises** `FileNotFoundError` if a text is missing, `ValueError` if a text does not
    fit.
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
    """The batches of a stage, as a Grain iterator from `lab.data.sources`.

    Args:
        phase: the stage.
        process: index and number of this process's share, from `devices.rows`.
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


def _claim_place(
    run: Path, phases: tuple[Phase, ...], done: int, conduct: Conduct, say
):
    """Check devices, texts and source; say what has changed, where a run goes on."""
    claim_texts(run, phases, done, write=is_leader())
    warnings = (
        *remarks(phases),
        claim_devices(run, elastic=conduct.elastic, cut=conduct.cut),
        claim_source(run, done, write=is_leader()),
    )
    goes_on = f"Going on at step {done}, which was saved." if done else None
    for sentence in filter(None, (*warnings, goes_on) if say else ()):
        say(sentence)


def beginning(
    experiment: Experiment, done: int, cut: int = 1
) -> tuple[ttt.Transformer, optax.OptState]:
    """A fresh model and optimiser state, with the shapes of the stage of step `done`.

    Weights are cut into `cut` pieces.
    """
    phase = next(phase for phase in experiment.phases if done <= phase.end)
    optimizer = make_optimizer(experiment, phase.stage)
    return begin(phase, optimizer, make_mesh(phase.batch, cut), experiment.seed)


def _enter(phase: Phase, at: Resumed, optimizer: optax.GradientTransformation, data):
    """Model and optimiser state for a stage that resumes; `data` is moved there too."""
    build = lambda: phase.model.build(key=jax.random.key(0))
    structure = jax.tree.structure(eqx.filter_eval_shape(build))
    model = jax.tree.unflatten(structure, jax.tree.leaves(at.model))
    if at.step == phase.start:
        return model, optimizer.init(part(phase, model))
    data.set_state(at.data)
    return model, at.opt_state
