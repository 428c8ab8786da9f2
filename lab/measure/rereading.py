"""What do fast weights hold of a text? Its chunks read again, with an empty window.

A chunk that is read again behind an empty window, without any learning, is predicted
from the weights alone: whatever they save over W0 is what they hold of it, or of texts
like it. Chunks are drawn with a seed where a document has many.
"""

import numpy as np

from lab.measure.intervals import Interval, interval


DRAWN = 32  # chunks


def draw(chunks: int, most: int = DRAWN, seed: int = 0) -> np.ndarray:
    """Up to `most` of a document's chunks, in order, from 0."""
    found = np.random.default_rng(seed).choice(chunks, min(most, chunks), replace=False)
    return np.sort(found)


def nats(model, fast, ids: np.ndarray, chunks: np.ndarray) -> np.ndarray:
    """Nats per token of chunks under the fast weights `fast`, `[chunks]`.

    Each chunk is read for itself, behind the start of a document; nothing is learned.
    """
    import ttt_core as ttt

    size = model.config.chunk
    rows = np.asarray(ids)[: len(ids) // size * size].reshape(-1, size)[chunks]
    first = np.full((len(rows), 1), model.config.bos, rows.dtype)
    nll = ttt.nll_under(model, fast, np.concatenate([first, rows], axis=1))
    return np.asarray(nll).mean(axis=1, dtype=np.float64)


def gains(trees: list, model, ids: np.ndarray, seed: int = 0) -> list[Interval]:
    """What each of several fast weights saves over W0 on a text: nats per token.

    Chunks of the text are drawn; the interval is over these.
    """
    chunks = draw(len(ids) // model.config.chunk, seed=seed)
    frozen = nats(model, model.fast_mlps, ids, chunks)
    return [interval(frozen - nats(model, fast, ids, chunks)) for fast in trees]
