"""The training loop: one, for every recipe.

A run is decided by its `Experiment` alone. Batch `i` follows from the seed and `i`, the
inner rate from `i`, and a checkpoint holds model, optimiser and step; so a run that was
killed goes on, by the same command, to the same numbers.
"""

import contextlib
import json
import os
import time
import warnings
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import ttt_core as ttt
from lab import runs
from lab.data import batches, shards, tokenizers
from lab.experiment import Experiment


CHECKPOINT_EVERY_S = 120.0


def train(experiment: Experiment, *, run: Path | None = None, report=print):
    """Train to the end, resuming where a run of the same experiment stopped.

    `report(line: dict, experiment)` is called after every step with what
    `metrics.jsonl` gets. Returns the trained model.

    **Raises** `ValueError` where the run folder holds another experiment,
    `FloatingPointError` where the loss stops being finite (the last good checkpoint
    stays).
    """
    run = run or runs.folder(experiment.name)
    _claim(run, experiment)
    data, bos = _open_data(experiment)
    optimizer = make_optimizer(experiment)
    start = jax.random.key(experiment.seed)
    model = experiment.model.build(key=start)
    params = eqx.filter(model, eqx.is_inexact_array)
    with _checkpoints(run) as manager:
        model, opt_state, first = _restore(manager, model, optimizer.init(params))
        data.set_state(_data_state(data, first))
        metrics = runs.Metrics(run / "metrics.jsonl", first)
        step_fn = compile_step(experiment, optimizer)
        saved = time.monotonic()
        for step in range(first, experiment.steps):
            began = time.monotonic()
            tokens, rate = next(data)["tokens"], experiment.inner_rate(step)
            model, opt_state, measured = step_fn(model, opt_state, tokens, rate)
            line = _measure(step, measured, began, experiment)
            metrics.write(line)
            report(line, experiment)
            _check_finite(line, run)
            is_last = step + 1 == experiment.steps
            if is_last or time.monotonic() - saved > CHECKPOINT_EVERY_S:
                _save(manager, step + 1, model, opt_state)
                saved = time.monotonic()
    return model


def make_optimizer(experiment: Experiment) -> optax.GradientTransformation:
    """AdamW 0.9/0.95, decay on everything, clip, linear warm-up, cosine."""
    steps = experiment.steps
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=experiment.lr,
        warmup_steps=max(1, round(experiment.warmup * steps)),
        decay_steps=max(steps, 2),
        end_value=min(experiment.final_lr, experiment.lr),
    )
    adamw = optax.adamw(schedule, b1=0.9, b2=0.95, weight_decay=experiment.decay)
    return optax.chain(optax.clip_by_global_norm(experiment.clip), adamw)


def use_all_cores(batch: int):
    """Give each core a device of its own, as far as `batch` can be shared evenly.

    A small model's operations are too small to split: two cores that read different
    sequences are half again as fast as two that share each product. Call it before JAX
    has been used; afterwards, or on a GPU or TPU, it changes nothing.
    """
    cores = os.cpu_count() or 1
    devices = max(n for n in range(1, cores + 1) if batch % n == 0)
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", devices)


def data_mesh(experiment: Experiment) -> Mesh:
    """All devices in a row, as many as divide the batch."""
    devices = jax.local_devices()
    parts = max(n for n in range(1, len(devices) + 1) if experiment.batch % n == 0)
    return Mesh(np.array(devices[:parts]), ("data",))


def compile_step(experiment: Experiment, optimizer):
    """The jitted outer step; the old model and optimiser state are donated.

    Each device takes its share of the sequences, in `accumulate` parts over all devices
    together; the meta-gradients are averaged.
    """
    mesh = data_mesh(experiment)
    parts = max(1, experiment.accumulate // mesh.size)

    def gradient(model, tokens, rate):
        """On one device: the mean over its own sequences."""
        loss, reports, grads = ttt.meta_gradient(
            model, tokens, rate=rate, remat=experiment.remat, accumulate=parts
        )
        measured = _summary(reports, experiment)
        return jax.lax.pmean((loss, measured, grads), "data")

    @eqx.filter_jit(donate="all")
    def step(model, opt_state, tokens, rate):
        arrays, static = eqx.partition(model, eqx.is_array)
        loss, measured, grads = jax.shard_map(
            lambda arrays, *rest: gradient(eqx.combine(arrays, static), *rest),
            mesh=mesh,
            in_specs=(P(), P("data"), P()),
            out_specs=P(),
            check_vma=False,
        )(arrays, tokens, rate)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes scalar types
            updates, opt_state = optimizer.update(grads, opt_state, arrays)
        norm = optax.tree.norm(grads)
        measured = {"loss": loss, "grad_norm": norm, **measured}
        return eqx.apply_updates(model, updates), opt_state, measured

    def placed(model, opt_state, tokens, rate):
        whole, shared = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))
        arrays, static = eqx.partition((model, opt_state), eqx.is_array)
        arrays, rate = jax.device_put((arrays, jnp.asarray(rate)), whole)
        model, opt_state = eqx.combine(arrays, static)
        with warnings.catch_warnings():  # tokens are donated too, and never fit
            warnings.filterwarnings("ignore", message="Some donated buffers")
            return step(model, opt_state, jax.device_put(tokens, shared), rate)

    return placed


