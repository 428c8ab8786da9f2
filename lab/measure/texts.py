"""What is read: passages of held-out documents, or the documents whole.

Every document gives equally many passages, evenly spread: the same ones every time, so
that systems are compared on the very same tokens.
"""

import dataclasses

import numpy as np

from lab.data.shards import Shards


@dataclasses.dataclass(frozen=True, eq=False)
class Passage:
    """Tokens `[length]` of document `novel`, from token `offset` on; no BOS."""

    novel: str
    offset: int
    tokens: np.ndarray


def passages(shards: Shards, *, length: int, per_novel: int) -> list[Passage]:
    """At most `per_novel` passages of `length` tokens from each document.

    Documents shorter than `length` give none. **Raises** `ValueError` where no document
    is that long, or a number is not positive.
    """
    if length < 1 or per_novel < 1:
        raise ValueError(
            "`length` and `per_novel` must be >= 1: got "
            f"length={length}, per_novel={per_novel}."
        )
    found = [
        _cut(shards, document, offset, length)
        for document, entry in enumerate(shards.documents)
        for offset in _offsets(entry.length, length, per_novel)
    ]
    if not found:
        longest = max((entry.length for entry in shards.documents), default=0)
        raise ValueError(
            f"No document of {shards.corpus}/{shards.split} has {length:,} tokens: the "
            f"longest has {longest:,}; use a smaller --length, or --whole."
        )
    return found


def whole(shards: Shards, *, limit: int | None = None) -> list[Passage]:
    """Every document from its first token to its last (or its first `limit` tokens).

    **Raises** `ValueError` for a limit that is not positive.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"A document's first {limit} tokens: take 1 or more.")
    return [
        _cut(shards, document, 0, min(entry.length, limit or entry.length))
        for document, entry in enumerate(shards.documents)
        if entry.length
    ]


def spread(passages: list[Passage], count: int | None) -> list[Passage]:
    """`count` of the passages, evenly spread (all where there are no more, or None)."""
    total = len(passages)
    if count is None or count >= total:
        return passages
    if count < 1:
        raise ValueError(f"`novels` must be >= 1: got {count}.")
    return [passages[(2 * i + 1) * total // (2 * count)] for i in range(count)]


def _offsets(total: int, length: int, count: int) -> list[int]:
    windows = total // length
    count = min(count, windows)
    return [(2 * i + 1) * windows // (2 * count) * length for i in range(count)]


def _cut(shards: Shards, document: int, offset: int, length: int) -> Passage:
    tokens = np.asarray(shards.tokens(document)[offset : offset + length], np.int32)
    return Passage(shards.documents[document].name, offset, tokens)
