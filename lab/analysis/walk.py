"""A document read once, with what every look inside the weights needs.

A *walk* holds what the model and its frozen twin paid for every token, and the fast
weights at chosen times. Time `t` is after `t` chunks: at time 0 the weights are W0.

    walk = take(model, ids, times=(0, 64, 128), subject=subject)
    walk.gain                                   # [chunks, chunk], what learning saved
    reread(model, walk.weights[128], walk.rows) # the same text, an empty window

`reread` asks what weights alone know: every chunk is read with an empty window, and so
nothing of the text can come from attention. Nothing is learned.

Analyses are compared with a *null*: the same numbers where there is nothing to find,
on an unrelated document or on the same tokens in a random order (`shuffled`).
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


MEMORY = 2**30  # bytes of fast weights that are held


@dataclasses.dataclass(frozen=True)
class Subject:
    """What was looked into, as results record it.

    `model`, `sha256`: name and hash of the model. `document`, `title`, `text_hash`: the
    text, and a hash of the tokens that were read. `start`: the first of them in the
    document. `tokens`, `chunk`: how many, and how many a chunk. `reach`: tokens that
    attention sees back through all layers, None if there is no bound. `null`: the
    unrelated document, "" for none.
    """

    model: str
    sha256: str
    document: str
    title: str
    text_hash: str
    start: int
    tokens: int
    chunk: int
    reach: int | None
    null: str = ""

    @property
    def chunks(self) -> int:
        """Whole chunks that were read."""
        return self.tokens // self.chunk

    @property
    def stem(self) -> str:
        """The subject as part of a file name, such as `tiny-e2e-1981-Carter-1`."""
        return f"{self.model}-{self.document.rpartition('/')[2]}"

    def __str__(self) -> str:
        return f"{self.model} after {self.tokens:,} tokens of {self.document}"


@dataclasses.dataclass(frozen=True, eq=False)
class Walk:
    """A document read once by a model that learns, and by its frozen twin.

    `ids [tokens]`. `rows [chunks, chunk + 1]`: each chunk with the token before it.
    `learning`, `frozen [chunks, chunk]`: nats of every token. `weights`: time -> fast
    weights after so many chunks, as `ttt_core.split` gives them.
    """

    ids: np.ndarray
    rows: np.ndarray
    learning: np.ndarray
    frozen: np.ndarray
    weights: dict[int, Any]

    @property
    def gain(self) -> np.ndarray:
        """Nats that learning saved on every token, `[chunks, chunk]`."""
        return self.frozen - self.learning


def take(
    model,
    ids: np.ndarray,
    *,
    times: Iterable[int] = (),
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Walk:
    """Read `ids`, as many whole chunks as there are, and keep weights at `times`.

    Time 0 and the end are always kept. `report(done, total)`: counts of tokens.

    **Raises** `ValueError` for a model that does not learn while reading, for fewer
    tokens than two chunks, or for a time that is not within the text.
    """
    import ttt_core as ttt

    chunk, chunks = _check(model, ids)
    rows = cut(ids, model.config)
    times = sorted({0, *times, chunks})
    if times[0] < 0 or times[-1] > chunks:
        raise ValueError(
            f"Times are counted in chunks, from 0 to {chunks}: got {times[0]} to "
            f"{times[-1]}."
        )
    pair = (model, ttt.without_learning(model))
    states = [ttt.init_state(one, capacity=chunks * chunk) for one in pair]
    nats, weights = ([], []), {0: states[0].fast}
    for since, until in zip(times, times[1:], strict=False):
        piece = ids[since * chunk : until * chunk]
        for i, reader in enumerate(pair):
            states[i], found = ttt.read(reader, states[i], piece)
            nats[i].append(np.asarray(found.nll))
        weights[until] = states[0].fast
        report(until * chunk, chunks * chunk)
    learning, frozen = (np.concatenate(found).reshape(-1, chunk) for found in nats)
    return Walk(ids[: chunks * chunk], rows, learning, frozen, weights)


def cut(ids: np.ndarray, config) -> np.ndarray:
    """Whole chunks with the token before each, BOS first, `[chunks, chunk + 1]`."""
    chunk = config.chunk
    whole = len(ids) // chunk * chunk
    row = np.concatenate([[config.bos], ids[:whole]]).astype(np.int32)
    starts = np.arange(0, whole, chunk)
    return row[starts[:, None] + np.arange(chunk + 1)]


def reread(model, fast, rows: np.ndarray) -> np.ndarray:
    """Nats of `rows [n, length + 1]` under given fast weights, `[n, length]`.

    Each row is read for itself with an empty window, and nothing is learned. The first
    token of a row is what stands before it: an input, and not scored.
    """
    import ttt_core as ttt

    return np.asarray(ttt.nll_under(model, fast, rows))


def spread(start: int, stop: int, count: int) -> list[int]:
    """At most `count` whole numbers from `start` to `stop`, both included, evenly."""
    count = min(count, stop - start + 1)
    return sorted({round(found) for found in np.linspace(start, stop, count)})


def shuffled(ids: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same tokens in a random order: their frequencies and nothing else."""
    return np.random.default_rng(seed).permutation(ids)


def room(model) -> int:
    """Of how many times there is memory for two copies of the fast weights."""
    import jax

    import ttt_core as ttt

    numbers = sum(leaf.size for leaf in jax.tree.leaves(ttt.split(model)[0]))
    return max(8, MEMORY // (8 * numbers))


def check_learns(model, name: str = "This model"):
    """**Raises** `ValueError` for a model that does not learn while reading."""
    if not model.config.learns:
        raise ValueError(
            f"{name} does not learn while reading, so nothing of a text gets into its "
            "weights; choose one that learns, such as tiny-e2e."
        )


def _check(model, ids: np.ndarray) -> tuple[int, int]:
    """`(chunk, chunks)`."""
    check_learns(model)
    chunk = model.config.chunk
    if len(ids) < 2 * chunk:
        raise ValueError(
            f"A look inside needs two chunks of {chunk:,} tokens: got {len(ids):,}."
        )
    return chunk, len(ids) // chunk
