"""Sequence mixers, one per file, behind one interface.

    (x[seq, d_model], state) -> (y[seq, d_model], state)        for any seq >= 1

Whole sequences in training, chunks in streaming, one token in decoding: the same
function, and the three agree to rounding. With `state=None` the call reads a whole
sequence from its start and hands no state on. `init_state(capacity, dtype)` gives the
state before the first token (only full attention needs the capacity, in tokens).

A mixer's file ends with what the mixer says about itself (`ttt_core.mixers.kind.Kind`).
`KINDS` lists those descriptions by name: a new mixer is a file, its test, and a word
below.
"""

import jax
import jax.numpy as jnp

from ttt_core.config import ModelConfig
from ttt_core.mixers.full import FULL, UNPLACED
from ttt_core.mixers.gated_delta import GATED_DELTA
from ttt_core.mixers.kind import Kind
from ttt_core.mixers.kv_binding import KV_BINDING
from ttt_core.mixers.mamba2 import MAMBA2
from ttt_core.mixers.none import NONE
from ttt_core.mixers.sinks import SINKS
from ttt_core.mixers.window import WINDOW
from ttt_core.shapes import DType


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        *(WINDOW, SINKS, FULL, UNPLACED),
        *(MAMBA2, GATED_DELTA, KV_BINDING, NONE),
    )
}


def kinds_of(config: ModelConfig) -> tuple[Kind, ...]:
    """What the mixer of each block says about itself, `[layers]` kinds."""
    return tuple(KINDS[name] for name in config.kinds)


def remark_on(config: ModelConfig) -> str:
    """What a model that takes no step on the text learns all the same; "" = nothing.

    >>> remark_on(preset("tiny-kvb"))
    'learns keys, not text'
    """
    return next((kind.remark for kind in kinds_of(config) if kind.remark), "")


def state_bytes(
    config: ModelConfig,
    kind: str,
    *,
    capacity: int = 4096,
    dtype: DType = jnp.float32,
) -> int:
    """Bytes that one block's mixer of this kind remembers between two tokens.

    `capacity`, in tokens, matters to full attention only. `dtype` is that of the
    activations; sums over all tokens stay at least float32.

    >>> state_bytes(preset("tiny-mamba2"), "mamba2")
    70144
    """
    build = KINDS[kind].build
    if build is None:
        return 0
    start = lambda: build(config, key=jax.random.key(0)).init_state(capacity, dtype)
    leaves = jax.tree.leaves(jax.eval_shape(start))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
