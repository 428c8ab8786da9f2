"""Sequence mixers, one per file, behind one interface.

    (x[seq, d_model], state) -> (y[seq, d_model], state)        for any seq >= 1

Whole sequences in training, chunks in streaming, one token in decoding: the same
function, and the three agree to rounding. With `state=None` the call is a whole
sequence from the start and hands no state on. `init_state(capacity, dtype)` gives the
state before the first token (only full attention needs the capacity, in tokens).
`BUILDERS` maps a name in `ModelConfig.mixers` to the function that builds it; "none" is
a block without a mixer.
"""

import jax
import jax.numpy as jnp

from ttt_core.config import ModelConfig
from ttt_core.mixers.full import build_full
from ttt_core.mixers.gated_delta import build_gated_delta
from ttt_core.mixers.kv_binding import build_kv_binding
from ttt_core.mixers.mamba2 import build_mamba2
from ttt_core.mixers.window import build_window


BUILDERS = {
    "window": build_window,
    "full": build_full,
    "mamba2": build_mamba2,
    "gated_delta": build_gated_delta,
    "kv_binding": build_kv_binding,
    "none": lambda config, *, key: None,
}


def state_bytes(
    config: ModelConfig, kind: str, *, capacity: int = 4096, dtype=jnp.float32
) -> int:
    """Bytes that one block's mixer of this kind remembers between two tokens.

    `capacity`, in tokens, matters to full attention only. `dtype` is that of the
    activations; sums over all tokens stay at least float32.

    >>> state_bytes(preset("tiny-mamba2"), "mamba2")
    70144
    """

    def start():
        mixer = BUILDERS[kind](config, key=jax.random.key(0))
        return () if mixer is None else mixer.init_state(capacity, dtype)

    leaves = jax.tree.leaves(jax.eval_shape(start))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
