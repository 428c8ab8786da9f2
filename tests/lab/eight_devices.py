"""Run by `test_devices.py` in a process of its own: one outer step on eight devices.

Prints one JSON line: losses and gradients on several meshes against one device's.
"""

import json
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import ttt_core as ttt
from lab import devices
from lab.experiment import Experiment, Stage
from ttt_core import sharding


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


def phase(dtype="float32", **stage):
    """A stage of eight sequences of three chunks."""
    stage = Stage("s", "sotu", tokens=8 * 24, seq=24, batch=8, lr=1e-2, **stage)
    config = CONFIG.replace(compute_dtype=dtype)
    return Experiment("x", config, "bytes", (stage,)).phases[0]


def keep_gradient() -> optax.GradientTransformation:
    """An optimiser whose state is the last gradient, and which changes nothing."""
    zeros = lambda tree: jax.tree.map(jnp.zeros_like, tree)
    return optax.GradientTransformation(zeros, lambda g, _, __=None: (zeros(g), g))


def run(mesh, phase):
    """Loss, gradient, new model and the compiled program of one step on a mesh."""
    model = phase.model.build(key=jax.random.key(0))
    step = devices.compile_step(phase, keep_gradient(), mesh)
    moments = eqx.filter(model, eqx.is_inexact_array)
    placed = devices.place((model, moments), phase.model, mesh)
    given = jax.tree.leaves(eqx.filter(placed, eqx.is_array))
    model, grads, measured = step(*placed, TOKENS, 1.0)
    return {
        "loss": float(measured["loss"]),
        "grads": grads,
        "model": model,
        "donated": all(leaf.is_deleted() for leaf in given),
    }


def compare(mesh, phase, loss, grads) -> dict:
    """How far a mesh is from one device."""
    found = run(mesh, phase)
    leaves = jax.tree.leaves(found["grads"])
    pairs = zip(leaves, jax.tree.leaves(grads), strict=True)
    down = found["model"].fast_mlps.down
    return {
        "loss": abs(found["loss"] - float(loss)),
        "gradient": max(float(np.max(np.abs(np.asarray(a) - b))) for a, b in pairs),
        "largest": max(float(np.max(np.abs(b))) for b in jax.tree.leaves(grads)),
        "donated": found["donated"],
        "dtypes": sorted({leaf.dtype.name for leaf in leaves}),
        "devices": len(down.sharding.device_set),
        "shard": down.sharding.shard_shape(down.shape),
    }


def reference(phase):
    """Loss and gradient of the whole batch on one device."""
    model = phase.model.build(key=jax.random.key(0))
    loss, _, grads = eqx.filter_jit(ttt.meta_gradient)(model, TOKENS, rate=1.0)
    return loss, jax.tree.map(np.asarray, grads)


def main(dtype: str):
    """Compare three meshes, each with other knobs, in one dtype."""
    knobs = {(8, 1): {}, (1, 8): {"accumulate": 4}, (2, 4): {"remat": 2}}
    expected = reference(phase(dtype))
    found = {
        f"{data}x{state}": compare(
            sharding.make_mesh(data, state), phase(dtype, **more), *expected
        )
        for (data, state), more in knobs.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
