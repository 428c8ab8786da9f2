"""Chunks that are read again under many fast weights: the tensor code of several looks.

Blocks below the first fast one know nothing of fast weights, so their output is
computed once and kept. What is left for each set of weights are the fast blocks and the
logits. The numbers are those of `lab.analysis.walk.reread`.
"""

import functools

import numpy as np


BATCH = 64  # chunks read again side by side


class Rows:
    """Chunks, each with the token before it, ready to be read again.

    `rows [n, chunk + 1]`. Each row is read for itself with an empty window, and nothing
    is learned.
    """

    def __init__(self, model, rows: np.ndarray):
        self.model, self.count = model, len(rows)
        batch = min(BATCH, 1 << max(0, len(rows) - 1).bit_length())
        whole = -(-len(rows) // batch) * batch
        padded = np.concatenate([rows, np.repeat(rows[:1], whole - len(rows), 0)])
        slow, self._nats = _programs()
        pieces = [padded[i : i + batch] for i in range(0, whole, batch)]
        self._parts = [  # ([batch, chunk, d_model], [batch, chunk])
            (slow(model, piece[:, :-1]), piece[:, 1:]) for piece in pieces
        ]

    def nats(self, fast) -> np.ndarray:
        """Nats of every token under given fast weights, `[n, chunk]`."""
        parts = [self._nats(self.model, fast, *part) for part in self._parts]
        return np.concatenate([np.asarray(part) for part in parts])[: self.count]


@functools.cache
def _programs():
    """`(slow, nats)`: the blocks below fast weights, and all that comes after."""
    import equinox as eqx
    import jax

    import ttt_core as ttt
    from ttt_core.model import (
        compute_logits,
        cross_entropy,
        init_states,
        run_fast,
        run_slow,
    )

    @eqx.filter_jit
    def slow(model, inputs):
        states = init_states(model, inputs.shape[1]).slow_blocks
        return jax.vmap(lambda row: run_slow(model, row, states)[0])(inputs)

    @eqx.filter_jit
    def nats(model, fast, hidden, targets):
        whole = ttt.merge(fast, ttt.split(model)[1])
        states = init_states(model, targets.shape[1]).fast_blocks
        hidden = jax.vmap(lambda row: run_fast(whole, row, states)[0])(hidden)
        # Row by row, because the logits of one row stay in the processor's cache.
        scored = lambda row: cross_entropy(compute_logits(whole, row[0]), row[1])
        return jax.lax.map(scored, (hidden, targets))  # [batch, chunk]

    return slow, nats
