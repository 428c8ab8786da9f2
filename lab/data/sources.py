"""Where training sequences come from: one name for any kind of corpus.

    eltec-eng, sotu, PATH        documents, tokenised here (`corpora.py`, `shards.py`)
    zarr:STORE                   the paper's tokens, read in place (`zarr_source.py`)
    recall:CORPUS                a corpus with planted facts asked for (`recall.py`)

`open_batches` returns the same kind of iterator for all: dicts with `tokens`, `int32
[rows, seq + 1]`, resumed to the bit from one number. Some kinds add arrays, and
training uses those that are there:

* `mask`, `bool [rows, seq]`: targets that count in the inner and outer loss (zarr);
* `answers`, `bool [rows, seq]`, and `distances`, `int32 [rows, seq]`: targets that
  repeat a planted fact, and how far back it was told (recall).
"""

import hashlib

from lab.data import batches, recall, shards, tokenizers, zarr_source
from lab.data.batches import Passages
from lab.data.tokenizers import AbstractTokenizer


_ZARR, _RECALL = "zarr:", "recall:"


def open_batches(
    corpus: str,
    tokenizer: str | AbstractTokenizer,
    split: str = "train",
    *,
    seq: int,
    batch: int,
    seed: int,
    epochs: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
):
    """Batches of any corpus as a Grain iterator.

    The iterator has `get_state()` and `set_state(state)`; a state is one number,
    `next_index`, the number of batches before it.

    Args:
        corpus: a name as above.
        tokenizer: a tokenizer or its name.
        split: `train` or `val` (documents have `all` too).
        seq: tokens per sequence, not counting the first input.
        batch: sequences per batch, over all processes together.
        seed: decides the order, the shifts and the facts.
        epochs: passes over the corpus; with None the batches never end.
        process_index, process_count: which process this is, of how many.

    **Raises** `FileNotFoundError` if the corpus is missing, `ValueError` if a name or
    size does not fit.
    """
    tokenizer = _tokenizer(tokenizer)
    sizes = {
        "batch": batch,
        "seed": seed,
        "epochs": epochs,
        "process_index": process_index,
        "process_count": process_count,
    }
    if corpus.startswith(_ZARR):
        tokens = zarr_source.open(corpus.removeprefix(_ZARR), split)
        return zarr_source.batches(tokens, tokenizer, seq=seq, **sizes)
    plain, mixture = _mixture(corpus)
    opened = shards.open(plain, tokenizer, split)
    row = batches.Cut(opened, seq=seq, bos=tokenizer.bos, seed=seed)
    if mixture:
        row = recall.Planter(row, tokenizer, mixture, seed=seed)
    return batches.iterate(row, batches.windows(opened, seq).total, **sizes)


def count_windows(
    corpus: str, tokenizer: str | AbstractTokenizer, split: str, seq: int
) -> int:
    """Sequences of `seq` tokens in an epoch of a split.

    **Raises** what `open_batches` raises.
    """
    if corpus.startswith(_ZARR):
        tokens = zarr_source.open(corpus.removeprefix(_ZARR), split)
        return zarr_source.windows(tokens, seq)
    return batches.windows(_shards(corpus, tokenizer, split), seq).total


def open_passages(
    corpus: str,
    tokenizer: str | AbstractTokenizer,
    split: str = "val",
    *,
    count: int,
    length: int,
) -> Passages:
    """Evenly spread passages of any corpus; for a mixture, of its text without facts.

    **Raises** `ValueError` if there are fewer than `count` passages.
    """
    tokenizer = _tokenizer(tokenizer)
    if corpus.startswith(_ZARR):
        tokens = zarr_source.open(corpus.removeprefix(_ZARR), split)
        return zarr_source.passages(tokens, tokenizer, count=count, length=length)
    opened = _shards(corpus, tokenizer, split)
    return batches.passages(opened, count=count, length=length, bos=tokenizer.bos)


def data_hash(corpus: str, tokenizer: str | AbstractTokenizer, split: str) -> str:
    """A sha256 (hex) for cards that changes when the tokens change."""
    if corpus.startswith(_ZARR):
        return zarr_source.open(corpus.removeprefix(_ZARR), split).data_hash()
    found = _shards(corpus, tokenizer, split).data_hash
    _, mixture = _mixture(corpus)
    return (
        hashlib.sha256(f"{found} {mixture}".encode()).hexdigest() if mixture else found
    )


def _tokenizer(tokenizer: str | AbstractTokenizer) -> AbstractTokenizer:
    return tokenizers.load(tokenizer) if isinstance(tokenizer, str) else tokenizer


def _mixture(corpus: str) -> tuple[str, recall.Mixture | None]:
    if not corpus.startswith(_RECALL):
        return corpus, None
    plain, mixture = recall.parse(corpus.removeprefix(_RECALL))
    if plain.startswith((_ZARR, _RECALL)):
        raise ValueError(
            f"The recall mixture is made of documents: got {corpus!r}; name a corpus "
            "of documents after `recall:`, as in recall:eltec-eng."
        )
    return plain, mixture


def _shards(corpus: str, tokenizer, split: str) -> shards.Shards:
    return shards.open(_mixture(corpus)[0], tokenizer, split)
