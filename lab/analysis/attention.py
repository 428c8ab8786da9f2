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
from typing import ClassVar

import numpy as np

from lab.measure.texts import Passage, TextRead


# Distances at which a bin ends and the next begins; the first is the token itself.
EDGES = (1, 8, 64, 512)


@dataclasses.dataclass(frozen=True)
class Head:
    """Where one head looks: `shares [bins]` of attention by distance, and over how many
    tokens it might as well be even (`spread`)."""

    shares: tuple[float, ...]
    spread: float


@dataclasses.dataclass(frozen=True)
class Looks:
    """Where the heads of one block look: means over passages.

    `even`: a head that looks evenly at all it can see. Without attention there are no
    heads, and `even` is None.
    """

    kind: str
    heads: tuple[Head, ...] = ()
    even: Head | None = None


@dataclasses.dataclass(frozen=True)
class Attention:
    """Where each block of each model looks.

    `distances [bins]`: what the bins are called. `blocks`: by model; `sha256` as well.
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
) -> tuple[Looks, ...]:
    """Where each block looks, over passages of one length.

    `report(read)` is called after each passage.

    **Raises** `ValueError` for passages of fewer than two tokens.
    """
    if any(len(passage.tokens) < 2 for passage in passages):
        raise ValueError("Passages of two tokens or more are needed to look back in.")
    from lab.analysis.heads import look_once

    found = []
    for i, passage in enumerate(passages):
        found.append(look_once(model, passage.tokens, edges(len(passage.tokens))))
        if report:
            report(i + 1)
    blocks = zip(model.config.kinds, *found, strict=True)
    return tuple(_mean(kind, rows) for kind, *rows in blocks)


def bins(length: int) -> list[str]:
    """What the bins of a passage of `length` tokens are called.

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
        np.mean([np.asarray(row[i]) for row in rows], axis=0) for i in range(4)
    )
    heads = tuple(map(_head, shares, spread))
    return Looks(kind, heads, _head(even, even_spread))


def _head(shares: np.ndarray, spread: float) -> Head:
    return Head(tuple(shares.tolist()), float(spread))
