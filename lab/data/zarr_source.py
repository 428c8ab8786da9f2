"""Training batches straight from the paper's tokens: a zarr v3 store, read in place.

The authors publish their corpora tokenised, as a store with two one-dimensional arrays,
`train` and `val`. Documents lie end to end in them, each after its `bos`. Sample `i` is
`tokens[i * seq : (i + 1) * seq + 1]`: neighbours share one token, the last target of
one being the first input of the next. Unlike in our own shards, a sequence may cross
from one document into another. The target there is a `bos`, which cannot be predicted,
so `mask` excludes it from the inner and the outer loss.

    zarr:/data/dclm_filter_8k        a folder
    zarr:gs://bucket/llama3-books3   whatever TensorStore can open

TensorStore (installed with Orbax) reads and decompresses what a sample needs, from a
disk or a bucket; a small cache holds the chunks of the store that were read last.
"""

import hashlib

import numpy as np

from lab import files
from lab.data import batches as grain_batches
from lab.data.batches import Passages
from lab.data.tokenizers import AbstractTokenizer


# Buckets that the paper's authors publish; the reader pays for the transfer.
PUBLISHED = ("llama3-dclm-filter-8k", "llama3-books3")
CACHE_BYTES = 256 * 2**20
_MARKS = 64


class ZarrTokens:
    """One split of a store.

    Attributes:
        store, split: where the tokens are.
        total: number of tokens.
    """

    def __init__(self, store: str, split: str, array) -> None:
        self.store, self.split, self._array = store, split, array
        self.total = int(array.shape[0])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens from `start` up to `stop`, `int32 [stop - start]`."""
        return self._array[start:stop].read().result().astype(np.int32)

    def data_hash(self) -> str:
        """sha256 (hex) of the length and of 64 samples of 64 tokens, evenly spread."""
        told = hashlib.sha256(f"{self.total} tokens".encode())
        for start in np.linspace(0, max(0, self.total - _MARKS), _MARKS, dtype=int):
            stop = min(self.total, int(start) + _MARKS)
            told.update(self.read(int(start), stop).astype("<i4").tobytes())
        return told.hexdigest()

    def __repr__(self) -> str:
        return f"<zarr {self.store}/{self.split}: {self.total:,} tokens>"


def open(store: str, split: str) -> ZarrTokens:
    """The tokens of a split, opened but not yet read.

    Args:
        store: a folder, or an address that TensorStore understands (`gs://...`).
        split: `train` or `val`.

    **Raises** `ValueError` for another split or an array that is not a row of whole
    numbers, `FileNotFoundError` if there is no such array.
    """
    if split not in ("train", "val"):
        raise ValueError(f"A zarr store has the splits train and val: got {split!r}.")
    import tensorstore

    spec = {
        "driver": "zarr3",
        "kvstore": _place(store, split),
        "context": {"cache_pool": {"total_bytes_limit": CACHE_BYTES}},
    }
    try:
        array = tensorstore.open(spec, read=True, open=True).result()
    except ValueError as error:
        raise FileNotFoundError(_why_not(store, split, str(error))) from error
    if array.ndim != 1 or not np.issubdtype(array.dtype.numpy_dtype, np.integer):
        raise ValueError(
            f"{store}/{split} has shape {list(array.shape)} and holds "
            f"{array.dtype.name}: tokens must be one row of whole numbers."
        )
    return ZarrTokens(store, split, array)


def windows(tokens: ZarrTokens, seq: int) -> int:
    """Number of samples of `seq + 1` tokens in a split.

    **Raises** `ValueError` if `seq` is not positive or there is no sample.
    """
    if seq < 1:
        raise ValueError(f"`seq` must be >= 1 token: got seq={seq}.")
    total = (tokens.total - 1) // seq
    if total < 1:
        raise ValueError(
            f"{tokens.store}/{tokens.split} has {tokens.total} tokens: too few for a "
            f"sample of {seq} and one more; use a smaller seq."
        )
    return total


def batches(
    tokens: ZarrTokens,
    tokenizer: AbstractTokenizer,
    *,
    seq: int,
    batch: int,
    seed: int,
    epochs: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
):
    """Training batches as a Grain iterator, as in `lab.data.batches.batches`.

    Returns:
        A `grain.DatasetIterator` of `{"tokens": int32 [rows, seq + 1], "mask": bool
        [rows, seq]}`; `mask` is False where the target is the tokenizer's `bos`.

    **Raises** `ValueError` for sizes that do not fit; the iterator raises one for a
    token that the tokenizer does not have.
    """

    def row(_epoch: int, window: int) -> dict[str, np.ndarray]:
        start = int(window) * seq
        found = tokens.read(start, start + seq + 1)
        _check_vocabulary(found, tokens, tokenizer)
        return {"tokens": found, "mask": found[1:] != tokenizer.bos}

    return grain_batches.iterate(
        row,
        windows(tokens, seq),
        batch=batch,
        seed=seed,
        epochs=epochs,
        process_index=process_index,
        process_count=process_count,
    )


def passages(
    tokens: ZarrTokens, tokenizer: AbstractTokenizer, *, count: int, length: int
) -> Passages:
    """`count` samples of `length + 1` tokens spread evenly; the same ones every time.

    **Raises** `ValueError` if there are fewer samples.
    """
    total = windows(tokens, length)
    if not 0 < count <= total:
        raise ValueError(
            f"{tokens.store}/{tokens.split} has {total} passages of {length} tokens: "
            f"got count={count}; use 1 to {total}, or shorter ones."
        )
    starts = (2 * np.arange(count) + 1) * total // (2 * count) * length
    found = np.stack([tokens.read(int(at), int(at) + length + 1) for at in starts])
    _check_vocabulary(found, tokens, tokenizer)
    names = tuple(f"{tokens.split}[{at}]" for at in starts)
    return Passages(found, names, tuple(int(at) for at in starts))


def _place(store: str, split: str):
    if "://" in store:
        return f"{store.rstrip('/')}/{split}/"
    return {"driver": "file", "path": str(files.expanded(store).absolute() / split)}


def _why_not(store: str, split: str, said: str) -> str:
    here = files.expanded(store)
    if "://" not in store and here.is_dir():
        inside = sorted(path.name for path in here.iterdir())
        holds = f"the folder holds {', '.join(inside[:8]) or 'nothing'}"
        if (here / split / ".zarray").is_file():
            holds = "the array is of zarr version 2"
        return f"There is no zarr v3 array {split!r} in {store}: {holds}."
    if here.name in PUBLISHED and "://" not in store:
        return (
            f"The tokens {here.name} are not in {here.absolute()}. The paper's authors "
            f"publish them: gcloud storage cp -r gs://{here.name}/ {here.name} (the "
            f"reader pays). Give their path if they are elsewhere (--set corpus=zarr:"
            f"PATH/{here.name}), or train on another text (--set corpus=eltec-eng "
            "tokenizer=bpe-4k model.vocab=4096 model.bos=4095)."
        )
    return f"Cannot open the zarr store {store}, split {split}: {said.splitlines()[0]}"


def _check_vocabulary(found: np.ndarray, tokens: ZarrTokens, tokenizer) -> None:
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= tokenizer.vocab:
        raise ValueError(
            f"{tokens.store}/{tokens.split} has the token {high if low >= 0 else low}, "
            f"and {tokenizer.name} has {tokenizer.vocab} entries: the store was made "
            "with another tokenizer."
        )
