"""Prepared tokens: every document of a split as one run of integers on disk.

Tokenising 52 MB takes half a minute, so it is done once. The ids of all documents lie
end to end in a few `.npy` files (uint16 if the vocabulary allows), no document is cut
between two files, and `index.json` says where each begins. Reading maps the files into
memory, so that a slice costs no more than its own tokens. No `bos` is stored;
`batches.py` adds one at the start of each training sequence.

The folder's name follows from the corpus, the split, the tokenizer and their contents,
so nothing on disk is ever stale; folders of older contents may be deleted at will.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lab import files
from lab.data import corpora, folders, tokenizers
from lab.data.tokenizers import AbstractTokenizer


SHARD_TOKENS = 32_000_000
_FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """Where one document lies: `length` tokens from `start` in file `shard`."""

    name: str
    shard: int
    start: int
    length: int


class Shards:
    """The tokens of one split, memory-mapped.

    Attributes:
        documents: an `Entry` per document, in the corpus's order.
        corpus, split, tokenizer: their names.
        fingerprint: the tokenizer's fingerprint.
        total: number of tokens.
        data_hash: sha256 of the ids and the documents' names, however they are split
            into files.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.folder = folder
        self.documents = tuple(Entry(**entry) for entry in index.pop("documents"))
        self.corpus: str = index["corpus"]
        self.split: str = index["split"]
        self.tokenizer: str = index["tokenizer"]
        self.fingerprint: str = index["fingerprint"]
        self.total: int = index["total"]
        self.data_hash: str = index["data_hash"]
        self._mapped: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.documents)

    def tokens(self, document: int) -> np.ndarray:
        """Ids of document number `document`: memory-mapped, unsigned, `[length]`."""
        entry = self.documents[document]
        return self._shard(entry.shard)[entry.start : entry.start + entry.length]

    def __repr__(self) -> str:
        return (
            f"<shards {self.corpus}/{self.split} under {self.tokenizer}: "
            f"{len(self):,} documents, {self.total:,} tokens>"
        )

    def _shard(self, number: int) -> np.ndarray:
        if number not in self._mapped:
            self._mapped[number] = self._map(self.folder / f"{number:05d}.npy")
        return self._mapped[number]

    def _map(self, path: Path) -> np.ndarray:
        try:
            return np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{path} is damaged ({error}): delete the folder {self.folder}; it is "
                "made again on first use."
            ) from error


def open(corpus: str, tokenizer: str | AbstractTokenizer, split: str) -> Shards:
    """The tokens of a split, prepared on first use.

    Args:
        corpus: `eltec-eng`, `sotu`, a document's name, a text file or a folder of
            text files (see `corpora.py`).
        tokenizer: a tokenizer or its name.
        split: `train`, `val` or `all`.

    **Raises** `FileNotFoundError` if the corpus is not on this machine, with the
    command that prepares it; `ValueError` for an unknown split.
    """
    return Shards(prepare_tokens(corpus, tokenizer, split))


def prepare_tokens(
    corpus: str,
    tokenizer: str | AbstractTokenizer,
    split: str,
    *,
    shard_tokens: int = SHARD_TOKENS,
) -> Path:
    """Tokenise a split unless that has been done, and return its folder.

    Arguments and errors are those of `open`; a file that holds `shard_tokens` is full.
    """
    if isinstance(tokenizer, str):
        tokenizer = tokenizers.load(tokenizer)
    place = _place(corpus, tokenizer, split)
    if (place / "index.json").is_file():
        return place
    texts = corpora.texts(corpus, split)
    with files.appearing(place) as draft:
        draft.mkdir()
        about = {
            "format": _FORMAT,
            "corpus": corpus,
            "split": split,
            "tokenizer": tokenizer.name,
            "fingerprint": tokenizer.fingerprint,
        }
        index = about | _write(texts, tokenizer, draft, shard_tokens)
        (draft / "index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return place


def _write(texts, tokenizer: AbstractTokenizer, folder: Path, limit: int) -> dict:
    """Write the shards and return the part of the index that follows from the ids."""
    dtype = np.uint16 if tokenizer.vocab <= 2**16 else np.uint32
    entries, pending, written, total = [], [], 0, 0
    digest = hashlib.sha256(tokenizer.fingerprint.encode())
    for name, ids in _encoded(texts, tokenizer):
        if pending and sum(map(len, pending)) + len(ids) > limit:
            np.save(folder / f"{written:05d}.npy", np.concatenate(pending))
            pending, written = [], written + 1
        start = sum(map(len, pending))
        entries.append(asdict(Entry(name, written, start, len(ids))))
        pending.append(ids.astype(dtype))
        total += len(ids)
        digest.update(f"{name}\n{len(ids)}\n".encode() + ids.astype("<i4").tobytes())
    np.save(folder / f"{written:05d}.npy", np.concatenate(pending))
    return {"total": total, "data_hash": digest.hexdigest(), "documents": entries}


def _encoded(texts, tokenizer: AbstractTokenizer) -> Iterator[tuple[str, np.ndarray]]:
    ids = tokenizer.encode_many(text.read() for text in texts)
    return zip((text.name for text in texts), ids, strict=True)


def _place(corpus: str, tokenizer: AbstractTokenizer, split: str) -> Path:
    told = f"{_FORMAT} {corpora.stamp(corpus, split)} {tokenizer.fingerprint}"
    key = hashlib.sha256(told.encode()).hexdigest()[:12]
    name = Path(corpus).name or "corpus"
    return folders.data() / "tokens" / f"{name}-{split}-{tokenizer.name}-{key}"
