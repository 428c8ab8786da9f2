"""What forgetting buys: memory of the gradient through a loop against `remat=n`.

`lab.bench.remat` measures whole models, which take a while to compile. Here the fast
weights are one matrix and nearly all there is to keep, so that the law of
`ttt_core.adapt`, `n_chunks / n + n` copies of the fast weights, shows clearly.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import ttt_core as ttt
from ttt_core.rules import SGD


@dataclass(frozen=True)
class Memory:
    """Bytes of temporary memory by `remat`, None for keeping everything.

    `copy`: bytes of one copy of the fast weights.
    """

    chunks: int
    copy: int
    temporary: dict[int | None, int]


def matrix_memory(*, chunks: int, choices, width: int = 256, chunk: int = 4) -> Memory:
    """Memory that the compiled gradient of a loop over one matrix needs.

    The number is read from the compiled program; nothing is run.
    """
    shape = (chunks, chunk)
    row = jax.ShapeDtypeStruct((*shape, width), jnp.float32)
    start = jax.ShapeDtypeStruct((width, width), jnp.float32)

    def loss(start, x, y, remat):
        text = ttt.Chunk(x, y, jnp.ones(shape, bool))
        knobs = {"rule": SGD(), "lr": 0.1, "clip": 1.0, "origin": start}
        step = partial(ttt.inner_step, loss=_squared_error, **knobs)
        _, report = ttt.adapt(ttt.Learner(start, (), ()), text, step, remat=remat)
        return jnp.mean(report.nll)

    def measure(remat):
        gradient = jax.jit(jax.grad(partial(loss, remat=remat)))
        compiled = gradient.lower(start, row, row).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    copy = int(np.prod(start.shape)) * start.dtype.itemsize
    return Memory(chunks, copy, {remat: measure(remat) for remat in choices})


def _squared_error(fast, chunk: ttt.Chunk, states):
    error = jnp.mean((chunk.inputs @ fast - chunk.targets) ** 2, axis=-1) / 2
    return jnp.mean(error), (error, states)
