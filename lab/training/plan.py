"""What would a training need? Size, work, memory and mesh; nothing is allocated.

Weights and the optimiser's state are counted from their shapes. So are the arrays that
the backward pass keeps: `jax.vjp` is traced on shapes alone, and its residuals are
added up. Only short-lived arrays are estimated: one chunk or one block computed again,
and the logits of a chunk with their derivatives.

    parameters          as `ttt_core.scale.sharding` cuts them over the axis `model`
    optimiser           two moments per parameter
    gradient            one copy, or two if a share of the batch is read in parts
    kept fast weights   one copy per kept learner, for each sequence being read
    kept activations    everything else that is kept, hidden axes cut over `model`
    in the backward     arrays computed again and dropped, at their largest
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable

import equinox as eqx
import jax
import jax.numpy as jnp

import ttt_core as ttt
from lab.recipes.experiment import Experiment
from lab.training.devices import mesh_shape, parts_per_device
from lab.training.flops import Flops, count_flops
from lab.training.machine import memory, size_of
from ttt_core.mixers import kinds_of
from ttt_core.scale.sharding import MODEL, partition_specs


LOWER = {  # the settings that decide the size of a part
    "weights and optimiser": "lower model.d_model, model.d_ff, "
    "model.d_fast, model.layers or model.vocab",
    "fast weights": "lower batch or seq, or raise accumulate, remat or model.chunk",
    "activations": "lower batch or seq, or raise accumulate",
    "windows": "lower batch or model.window, or raise accumulate",
}
LOGITS = 4  # logits, their softmax, and the derivatives of both: one chunk at a time


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """One stage on a mesh: bytes per device by part, operations, shares of a batch.

    Attributes:
        fast_bytes: bytes of the fast weights of one sequence.
        flops: operations per token, by pass.
        mesh: `(data, model)`.
        share: sequences of a batch per device.
        at_once: number of sequences that a device reads together.
        memory: bytes per device, by part.
    """

    name: str
    steps: int
    seq: int
    batch: int
    parameters: int
    embedding: int
    fast_parameters: int
    fast_bytes: int
    flops: Flops
    mesh: tuple[int, int]
    share: int
    at_once: int
    memory: dict[str, int]

    @property
    def total(self) -> int:
        """Bytes per device."""
        return sum(self.memory.values())

    @property
    def step_flops(self) -> float:
        """Operations of one outer step."""
        return self.flops.total * self.seq * self.batch

    @property
    def all_flops(self) -> float:
        """Operations of all outer steps of the stage."""
        return self.steps * self.step_flops


def plan_run(
    stages,
    *,
    devices: int,
    cut: int | None = None,
    limit: float = math.inf,
    report: Callable[[float, str], None] | None = None,
) -> list[StagePlan]:
    """The plan of each stage, given as `(phase, optimizer)`, all with the same cut.

    `cut=None` chooses the smallest cut that keeps a device within `limit` bytes in
    every stage, or else the cut that comes closest. `report(share, what)` is called
    before each piece of work with the share of it that is done, at most.

    **Raises** `ValueError` if `cut` does not divide the devices.
    """
    if devices < 1:
        raise ValueError(f"--devices must be >= 1: got {devices}.")
    choices = _cuts(stages[0][0].model, devices) if cut is None else [cut]
    tried, whole = [], len(choices) * len(stages)
    for i, cut in enumerate(choices):
        tried.append([])
        for j, (phase, optimizer) in enumerate(stages):
            if report:
                pieces = f"weights cut into {cut}" if cut > 1 else "weights whole"
                report((i * len(stages) + j) / whole, f"{phase.stage.name}, {pieces}")
            tried[-1].append(plan_stage(phase, optimizer, devices, cut))
        if _worst(tried[-1]) <= limit:
            return tried[-1]
    return min(tried, key=_worst)


def _worst(plans: list[StagePlan]) -> int:
    return max(plan.total for plan in plans)


def _cuts(config, devices: int) -> list[int]:
    """Sizes of the axis `model` by which every kind of array can be cut."""
    pieces = math.gcd(config.heads, config.kv_heads, *_widths(config))
    both = math.gcd(devices, pieces)
    return [n for n in range(1, both + 1) if both % n == 0]


def _widths(config) -> list[int]:
    fast = [config.d_fast] if config.fast_blocks else []
    return [width for width in (config.d_ff, *fast) if width]


def plan_stage(phase, optimizer, devices: int, cut: int = 1) -> StagePlan:
    """The plan of one stage (a `lab.recipes.experiment.Phase`) on a mesh."""
    data, cut = mesh_shape(devices, phase.batch, cut)
    config = phase.model
    parts = parts_per_device(phase, data)
    share = phase.batch // data
    model = _shapes(config)
    fast = model.fast_mlps
    memory = {
        "parameters": _cut_bytes(model, config, cut),
        "optimiser": _cut_bytes(jax.eval_shape(optimizer.init, model), config, cut),
        "gradient": _cut_bytes(model, config, cut) * (1 if parts == 1 else 2),
        **_activations(config, phase.seq, phase.remat, share // parts, cut),
    }
    return StagePlan(
        name=phase.stage.name,
        steps=phase.stage.steps,
        seq=phase.seq,
        batch=phase.batch,
        parameters=_size(model),
        embedding=model.embed.size + (0 if model.head is None else model.head.size),
        fast_parameters=_size(fast),
        fast_bytes=_bytes(fast),
        flops=count_flops(config, phase.seq, trained=phase.experiment.trained),
        mesh=(data, cut),
        share=share,
        at_once=share // parts,
        memory=memory,
    )


def check_fits(experiments: Iterable[Experiment], cut: int = 1):
    """Check, before anything is built, that this machine can hold the trainings.

    A training is refused if the very least that it takes (`least_memory`) is more than
    there is; one that is only close to the limit is not.

    **Raises** `ValueError` with both numbers, and what to lower.
    """
    have = memory()
    for phase in (phase for one in experiments for phase in one.phases):
        share = _devices_here(phase, cut)
        parts = least_memory(phase, jax.device_count(), cut)
        needed = {name: share * size for name, size in parts.items()}
        if sum(needed.values()) > have:
            most = max(needed, key=needed.get)
            raise ValueError(
                f"{phase.experiment.name} ({phase.stage.name}) would take at least "
                f"{size_of(sum(needed.values()))}; this machine has {size_of(have)}. "
                f"The {most} alone would take {size_of(needed[most])}: {LOWER[most]}."
            )


def _devices_here(phase, cut: int) -> int:
    """How many of the mesh's devices share the memory of this machine."""
    data, cut = mesh_shape(jax.device_count(), phase.batch, cut)
    return min(data * cut, jax.local_device_count())


