"""Forgetting exactly: back to what a stream was before it read the rest, and the proof.

Of a text that was learned after another, no part can be taken out of the weights by
arithmetic: every inner step starts from the step before. So the text is read again up
to the part that is to be forgotten, and three hashes are compared:

1. the whole text, read again, ends at the very weights of the memory, so that this is
   the reading that made it;
2. on its way, after the last chunk that is kept, it had certain weights;
3. another reading, which is given the kept chunks alone and never sees the rest, ends
   at the same weights as 2, bit for bit.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lab import checkpoints, memories, runs
from lab.measure.parts import Keep, fresh
from lab.memories import Card, Memory


STRETCH = 512  # chunks that are read before the state is kept


@dataclass(frozen=True)
class Receipt:
    """What was forgotten, and the hashes that prove it.

    Attributes:
        document, model, model_hash: what was read, and by whom.
        chunks: chunks of the memory before. kept: chunks that it has now.
        tokens_forgotten: first token that is forgotten, and the token after the last.
        before: hash of the weights with all chunks, as the memory says.
        read_again: the same, found by reading the whole text again.
        on_the_way: hash of that reading's weights after the kept chunks.
        never_read_the_rest: hash of the weights of a reading of the kept chunks alone.
        after: hash of the weights that the new memory gives.
        is_exact: whether `after` are the bits of a reading that never read the rest.
        made: command, commit, date, versions.
    """

    document: str
    model: str
    model_hash: str
    chunks: int
    kept: int
    tokens_forgotten: tuple[int, int]
    before: str
    read_again: str
    on_the_way: str
    never_read_the_rest: str
    after: str
    is_exact: bool
    made: dict


def forget(
    memory: Memory,
    model,
    ids: np.ndarray,
    since: int,
    *,
    text: str = "",
    other: tuple[str, Sequence[int]] | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
    keep: Keep = fresh,
) -> tuple[Memory, Receipt]:
    """The memory without chunk `since` (from 1) and all after it, and the receipt.

    Args:
        ids: the document's tokens, of which the memory's span is checked.
        text: the document, to be hashed. other: as in `memories.remember`.
        report: is told how many of all chunks were read. keep: keeps what was read
            (`lab.measure.parts`), so that a command that was stopped goes on.

    **Raises** `ValueError` for another document or model, a chunk that the memory does
    not have, and where reading again does not give the memory's bits.
    """
    card = memory.card
    check(memory, ids, since)
    memories.fast_weights(memory, model)  # the right model, or a sentence
    kept, size = since - 1, card.chunk
    ids = np.asarray(ids, np.int32)[: card.span[1]]
    whole, on_the_way, state = _read_twice(card, model, ids, kept, report, keep)
    alone = _hash(state)
    _check_bits(card, whole, on_the_way, alone)
    new = memories.remember(
        state,
        model,
        document=card.document,
        text=text,
        tokens=ids[: kept * size],
        name=card.model,
        gains=memory.gains[:kept],
        rate=card.rate,
        form=card.form,
        other=other,
    )
    start = memories.arrays_of(model.fast_mlps)
    after = memories.hash_of(memories.weights(new, start))
    return new, Receipt(
        document=card.document,
        model=card.model,
        model_hash=card.model_hash,
        chunks=card.chunks,
        kept=kept,
        tokens_forgotten=(kept * size, card.span[1]),
        before=card.learned_hash,
        read_again=whole,
        on_the_way=on_the_way,
        never_read_the_rest=alone,
        after=after,
        is_exact=after == alone,
        made=runs.environment(),
    )


def _read_twice(card: Card, model, ids: np.ndarray, kept: int, report, keep: Keep):
    """All of a text, then its first `kept` chunks alone.

    Returns the hash at the end of the first reading, its hash after `kept` chunks, and
    the state at the end of the second.
    """
    total = card.chunks + kept
    even = lambda last: list(range(STRETCH, last, STRETCH))
    stops = sorted({*even(card.chunks), kept, card.chunks})
    tell = lambda done: report(done, total)
    way = _read(model, ids, card.rate, stops, tell, _labelled(keep, "whole"))
    marks = {stop: _hash(state) for stop, state in zip(stops, way, strict=True)}
    tell = lambda done: report(card.chunks + done, total)
    rest = ids[: kept * card.chunk], card.rate, [*even(kept), kept]
    *_, state = _read(model, *rest, tell, _labelled(keep, "alone"))
    return marks[card.chunks], marks[kept], state


def _check_bits(card: Card, whole: str, on_the_way: str, alone: str):
    """**Raises** `ValueError` where hashes differ that should be one."""
    if whole != card.learned_hash:
        raise ValueError(
            f"Reading {card.document} again ends at other weights (hash {whole[:12]}) "
            f"than the memory's ({card.learned_hash[:12]}): another machine or other "
            "versions round differently, so nothing was forgotten; make the memory "
            "anew here, and forget then."
        )
    if alone != on_the_way:
        raise ValueError(
            f"Two readings of the chunks that are kept have different weights "
            f"({on_the_way[:12]} and {alone[:12]}), so nothing was forgotten."
        )


def _labelled(keep: Keep, label: str) -> Keep:
    """The two readings must share nothing that is kept."""
    return lambda measure, *key: keep(measure, label, *key)


def check(memory: Memory, ids: np.ndarray, since: int):
    """Check what can be checked before anything is read.

    **Raises** `ValueError` as `forget` does.
    """
    card, ids = memory.card, np.asarray(ids, np.int32)
    if card.mixed or not card.tokens_hash:
        raise ValueError(
            f"This is a memory of {card.title}, which cannot be read again chunk by "
            "chunk; forget in the memory of one document, then mix."
        )
    if not 2 <= since <= card.chunks:
        raise ValueError(
            f"--since names the first chunk to forget, from 2 to {card.chunks:,}: got "
            f"{since:,} (to forget all of it, remove the file)."
        )
    found = memories.hash_of({"ids": ids[: card.span[1]]})
    if found != card.tokens_hash:
        raise ValueError(
            f"This is not the text that {card.document} was: its first "
            f"{card.span[1]:,} tokens have hash {found[:12]}, those of the memory "
            f"{card.tokens_hash[:12]}; name the text as it was with --document."
        )


def _read(
    model, ids: np.ndarray, rate: float, stops: list[int], report, keep: Keep
) -> Iterator:
    """The states of one reading after each of some numbers of chunks, in order.

    Each stretch is kept when it has been read, so that a stopped command goes on.
    """
    import jax

    import ttt_core as ttt

    size, marked = model.config.chunk, checkpoints.model_hash(model)
    leaves, structure = jax.tree.flatten(ttt.init_state(model))
    for first, last in itertools.pairwise([0, *stops]):

        def stretch(first=first, last=last, leaves=leaves):
            state = jax.tree.unflatten(structure, map(jax.numpy.asarray, leaves))
            for done in range(first, last):
                row = ids[done * size : (done + 1) * size]
                state, _ = ttt.read(model, state, row, rate=rate)
                report(done + 1)
            return jax.tree.leaves(state)

        leaves = keep(stretch, marked, rate, ids[: last * size], first)
        report(last)
        yield jax.tree.unflatten(structure, map(jax.numpy.asarray, leaves))


def _hash(state) -> str:
    return memories.hash_of(memories.arrays_of(state.fast))
