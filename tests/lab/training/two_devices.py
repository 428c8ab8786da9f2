"""Run by `test_devices.py` in a process of its own: one outer step on two devices.

Prints one JSON line: for each mixer the loss on two devices and on one.
"""

import json

import eight_devices
import jax
import numpy as np

import ttt_core as ttt
from lab.recipes.experiment import Experiment, Stage
from lab.training import devices
from ttt_core.scale import sharding


SEQ = 256
TOKENS = np.random.default_rng(0).integers(0, 256, (2, SEQ + 1)).astype(np.int32)


def losses(mixer: str) -> list[float]:
    """Of a plain step with this mixer below sliding windows: two devices, one."""
    config = ttt.preset("nano").replace(mixers=(mixer, "window"), lr=0.0, fast_blocks=0)
    stage = Stage("s", "sotu", tokens=2 * SEQ, seq=SEQ, batch=2, lr=1e-2)
    phase = Experiment("x", config, "bytes", (stage,), method="plain").phases[0]
    found = []
    for count in (2, 1):
        mesh = sharding.make_mesh(count, 1, jax.devices()[:count])
        model = config.build(key=jax.random.key(0))
        step = devices.compile_step(phase, eight_devices.keep_gradient(), mesh)
        moments = jax.tree.map(jax.numpy.zeros_like, model)
        _, _, measured = step(model, moments, TOKENS, 1.0)
        found.append(float(measured["loss"]))
    return found


if __name__ == "__main__":
    mixers = ("full", "mamba2", "gated_delta", "kv_binding")
    print(json.dumps({mixer: losses(mixer) for mixer in mixers}))