def least_memory(phase, devices: int, cut: int = 1) -> dict[str, int]:
    """Bytes per device, by part, that a stage cannot do without; told in no time.

    Weights and kept learners are exact. Of the activations only one vector is counted
    for each token and slow block, and one window for each fast block: nothing is
    traced, so that impossible sizes are answered as fast as others.
    """
    data, cut = mesh_shape(devices, phase.batch, cut)
    config, seq = phase.model, phase.seq
    parts = parts_per_device(phase, data)
    at_once = phase.batch // data // parts
    model = _shapes(config)
    weights = _cut_bytes(model, config, cut)
    learners = -(-seq // config.chunk // (phase.remat or 1)) if config.learns else 0
    narrow = jnp.dtype(config.compute_dtype).itemsize
    slow, fast = config.layers - config.fast_blocks, config.fast_blocks
    keys = 2 * config.window * config.kv_heads * config.head_dim // cut
    has_window = any("window" in kind.least for kind in kinds_of(config))
    return {
        "weights and optimiser": weights * (4 if parts == 1 else 5),
        "fast weights": at_once * learners * _bytes(model.fast_mlps) // cut,
        "activations": at_once * seq * slow * config.d_model * narrow,
        "windows": at_once * has_window * fast * keys * narrow,
    }


def _activations(config, seq: int, remat, at_once: int, cut: int) -> dict[str, int]:
    """Bytes for the sequences being read: arrays kept, and arrays computed again."""
    kept = kept_arrays(config, seq, remat)
    is_fast = _is_fast(config)
    learners = [leaf for leaf in kept if is_fast(leaf)]
    others = [leaf for leaf in kept if not is_fast(leaf)]
    weigh = lambda leaves: at_once * sum(_piece(leaf, config, cut) for leaf in leaves)
    logits = LOGITS * 4 * config.vocab * min(config.chunk, seq)
    logits //= cut if config.vocab % cut == 0 else 1
    return {
        "kept fast weights": weigh(learners),
        "kept activations": weigh(others),
        "in the backward pass": at_once * logits
        + at_once * (_made_again(config, seq, remat, cut) if remat else 0),
    }


def _made_again(config, seq: int, remat: int, cut: int) -> int:
    """Bytes of one slow block over the sequence, or one chunk and `remat` learners."""
    weigh = lambda config, seq: sum(
        _piece(leaf, config, cut) for leaf in kept_arrays(config, seq, None)
    )
    slow = config.replace(fast_blocks=0, lr=0.0)
    one, two = (weigh(slow.replace(layers=n), seq) for n in (1, 2))
    if not config.learns:
        return two - one
    b = config.chunk
    chunk = weigh(config, 2 * b) - weigh(config, b)
    learners = min(remat, seq // b) * _bytes(_shapes(config).fast_mlps) // cut
    return max(two - one, chunk + learners)


@functools.cache
def kept_arrays(config, seq: int, remat: int | None) -> list[jax.ShapeDtypeStruct]:
    """Shapes of the arrays that `meta_loss` of one sequence keeps for its gradient.

    The function is traced, not run. The model's own arrays are left out.
    """
    shapes = _shapes(config)
    arrays, static = eqx.partition(shapes, _is_shape)

    def residuals(arrays, tokens):
        model = lambda arrays: eqx.combine(arrays, static)
        loss = lambda arrays: ttt.meta_loss(model(arrays), tokens, remat=remat)[0]
        _, backward = jax.vjp(loss, arrays)
        given = {id(leaf) for leaf in jax.tree.leaves(arrays)}
        return [leaf for leaf in jax.tree.leaves(backward) if id(leaf) not in given]

    tokens = jax.ShapeDtypeStruct((seq + 1,), jnp.int32)
    return jax.eval_shape(residuals, arrays, tokens)


def _shapes(config):
    """The model's arrays as shapes: nothing is drawn or allocated."""
    return eqx.filter_eval_shape(lambda: config.build(key=jax.random.key(0)))


def _is_shape(leaf) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _is_fast(config):
    """Whether an array is a stack of fast matrices, judged by its last two axes."""
    d, width = config.d_model, config.d_fast
    stack = (config.fast_blocks, d, width), (config.fast_blocks, width, d)
    return lambda leaf: config.fast_blocks > 0 and leaf.shape[-3:] in stack


def _piece(leaf, config, cut: int) -> int:
    """Bytes of an array on one device: cut if a hidden axis of it is divisible."""
    hidden = {*_widths(config), config.heads, config.kv_heads, config.vocab}
    is_cut = any(n in hidden and n % cut == 0 for n in leaf.shape)
    return _bytes(leaf) // (cut if is_cut else 1)


def _cut_bytes(tree, config, cut: int) -> int:
    specs = jax.tree.leaves(partition_specs(tree, config, cut), is_leaf=_is_spec)
    leaves = jax.tree.leaves(tree)
    return sum(
        _bytes(leaf) // (cut if MODEL in spec else 1)
        for leaf, spec in zip(leaves, specs, strict=True)
    )


def _is_spec(leaf) -> bool:
    return isinstance(leaf, jax.sharding.PartitionSpec)


def _bytes(tree) -> int:
    leaves = jax.tree.leaves(tree)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def _size(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