def _summary(reports: ttt.Report, experiment: Experiment) -> dict:
    chunk, quarter = experiment.model.chunk, max(1, experiment.seq // 4)
    clipped = reports.grad_norm > experiment.model.inner.clip
    return {
        "first_chunk": jnp.mean(reports.nll[:, :chunk]),
        "last_quarter": jnp.mean(reports.nll[:, -quarter:]),
        "inner_grad_norm": jnp.mean(reports.grad_norm),
        "clip_rate": jnp.mean(clipped.astype(reports.nll.dtype)),
        "drift": jnp.mean(reports.drift[:, -1]),
        "refused": jnp.mean(reports.refused.astype(reports.nll.dtype)),
    }


def _open_data(experiment: Experiment):
    tokenizer = tokenizers.load(experiment.tokenizer)
    if tokenizer.vocab != experiment.model.vocab:
        raise ValueError(
            f"tokenizer {tokenizer.name!r} has {tokenizer.vocab} entries and the model "
            f"{experiment.model.vocab}; set model.vocab={tokenizer.vocab}."
        )
    opened = shards.open(experiment.corpus, experiment.tokenizer, "train")
    iterator = batches.batches(
        opened,
        seq=experiment.seq,
        batch=experiment.batch,
        bos=tokenizer.bos,
        seed=experiment.seed,
    )
    return iterator, tokenizer.bos


def _data_state(iterator, step: int) -> dict:
    """The iterator's state before batch `step`: its one number is the batch's."""
    state = iterator.get_state()
    return {**state, "next_index": step}


def _measure(step: int, measured: dict, began: float, experiment: Experiment) -> dict:
    numbers = {name: float(value) for name, value in measured.items()}
    seconds = time.monotonic() - began
    tokens = experiment.batch * experiment.seq
    speed = {"seconds": seconds, "tokens_per_s": tokens / seconds}
    return {"step": step, "tokens": (step + 1) * tokens, **numbers, **speed}


def _check_finite(line: dict, run: Path):
    if not np.isfinite(line["loss"]):
        raise FloatingPointError(
            f"the loss is {line['loss']} at step {line['step']}: training diverged; "
            f"the last good checkpoint is in {run / 'checkpoints'}. Try half the "
            "outer rate (--set lr=...), a smaller inner rate, or a longer warm-up."
        )


def _claim(run: Path, experiment: Experiment):
    """Make the run folder, or check that it belongs to this very experiment."""
    run.mkdir(parents=True, exist_ok=True)
    path, wanted = run / "experiment.json", runs.describe(experiment)
    wanted = json.loads(json.dumps(wanted))
    if path.exists():
        found = json.loads(path.read_text("utf-8"))
        different = sorted(k for k in wanted if found.get(k) != wanted[k])
        if different:
            raise ValueError(
                f"{run} holds a run with other settings ({', '.join(different)}); "
                "give this one another name with --run NAME, or remove the folder."
            )
    path.write_text(json.dumps(wanted, indent=1), "utf-8")
    about = json.dumps(runs.environment(), indent=1)
    (run / "environment.json").write_text(about, "utf-8")


def _checkpoints(run: Path):
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(
        max_to_keep=2, enable_async_checkpointing=False
    )
    return ocp.CheckpointManager(run / "checkpoints", options=options)


def _save(manager, step: int, model, opt_state):
    import orbax.checkpoint as ocp

    leaves = jax.tree.leaves(eqx.filter((model, opt_state), eqx.is_array))
    named = {str(i): leaf for i, leaf in enumerate(leaves)}
    manager.save(step, args=ocp.args.StandardSave(named))
    manager.wait_until_finished()


def _restore(manager, model, opt_state):
    """Model, optimiser state and first step: of the newest checkpoint, if any."""
    import orbax.checkpoint as ocp

    step = manager.latest_step()
    if step is None:
        return model, opt_state, 0
    arrays, static = eqx.partition((model, opt_state), eqx.is_array)
    leaves, structure = jax.tree.flatten(arrays)
    # A target of its own lets any number of devices take up what any other left.
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    like = {
        str(i): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here)
        for i, leaf in enumerate(leaves)
    }
    found = manager.restore(step, args=ocp.args.StandardRestore(like))
    leaves = [found[str(i)] for i in range(len(leaves))]
    arrays = jax.tree.unflatten(structure, leaves)
    return *eqx.combine(arrays, static), step
