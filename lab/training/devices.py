"""Where a training runs: the devices, the mesh that they form, the compiled step.

The outer step is one program for one device, eight, or a pod. Its mesh has the axes of
`ttt_core.scale.sharding`: sequences lie along `data`, weights are cut along `model`.
Over `data` the step is written out by hand (`shard_map`): every device reads its own
sequences and only the meta-gradients are averaged. Over `model` XLA's partitioner cuts
the same program along the weights.
"""

import contextlib
from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import ttt_core as ttt
from lab import checkpoints, runs
from lab.recipes.experiment import Phase
from ttt_core.scale import sharding
from ttt_core.scale.sharding import (
    DATA,
    MODEL,
    constrain,
    hold_fast,
    release,
    shardings,
)
from ttt_core.shapes import PyTree
from ttt_core.warm_start import trained_parts


def use_all_cores(batch: int):
    """Make each core a device, as far as `batch` can be divided evenly among the cores.

    A small model's operations are too small to split: two cores that read different
    sequences are half again as fast as two that share each product. Call this function
    before JAX is used; afterwards, on a GPU or TPU, or if several processes share a
    training, the call changes nothing.
    """
    if jax.distributed.is_initialized():
        return
    cores = runs.usable_cores()
    devices = max(n for n in range(1, cores + 1) if batch % n == 0)
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", devices)


def mesh_shape(
    devices: int, batch: int, cut: int = 1, *, all_of_them: bool = False
) -> tuple[int, int]:
    """`(data, cut)`: the number of shares of a batch, and of pieces of each weight.

    `data` is the largest number that divides the batch; with `all_of_them` no device
    may stay unused (processes cannot be left out).

    **Raises** `ValueError` naming numbers that fit.
    """
    if cut < 1 or devices % cut:
        fits = [n for n in range(1, devices + 1) if devices % n == 0]
        raise ValueError(
            f"`cut` must divide the number of devices: got cut={cut} with "
            f"{devices} devices; use one of {', '.join(map(str, fits))}."
        )
    most = devices // cut
    data = max(n for n in range(1, most + 1) if batch % n == 0)
    if all_of_them and data < most:
        raise ValueError(
            f"`batch` must be a multiple of the {most} devices that share it (of "
            f"{devices}, cut={cut}): got batch={batch}; use {-(-batch // most)} x "
            f"{most} = {-(-batch // most) * most}, or a larger cut."
        )
    return data, cut


def make_mesh(batch: int, cut: int = 1) -> Mesh:
    """The mesh for batches of `batch` sequences, over the devices of all processes."""
    devices, several = jax.devices(), jax.process_count() > 1
    shape = mesh_shape(len(devices), batch, cut, all_of_them=several)
    return sharding.make_mesh(*shape, devices[: shape[0] * shape[1]])


def rows(mesh: Mesh) -> tuple[int, int]:
    """`(index, count)` of this process's share of each batch, for `batches.batches`.

    Processes that hold pieces of the same weights read the same rows.
    """
    owners: dict[int, list[int]] = {}
    for place, device in np.ndenumerate(mesh.devices):
        owners.setdefault(device.process_index, []).append(place[0])
    shares = sorted({tuple(sorted(set(along_data))) for along_data in owners.values()})
    mine = tuple(sorted(set(owners[jax.process_index()])))
    return shares.index(mine), len(shares)


def begin(
    phase: Phase, optimizer: optax.GradientTransformation, mesh: Mesh, seed: int
) -> tuple[ttt.Transformer, optax.OptState]:
    """A model and its optimiser's state, in the pieces of the mesh.

    A fresh model is created there: no device ever holds more than its own pieces. A
    model that starts from another is loaded first.
    """
    experiment = phase.experiment
    if experiment.start:
        model = checkpoints.start_from(experiment.start, phase.model)
        return place((model, optimizer.init(part(phase, model))), phase.model, mesh)

    def make():
        model = phase.model.build(key=jax.random.key(seed))
        return model, optimizer.init(part(phase, model))

    lies = shardings(jax.eval_shape(make), phase.model, mesh)
    return jax.jit(make, out_shardings=lies)()


