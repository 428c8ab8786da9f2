"""One outer step on eight devices, in a process of its own.

Run by `test_training_devices.py`.

Prints one JSON line: losses and gradients on several meshes against one device's, in
float32; "one device" is that device in the dtype asked for.
"""

import json
import re
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import ttt_core as ttt
from lab.recipes.experiment import Experiment, Stage
from lab.training import devices
from ttt_core.scale import sharding


CONFIG = ttt.ModelConfig(
    vocab=64,
    bos=63,
    d_model=16,
    layers=2,
    heads=8,
    d_ff=24,
    d_fast=32,
    fast_blocks=1,
    window=16,
    chunk=8,
    init_std=0.2,
)
TOKENS = np.random.default_rng(0).integers(0, 63, (8, 25)).astype(np.int32)


# Large steps of untrained weights are chaos, which would drown what bfloat16 does.
CALM = CONFIG.replace(lr=0.1, init_std=0.1)


def make_phase(config, **stage):
    """A stage of eight sequences of three chunks."""
    stage = Stage("s", "sotu", tokens=8 * 24, seq=24, batch=8, lr=1e-2, **stage)
    return Experiment("x", config, "bytes", (stage,)).phases[0]


def keep_gradient() -> optax.GradientTransformation:
    """An optimiser whose state is the last gradient, and which changes nothing."""
    zeros = lambda tree: jax.tree.map(jnp.zeros_like, tree)
    keep = lambda grads, last: jax.tree.map(lambda g, old: g + 0 * old, grads, last)
    update = lambda grads, last, _=None: (zeros(grads), keep(grads, last))
    return optax.GradientTransformation(zeros, update)


def run(mesh, phase):
    """Loss, gradient, new model and the compiled program of one step on a mesh."""
    model = phase.model.build(key=jax.random.key(0))
    step = devices.compile_step(phase, keep_gradient(), mesh)
    moments = jax.tree.map(jnp.zeros_like, model)
    arguments = step.arrange(model, moments, TOKENS, 1.0)
    given = jax.tree.leaves(arguments[1:])
    program = step.program.lower(*arguments).compile()
    model, grads, measured = program(*arguments)
    size = sum(
        leaf.addressable_data(0).nbytes for leaf in jax.tree.leaves((model, grads))
    )
    return {
        "loss": float(measured["loss"]),
        "grads": grads,
        "model": model,
        "donated": all(leaf.is_deleted() for leaf in given),
        "gathered": gathered_shapes(program.compiled.as_text()),
        "reused": program.compiled.memory_analysis().alias_size_in_bytes / size,
    }


def gathered_shapes(program: str) -> list[list[int]]:
    """Shapes of all arrays that a compiled program puts together from their pieces."""
    found = re.findall(r"f[13][26]\[([\d,]*)\][^=]* all-gather(?:-start)?\(", program)
    return [[int(n) for n in shape.split(",")] for shape in found]


def distance(found, expected) -> dict:
    """How far `(loss, gradient)` is from another."""
    (loss, grads), (wanted_loss, wanted) = found, expected
    pairs = zip(jax.tree.leaves(grads), jax.tree.leaves(wanted), strict=True)
    differences = [np.asarray(a) - np.asarray(b) for a, b in pairs]
    norm = lambda tree: float(optax.tree.norm(tree))
    return {
        "loss": abs(float(loss) - float(wanted_loss)),
        "gradient": max(float(np.abs(a).max()) for a in differences),
        "relative": norm(differences) / norm(wanted),
        "largest": max(float(np.abs(a).max()) for a in jax.tree.leaves(wanted)),
    }


def compare(mesh, phase, expected) -> dict:
    """How far a mesh is from one device, and where things lie."""
    found = run(mesh, phase)
    grads = found.pop("grads")
    down = found.pop("model").fast_mlps.down
    return found | {
        **distance((found["loss"], grads), expected),
        "dtypes": sorted({leaf.dtype.name for leaf in jax.tree.leaves(grads)}),
        "devices": len(down.sharding.device_set),
        "shard": down.sharding.shard_shape(down.shape),
    }


def reference(phase):
    """Loss and gradient of the whole batch on one device."""
    model = phase.model.build(key=jax.random.key(0))
    loss, _, grads = eqx.filter_jit(ttt.meta_gradient)(model, TOKENS, rate=1.0)
    return loss, jax.tree.map(np.asarray, grads)


def main(dtype: str):
    """Compare three meshes, each with other knobs, in one dtype, with float32."""
    config = CONFIG if dtype == "float32" else CALM
    expected, config = (
        reference(make_phase(config)),
        config.replace(compute_dtype=dtype),
    )
    knobs = {(8, 1): {}, (1, 8): {"accumulate": 4}, (2, 4): {"remat": 2}}
    found = {
        f"{data}x{cut}": compare(
            sharding.make_mesh(data, cut), make_phase(config, **more), expected
        )
        for (data, cut), more in knobs.items()
    }
    if dtype != "float32":
        found["one device"] = distance(reference(make_phase(config)), expected)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
