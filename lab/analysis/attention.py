"""How far back does attention look? Shares of it by distance, head by head.

A query's weights over the tokens up to itself sum to one; here they are summed by how
far back those tokens are, and averaged over the second half of a passage, where a query
has at least half a passage to look at. The *spread* of a head is the exponential of its
mean entropy: over so many tokens it might as well be even. A head that looks at all it
can see evenly has not learned where to look; `even` says what that would give.

Blocks are run with the weights as they are in the file: nothing is learned while
reading. Blocks without attention only pass on what they make of the text.
"""

import dataclasses
import itertools
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lab.measure.texts import Passage
from ttt_core.layers import rotate
from ttt_core.mixers.attention import attention_weights
from ttt_core.mixers.full import Full
from ttt_core.mixers.window import Window
from ttt_core.model import Transformer, unstack


# Distances at which a bin ends and the next begins; the first is the token itself.
EDGES = (1, 8, 64, 512)
QUERIES = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Looks:
    """Where the heads of one block look: means over passages.

    `shares [heads, bins]` of attention by distance, `spread [heads]` in tokens; those
    of a head that looks evenly are `even [bins]` and `even_spread`. All None where the
    block has no attention.
    """

    kind: str
    shares: np.ndarray | None = None
    spread: np.ndarray | None = None
    even: np.ndarray | None = None
    even_spread: float | None = None


def look(
    model: Transformer,
    passages: list[Passage],
    report: Callable[[int], None] | None = None,
) -> list[Looks]:
    """Where each block looks, over passages of one length. `report(read)` hears.

    **Raises** `ValueError` for passages of fewer than two tokens.
    """
    if any(len(passage.tokens) < 2 for passage in passages):
        raise ValueError("Passages of two tokens or more are needed to look back in.")
    found = []
    for i, passage in enumerate(passages):
        found.append(_look(model, passage.tokens))
        if report:
            report(i + 1)
    blocks = zip(model.config.kinds, *found, strict=True)
    return [_mean(kind, rows) for kind, *rows in blocks]


def bins(length: int) -> list[str]:
    """What the bins of a passage of `length` tokens are called.

    >>> bins(2048)
    ['itself', '1-7', '8-63', '64-511', '512+']
    """
    *edges, _ = _edges(length)
    spans = [f"{a}-{b - 1}" for a, b in itertools.pairwise(edges)]
    return ["itself", *spans, f"{edges[-1]}+"]


def _edges(length: int) -> list[int]:
    return [*(edge for edge in EDGES if edge < length), length]


def _look(model: Transformer, tokens: np.ndarray) -> list:
    """`(shares, spread, even, even spread)` of each block, None without attention."""
    ids = jnp.asarray(np.concatenate([[model.config.bos], tokens[:-1]]))
    hidden, found = model.embed[ids], []
    for block, fast_mlp in unstack(model):
        looks, hidden = _through(block, fast_mlp, hidden)
        found.append(looks)
    return found


@eqx.filter_jit
def _through(block, fast_mlp, hidden):
    """Where a block's heads look, and what it hands on."""
    looks = None
    if isinstance(block.mixer, Full | Window):
        looks = _measure(block.mixer, block.around_mixer.pre(hidden))
    state = None
    if block.mixer is not None and looks is None:
        state = block.mixer.init_state(len(hidden), hidden.dtype)
    return looks, block(hidden, state, fast_mlp)[0]


def _measure(mixer: Full | Window, x: Float[Array, "seq d_model"]):
    """Over the second half of the queries, so many at a time that weights fit."""
    seq = len(x)
    q, k, _ = mixer.projections(x)
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
        totals.append(_summed(both, back, _edges(seq)))
    count = seq - seq // 2
    shares, entropy = (sum(parts) / count for parts in zip(*totals, strict=True))
    return shares[:-1], jnp.exp(entropy[:-1]), shares[-1], jnp.exp(entropy[-1])


def _summed(
    weights: Float[Array, "heads queries keys"],
    back: Int[Array, "queries keys"],
    edges: list[int],
):
    """Shares by distance and entropy, summed over queries, `[heads, bins]` and
    `[heads]`."""
    starts = (0, *edges[:-1])
    spans = [(back >= a) & (back < b) for a, b in zip(starts, edges, strict=True)]
    shares = jnp.einsum("hqk,bqk->hb", weights, jnp.stack(spans).astype(weights.dtype))
    logs = jnp.log(jnp.where(weights > 0, weights, 1))
    return shares, -jnp.sum(weights * logs, axis=(1, 2))


def _mean(kind: str, rows: list) -> Looks:
    if rows[0] is None:
        return Looks(kind)
    shares, spread, even, even_spread = (
        np.mean([np.asarray(row[i]) for row in rows], axis=0) for i in range(4)
    )
    return Looks(kind, shares, spread, even, float(even_spread))


def as_json(blocks: list[Looks]) -> list[dict]:
    """The blocks as plain data, rounded."""
    return [_block_json(one) for one in blocks]


def _block_json(one: Looks) -> dict:
    if one.shares is None:
        return {"kind": one.kind, "heads": []}
    row = lambda shares, spread: {
        "shares": [round(float(share), 4) for share in shares],
        "spread": round(float(spread), 2),
    }
    heads = zip(one.shares, one.spread, strict=True)
    even = row(one.even, one.even_spread)
    return {"kind": one.kind, "heads": [row(*head) for head in heads], "even": even}
