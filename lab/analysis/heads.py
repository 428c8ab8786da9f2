"""A passage through a model, block by block: where do the heads of each block look?

This is the tensor code of `lab.analysis.attention`, which explains the numbers.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ttt_core.layers import rotate
from ttt_core.mixers.attention import attention_weights
from ttt_core.mixers.full import Full
from ttt_core.mixers.window import Window
from ttt_core.model import Transformer, unstack


QUERIES = 256  # at a time, so that their weights fit into memory


def look_once(model: Transformer, tokens: np.ndarray, edges: list[int]) -> list:
    """Where the heads of each block look; None for a block without attention.

    `edges`: distances in tokens at which the bins end. A block's entry is `(shares
    [heads, bins], spread [heads], even [bins], even spread)`.
    """
    ids = jnp.asarray(np.concatenate([[model.config.bos], tokens[:-1]]))
    hidden, found = model.embed[ids], []
    for block, fast_mlp in unstack(model):
        looks, hidden = _through(block, fast_mlp, hidden, tuple(edges))
        found.append(looks)
    return found


@eqx.filter_jit
def _through(block, fast_mlp, hidden, edges: tuple[int, ...]):
    """Where a block's heads look, and the block's output."""
    looks = None
    if isinstance(block.mixer, Full | Window):
        looks = _measure(block.mixer, block.around_mixer.pre(hidden), edges)
    state = None
    if block.mixer is not None and looks is None:
        state = block.mixer.init_state(len(hidden), hidden.dtype)
    return looks, block(hidden, state, fast_mlp)[0]


def _measure(
    mixer: Full | Window, x: Float[Array, "seq d_model"], edges: tuple[int, ...]
):
    """Shares and spread over the second half of the queries, `QUERIES` at a time."""
    seq = len(x)
    q, k, *_ = mixer.projections(x)
    place = jnp.arange(seq)
    q, k = (rotate(a, place, mixer.rope_theta).swapaxes(0, 1) for a in (q, k))
    window = mixer.window if isinstance(mixer, Window) else seq
    starts = range(seq // 2, seq, QUERIES)
    rows = [slice(start, min(start + QUERIES, seq)) for start in starts]
    totals = []
    for at in rows:
        back = place[at, None] - place[None]
        seen = (back >= 0) & (back < window)
        weights = attention_weights(q[:, at], k, seen)
        even = attention_weights(jnp.zeros_like(q[:1, at]), k[:1], seen)
        both = jnp.concatenate([weights, even])
        totals.append(_summed(both, back, edges))
    count = seq - seq // 2
    shares, entropy = (sum(parts) / count for parts in zip(*totals, strict=True))
    return shares[:-1], jnp.exp(entropy[:-1]), shares[-1], jnp.exp(entropy[-1])


def _summed(
    weights: Float[Array, "heads queries keys"],
    back: Int[Array, "queries keys"],
    edges: tuple[int, ...],
):
    """Shares by distance `[heads, bins]` and entropy `[heads]`, summed over queries."""
    starts = (0, *edges[:-1])
    spans = [(back >= a) & (back < b) for a, b in zip(starts, edges, strict=True)]
    shares = jnp.einsum("hqk,bqk->hb", weights, jnp.stack(spans).astype(weights.dtype))
    logs = jnp.log(jnp.where(weights > 0, weights, 1))
    return shares, -jnp.sum(weights * logs, axis=(1, 2))