def part(phase: Phase, model: ttt.Transformer) -> ttt.Transformer:
    """The arrays that the training changes; None stands for the others."""
    return eqx.filter(model, trained_parts(model, phase.experiment.trained))


def place(tree: PyTree, config: ttt.ModelConfig, mesh: Mesh) -> PyTree:
    """The arrays of a model or an optimiser's state, on the devices the rules choose.

    Every process passes the same whole arrays, or arrays that are already in place.
    """
    arrays, static = eqx.partition(tree, eqx.is_array)
    arrays = jax.device_put(arrays, shardings(arrays, config, mesh))
    return eqx.combine(arrays, static)


def gather(tree: PyTree) -> PyTree:
    """The whole arrays of a tree, on one device; every process must call this."""
    arrays, static = eqx.partition(tree, eqx.is_array)
    here = jax.local_devices()[0]
    if jax.process_count() > 1:
        mesh = jax.tree.leaves(arrays)[0].sharding.mesh
        whole = jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, P()))
        arrays = jax.tree.map(lambda a: a.addressable_data(0), whole(arrays))
    return eqx.combine(jax.device_put(jax.device_get(arrays), here), static)


def compile_step(
    phase: Phase, optimizer: optax.GradientTransformation, mesh: Mesh | None = None
) -> Callable:
    """The jitted outer step; the old model and optimiser state are donated.

    Each device reads its share of the sequences, in `accumulate` parts over all devices
    together; the meta-gradients are averaged.

    Args:
        phase: the stage that the step belongs to, a `lab.recipes.experiment.Phase`.
        optimizer: an optax transformation.
        mesh: the devices, None for one device.

    Returns:
        A function of `(model, opt_state, tokens, rate)`, where `tokens` are this
        process's rows of the batch; other arrays of a source (`mask`, `answers`,
        `distances`, see `lab.data.sources`) are passed by name. It returns the new
        model and state, and the measured numbers.
    """
    mesh = mesh or make_mesh(phase.batch)
    config = phase.model

    @eqx.filter_jit(donate="all-except-first")
    def step(batch, model, opt_state):
        arrays, static = eqx.partition(model, eqx.is_array)
        gradient = _over_data(partial(_share_gradient, phase, mesh, static), mesh)
        loss, measured, grads = gradient(arrays, *batch)
        grads = constrain(grads, config, mesh)
        moved = ttt.apply_gradient(model, opt_state, grads, optimizer)
        model, opt_state, updates = moved
        norms = {
            "grad_norm": optax.tree.norm(grads),
            "update_norm": optax.tree.norm(updates),
        }
        measured = {"loss": loss, **norms, **_divide(measured)}
        return *constrain((model, opt_state), config, mesh), measured

    def arrange(model, opt_state, tokens, rate, **beside):
        """The arguments on the devices of the mesh."""
        model, opt_state = place((model, opt_state), config, mesh)
        rate = jax.device_put(jnp.asarray(rate), NamedSharding(mesh, P()))
        text = _share({"tokens": tokens, **beside}, phase.batch, mesh)
        return (text, rate), model, opt_state

    def placed(model, opt_state, tokens, rate, **beside):
        return step(*arrange(model, opt_state, tokens, rate, **beside))

    placed.program, placed.arrange = step, arrange
    return placed


def _share_gradient(
    phase: Phase, mesh: Mesh, static, arrays, text: dict, rate: jax.Array
):
    """`(loss, measured, gradient)` on a device's share of the batch, averaged over it.

    The model comes in two parts, `static` and `arrays`: only arrays pass `shard_map`.
    """
    model = hold_fast(eqx.combine(arrays, static), mesh)
    loss, reports, grads = ttt.meta_gradient(
        model,
        text["tokens"],
        mask=text.get("mask"),
        rate=rate,
        remat=phase.remat,
        accumulate=parts_per_device(phase, mesh.shape[DATA]),
        trained=trained_parts(model, phase.experiment.trained),
    )
    measured = _summary(reports, phase) | _recalled(reports, phase, text)
    return loss, measured, release(grads)


