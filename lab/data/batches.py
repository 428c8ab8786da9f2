"""Batches: windows of documents, shuffled, and resumed to the bit. Grain reads them.

A training sequence is `[bos, *seq tokens of one document]`: a window never crosses
into another document. A document of `n` tokens has `n // seq` windows side by side.
The tokens left over, fewer than `seq`, are the slack: in each epoch the document's
windows shift together by a new random part of the slack, so that two epochs cut the
document in different places. Windows of all documents are shuffled together, anew in
each epoch.

Batch number `i` follows from the seed and `i` alone: the state of an iterator is one
number, and several processes read disjoint rows of the same batches that one process
would read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lab.data.shards import Shards


class Windows(NamedTuple):
    """How documents are cut into windows of `seq` tokens.

    Attributes:
        total: number of windows in an epoch.
        documents: number of documents with at least one window.
        dropped: number of documents shorter than `seq`, which have no window.
        dropped_tokens: tokens in the dropped documents.
    """

    total: int
    documents: int
    dropped: int
    dropped_tokens: int


@dataclass(frozen=True)
class Passages:
    """Held-out passages: `tokens [count, length + 1]`, and where each begins."""

    tokens: np.ndarray
    names: tuple[str, ...]
    offsets: tuple[int, ...]


def windows(shards: Shards, seq: int) -> Windows:
    """Count windows and dropped documents.

    **Raises** `ValueError` if `seq` is not positive or no document is that long.
    """
    lengths = _lengths(shards, seq)
    short = lengths[lengths < seq]
    total = int((lengths // seq).sum())
    if total == 0:
        raise ValueError(
            f"No document of {shards.corpus}/{shards.split} has {seq} tokens: the "
            f"longest has {lengths.max(initial=0)}; use a smaller seq or longer texts."
        )
    return Windows(total, len(lengths) - len(short), len(short), int(short.sum()))


def batches(
    shards: Shards,
    *,
    seq: int,
    batch: int,
    bos: int,
    seed: int,
    epochs: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
):
    """Training batches as a Grain iterator.

    The iterator has `get_state()` and `set_state(state)`; after a restore the batches
    are the same, bit for bit.

    Args:
        shards: tokens to read.
        seq: tokens per window, without `bos`.
        batch: sequences per batch, over all processes together.
        bos: the entry that starts every sequence.
        seed: decides the order of windows and their shifts.
        epochs: passes over the windows; with None the batches never end. An incomplete
            last batch is left out.
        process_index, process_count: which process this is, of how many.

    Returns:
        A `grain.DatasetIterator` of `{"tokens": int32 [rows, seq + 1]}`, with `rows`
        = `batch // process_count`.

    **Raises** `ValueError` for sizes that do not fit, such as too few tokens for one
    batch.
    """
    return iterate(
        Cut(shards, seq=seq, bos=bos, seed=seed),
        windows(shards, seq).total,
        batch=batch,
        seed=seed,
        epochs=epochs,
        process_index=process_index,
        process_count=process_count,
    )


def iterate(
    row: Callable[[int, int], dict[str, np.ndarray]],
    total: int,
    *,
    batch: int,
    seed: int,
    epochs: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
):
    """A Grain iterator over batches of rows, shuffled anew each epoch.

    Args:
        row: `(epoch, window) -> {name: array}`, a function of these two alone; called
            from several threads.
        total: number of windows in an epoch.
        batch, seed, epochs, process_index, process_count: as in `batches`.

    **Raises** `ValueError` for sizes that do not fit.
    """
    _check_sizes(batch, epochs, total, process_index, process_count)
    import grain

    # Repeating comes before slicing: a global position determines the epoch.
    dataset = (
        grain.MapDataset.range(total)
        .seed(seed)
        .shuffle()
        .repeat(epochs)
        .map_with_index(lambda position, window: row(position // total, window))
    )[process_index::process_count]
    dataset = dataset.batch(batch // process_count, drop_remainder=True)
    ahead = grain.ReadOptions(num_threads=2, prefetch_buffer_size=8)
    return iter(dataset.to_iter_dataset(ahead))


def passages(shards: Shards, *, count: int, length: int, bos: int) -> Passages:
    """`count` passages spread evenly over the split; the same ones every time.

    Args:
        shards: tokens of held-out documents.
        count: number of passages; no two overlap.
        length: tokens per passage, without `bos`.
        bos: the entry in front of each passage.

    **Raises** `ValueError` if the split has fewer than `count` such passages.
    """
    total = windows(shards, length).total
    if not 0 < count <= total:
        raise ValueError(
            f"{shards.corpus}/{shards.split} has {total} passages of {length} tokens: "
            f"got count={count}; use 1 to {total}, or shorter ones."
        )
    cut = Cut(shards, seq=length, bos=bos, seed=0)
    spread = (2 * np.arange(count) + 1) * total // (2 * count)
    found = [cut.find(int(window)) for window in spread]
    return Passages(
        tokens=np.stack([cut.read(document, offset) for document, offset in found]),
        names=tuple(shards.documents[document].name for document, _ in found),
        offsets=tuple(offset for _, offset in found),
    )


class Cut:
    """Windows of documents, by epoch and number: the rows of `batches`.

    `Cut(...)(epoch, window)` is `{"tokens": int32 [seq + 1]}`.
    """

    def __init__(self, shards: Shards, *, seq: int, bos: int, seed: int) -> None:
        lengths = _lengths(shards, seq)
        self.shards, self.seq, self.bos, self.seed = shards, seq, bos, seed
        self.slack = lengths % seq
        self.ends = np.cumsum(lengths // seq)

    def __call__(self, epoch: int, window: int) -> dict[str, np.ndarray]:
        document, offset = self.find(window)
        draw = np.random.default_rng((self.seed, epoch, document))
        shift = int(draw.integers(self.slack[document] + 1))
        return {"tokens": self.read(document, offset + shift)}

    def find(self, window: int) -> tuple[int, int]:
        """Document and offset of a window, before any shift."""
        document = int(np.searchsorted(self.ends, window, side="right"))
        first = int(self.ends[document - 1]) if document else 0
        return document, (window - first) * self.seq

    def read(self, document: int, offset: int) -> np.ndarray:
        """`bos` and the `seq` tokens of a document from `offset` on."""
        row = np.empty(self.seq + 1, dtype=np.int32)
        row[0] = self.bos
        row[1:] = self.shards.tokens(document)[offset : offset + self.seq]
        return row


def _lengths(shards: Shards, seq: int) -> np.ndarray:
    if seq < 1:
        raise ValueError(f"A window has at least one token: got seq={seq}.")
    return np.array([entry.length for entry in shards.documents], dtype=np.int64)


def _check_sizes(
    batch: int, epochs: int | None, total: int, index: int, count: int
) -> None:
    if batch < 1 or count < 1 or batch % count:
        raise ValueError(
            f"`batch` must divide evenly among the processes: got batch={batch}, "
            f"process_count={count}; use a multiple of {max(count, 1)}."
        )
    if not 0 <= index < count:
        raise ValueError(
            f"`process_index` must be 0 to {count - 1}: got process_index={index}."
        )
    if epochs is not None and epochs < 1:
        raise ValueError(f"`epochs` must be >= 1, or None: got epochs={epochs}.")
    if total * (epochs or 1) < batch and epochs is not None:
        raise ValueError(
            f"There are too few tokens for one batch: {total} windows in each of "
            f"{epochs} epochs, batch={batch}; use a smaller batch or seq."
        )
