"""The hidden units of fast MLPs on given text, and what their outputs say.

This is the tensor code of `lab.analysis.directions`.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import ttt_core as ttt
from ttt_core.layers import linear
from ttt_core.mixers.full import Full
from ttt_core.mixers.window import Window
from ttt_core.model import unstack
from ttt_core.shapes import PyTree


ROWS = 16  # read side by side


def activations(model, fast: PyTree, rows: np.ndarray, last: int) -> np.ndarray:
    """Hidden units on the last tokens of rows, `[fast_blocks, rows * last, d_fast]`.

    `rows [n, length]`: inputs, each row read for itself with an empty window. `last`:
    tokens at the end of each that count; those before are their context.
    """
    model, found = ttt.merge(fast, ttt.split(model)[1]), []
    for start in range(0, len(rows), ROWS):
        piece = rows[start : start + ROWS]
        padded = np.concatenate([piece, np.repeat(piece[:1], ROWS - len(piece), 0)])
        units = _program(last)(model, padded)  # [rows, fast_blocks, last, d_fast]
        found.append(np.asarray(units, np.float32)[: len(piece)])
    units = np.concatenate(found).swapaxes(0, 1)
    return units.reshape(len(units), -1, units.shape[-1])


@functools.cache
def _program(last: int):
    @eqx.filter_jit
    def program(model, rows):
        return jax.vmap(lambda row: through(model, row)[0][:, -last:])(rows)

    return program


def through(
    model, inputs: Array
) -> tuple[Float[Array, "fast_blocks seq d_fast"], Float[Array, "seq d_model"]]:
    """`(hidden units, output of the last block)` of a text read as a whole."""
    hidden, units = model.embed[inputs], []
    for block, fast_mlp in unstack(model):
        known = block.mixer is None or isinstance(block.mixer, Full | Window)
        state = None if known else block.mixer.init_state(len(inputs), hidden.dtype)
        listen = None if fast_mlp is None else _listening(fast_mlp, units)
        hidden, _ = block(hidden, state, listen)
    return jnp.stack(units), hidden


def _listening(mlp, units: list):
    """An MLP that notes its hidden units."""

    def call(x):
        gated = jax.nn.silu(linear(x, mlp.gate)) * linear(x, mlp.up)  # [seq, d_fast]
        units.append(gated)
        return linear(gated, mlp.down)

    return call


def readouts(model) -> np.ndarray:
    """From a fast block's output to logits, `[fast_blocks, d_model, vocab]`.

    An output passes the norm behind its MLP, where there is one, and the final norm,
    each of which is a factor an entry here; the blocks between are left out.
    """
    head = model.embed.T if model.head is None else model.head  # [d_model, vocab]
    final = np.asarray(model.final_norm.weight)
    found = []
    for block, fast_mlp in unstack(model):
        if fast_mlp is not None:
            post = block.around_fast.post
            scale = final if post is None else final * np.asarray(post.weight)
            found.append(scale[:, None] * np.asarray(head))
    return np.stack(found)