def compile_twin(phase: Phase, mesh: Mesh | None = None) -> Callable:
    """The jitted loss of the frozen twin on a batch.

    The forward pass takes one sequence after another on each device. The result is a
    function of `(model, tokens, mask=None)`, with rows as in `compile_step`; nothing is
    donated and nothing is changed.
    """
    mesh = mesh or make_mesh(phase.batch)

    @eqx.filter_jit
    def loss(model, text):
        arrays, static = eqx.partition(ttt.without_learning(model), eqx.is_array)

        def mean(arrays, text):
            twin = eqx.combine(arrays, static)
            one = lambda row: ttt.meta_loss(twin, row["tokens"], row.get("mask"))[0]
            return jnp.mean(jax.lax.map(one, text))

        return _over_data(mean, mesh, rate=False)(arrays, text)

    def placed(model, tokens, mask=None):
        text = {"tokens": tokens} | ({} if mask is None else {"mask": mask})
        model = place(model, phase.model, mesh)
        return float(loss(model, _share(text, phase.batch, mesh)))

    return placed


def parts_per_device(phase: Phase, data: int) -> int:
    """The number of parts in which each of `data` shares of a batch is read.

    It is the smallest number with which all devices together read no more sequences at
    once than one part of the batch has.
    """
    share = phase.batch // data
    at_once = max(1, phase.batch // phase.accumulate // data)
    return min(
        n for n in range(1, share + 1) if share % n == 0 and share // n <= at_once
    )


def _over_data(function: Callable, mesh: Mesh, *, rate: bool = True) -> Callable:
    """`function(arrays, text[, rate])` on every share of the text, averaged."""
    if mesh.shape[DATA] == 1:
        return function
    # XLA cannot partition some axes by hand if the other axes are trivial.
    by_hand = {DATA} if mesh.shape[MODEL] > 1 else {DATA, MODEL}
    return jax.shard_map(
        lambda *args: jax.lax.pmean(function(*args), DATA),
        mesh=mesh,
        in_specs=(P(), P(DATA), P()) if rate else (P(), P(DATA)),
        out_specs=P(),
        axis_names=by_hand,
        check_vma=False,
    )


def _share(text: dict, batch: int, mesh: Mesh) -> dict:
    """The global batch, array by array, made of the rows of each process."""
    lies = NamedSharding(mesh, P(DATA))

    def share(rows):
        rows = np.asarray(rows)
        shape = (batch, *rows.shape[1:])
        return jax.make_array_from_process_local_data(lies, rows, shape)

    return {name: share(rows) for name, rows in text.items()}


def _summary(reports: ttt.Report, phase: Phase) -> dict:
    """Means over the sequences, for the metrics."""
    chunk, quarter = phase.model.chunk, max(1, phase.seq // 4)
    clipped = reports.grad_norm > phase.model.inner.clip
    return {
        "first_chunk": jnp.mean(reports.nll[:, :chunk]),
        "last_quarter": jnp.mean(reports.nll[:, -quarter:]),
        "inner_grad_norm": jnp.mean(reports.grad_norm),
        "clip_rate": jnp.mean(clipped.astype(reports.nll.dtype)),
        "drift": jnp.mean(reports.drift[:, -1]),
        "refused": jnp.mean(reports.refused.astype(reports.nll.dtype)),
    }


def _recalled(reports: ttt.Report, phase: Phase, text: dict) -> dict:
    """Nats of the answers in a recall mixture: of all, and of those out of reach.

    Sums and counts may be averaged over devices; `_divide` turns them into means.
    """
    if "answers" not in text:
        return {}
    nll, counted = reports.nll, {"answers": text["answers"]}
    if phase.model.reach is not None:
        counted["answers_far"] = text["distances"] > phase.model.reach
    return {
        name: (jnp.sum(jnp.where(where, nll, 0)), jnp.sum(where.astype(nll.dtype)))
        for name, where in counted.items()
    }


def _divide(measured: dict) -> dict:
    """Means from pairs of sum and count; NaN where the count is zero."""
    return {
        name: value[0] / value[1] if isinstance(value, tuple) else value
        for name, value in measured.items()
    }
