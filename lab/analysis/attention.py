"""How far back does attention look? Shares of it by distance, head by head.

A query's weights over the tokens up to itself sum to one. Here they are summed by the
distance of those tokens, and averaged over the second half of a passage, where a query
has at least half a passage to look at. The *spread* of a head is the exponential of its
mean entropy: an even head over that many tokens would have the same entropy. A head
that looks evenly at all it can see has not learned where to look; `even` holds the
numbers of such a head.

Blocks are run with the weights as they are in the file: nothing is learned while
reading. Blocks without attention only pass the text on.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab import checkpoints
from lab.measure.parts import Keep, fresh
from lab.measure.texts import Passage, TextRead


# Bins of distances end here, and the next begin; the first bin is the token itself.
EDGES = (1, 8, 64, 512)
PARTS = 4  # of what is measured of a block: shares and spread, of its heads and even


@dataclasses.dataclass(frozen=True)
class Head:
    """Where one head looks.

    `shares [bins]`: attention by distance. `spread`: number of tokens over which an
    even head has the same entropy.
    """

    shares: tuple[float, ...]
    spread: float


@dataclasses.dataclass(frozen=True)
class Looks:
    """Where the heads of one block look: means over passages.

    `even`: a head that looks evenly at all it can see. Without attention, there are no
    heads and `even` is None.
    """

    kind: str
    heads: tuple[Head, ...] = ()
    even: Head | None = None


@dataclasses.dataclass(frozen=True)
class Attention:
    """Where each block of each model looks.

    `distances [bins]`: names of the bins. `blocks`, `sha256`: by model.
    """

    KIND: ClassVar[str] = "attention"
    text: TextRead
    distances: tuple[str, ...]
    sha256: dict[str, str]
    blocks: dict[str, tuple[Looks, ...]]


def look(
    model,
    passages: list[Passage],
    report: Callable[[int], None] | None = None,
    keep: Keep = fresh,
) -> tuple[Looks, ...]:
    """Where each block looks, over passages of one length.

    `report(read)`: called after each passage with the number of passages read. `keep`:
    keeps each passage's shares (`lab.measure.parts`).

    **Raises** `ValueError` for passages of fewer than two tokens.
    """
    if any(len(passage.tokens) < 2 for passage in passages):
        raise ValueError("Looking back needs passages of two tokens or more.")
    from lab.analysis.heads import look_once

    found, marked = [], checkpoints.model_hash(model)
    for i, passage in enumerate(passages):
        ends = edges(len(passage.tokens))
        looked = lambda tokens=passage.tokens, ends=ends: _flat(
            look_once(model, tokens, ends)
        )
        found.append(_blocks(keep(looked, marked, passage.tokens, ends)))
        if report:
            report(i + 1)
    blocks = zip(model.config.kinds, *found, strict=True)
    return tuple(_mean(kind, rows) for kind, *rows in blocks)


def _flat(blocks: list) -> list[np.ndarray]:
    """Four arrays for each block; empty ones for a block without attention."""
    none = (np.empty(0),) * PARTS
    return [np.asarray(part) for block in blocks for part in block or none]


def _blocks(arrays: list[np.ndarray]) -> list:
    """The blocks that `_flat` flattened."""
    pieces = (arrays[i : i + PARTS] for i in range(0, len(arrays), PARTS))
    return [piece if piece[0].size else None for piece in pieces]


def bins(length: int) -> list[str]:
    """Names of the bins of a passage of `length` tokens.

    >>> bins(2048)
    ['itself', '1-7', '8-63', '64-511', '512+']
    """
    *ends, _ = edges(length)
    spans = [f"{a}-{b - 1}" for a, b in itertools.pairwise(ends)]
    return ["itself", *spans, f"{ends[-1]}+"]


def edges(length: int) -> list[int]:
    """Distances at which the bins of a passage of `length` tokens end."""
    return [*(end for end in EDGES if end < length), length]


def _mean(kind: str, rows: list) -> Looks:
    if rows[0] is None:
        return Looks(kind)
    shares, spread, even, even_spread = (
        np.mean([np.asarray(row[i]) for row in rows], axis=0) for i in range(PARTS)
    )
    heads = tuple(map(_head, shares, spread))
    return Looks(kind, heads, _head(even, even_spread))


def _head(shares: np.ndarray, spread: float) -> Head:
    return Head(tuple(shares.tolist()), float(spread))
