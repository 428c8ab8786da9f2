"""Tokenizers: text to integers and, exactly, back again.

Three vocabularies share one small interface. `bytes` needs no training, `bpe-4k` is
a byte-level BPE learned on 19th-century novels and shipped beside this file, and
`llama-3` is the paper's; pretrained models bring theirs (`lab.interop.vocabulary`).
Each is a list of byte strings, one per entry, plus one entry, `bos`, that means "a
document starts here" and that no text encodes to. So the bytes of the tokens, joined,
are always the text's UTF-8, and the place of every token in the text follows from byte
lengths alone, even though a byte-level BPE may cut inside a character.

Read next: `documents.py` (the texts), `shards.py` (tokens on disk).
"""

import functools
import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lab.data import folders
from lab.names import unknown


NAMES = ("bytes", "bpe-4k", "llama-3")
LONG = 20_000  # characters of a text that takes long enough to be noticed


class AbstractTokenizer:
    """What every tokenizer offers; `load` returns one.

    Attributes:
        name: one of `NAMES`, the name of a model kept here, or the file name of a newly
            trained tokenizer.
        vocab: number of entries, including `bos`.
        bos: the entry that starts every document; no text encodes to it.
        fingerprint: sha256 (hex) of the definition; shards record it.
    """

    name: str
    vocab: int
    bos: int
    fingerprint: str

    @property
    @abstractmethod
    def pieces(self) -> Sequence[bytes]:
        """The bytes of each entry; empty for special entries."""

    @abstractmethod
    def _encode(self, text: str) -> list[int]:
        """Ids of a text already known to be valid UTF-8."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without any special token.

        **Raises** `ValueError` if `text` contains lone surrogates, which UTF-8 cannot
        encode.
        """
        _utf8(text)
        return self._encode(text)

    def encode_many(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        """Ids of each text, `int32 [n]`, one array after another."""
        for text in texts:
            yield np.asarray(self.encode(text), dtype=np.int32)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`; special entries have none.

        **Raises** `ValueError` for an id outside the vocabulary.
        """
        return b"".join(self.pieces[self._checked(i)] for i in ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def spans(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Ids of `text` and where each lies in it.

        Returns:
            `(ids, spans)`: `int32 [n]`, and `int32 [n, 2]` with the first byte and
            the byte after the last, counted in the text's UTF-8. Neighbouring spans
            touch; the last span ends at the end of the text.
        """
        ids = np.asarray(self.encode(text), dtype=np.int32)
        stops = np.cumsum(self.lengths[ids], dtype=np.int32)
        starts = np.concatenate([np.zeros(1, np.int32), stops])[:-1]
        return ids, np.stack([starts, stops], axis=1)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Number of bytes of each entry, `int32 [vocab]`; 0 for special entries."""
        return np.array([len(piece) for piece in self.pieces], dtype=np.int32)

    def _checked(self, token: int) -> int:
        if not 0 <= token < self.vocab:
            raise ValueError(
                f"Token id {token} is not in the vocabulary of {self.name!r}: "
                f"ids go from 0 to {self.vocab - 1}."
            )
        return int(token)

    def __repr__(self) -> str:
        return f"<tokenizer {self.name}: {self.vocab:,} entries, bos {self.bos}>"


class ByteTokenizer(AbstractTokenizer):
    """One entry per byte, and `bos` = 256."""

    name = "bytes"
    vocab = 257
    bos = 256
    fingerprint = hashlib.sha256(b"256 bytes in order, then bos").hexdigest()
    pieces = tuple(bytes([value]) for value in range(256)) + (b"",)

    def _encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8"))


class BpeTokenizer(AbstractTokenizer):
    """A byte-level BPE from a `tokenizers` JSON file; `bos` is one past its entries."""

    def __init__(self, name: str, definition: str) -> None:
        import tokenizers

        self._model = tokenizers.Tokenizer.from_str(definition)
        self.name = name
        self.bos = self._model.get_vocab_size()
        self.vocab = self.bos + 1
        self.fingerprint = hashlib.sha256(definition.encode("utf-8")).hexdigest()

    @functools.cached_property
    def pieces(self) -> tuple[bytes, ...]:
        value_of = _byte_level_alphabet()
        entries = (self._model.id_to_token(i) for i in range(self.bos))
        return *(bytes(value_of[c] for c in entry) for entry in entries), b""

    def _encode(self, text: str) -> list[int]:
        return _encode_alone(self._model, text)

    def encode_many(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        return _encode_side_by_side(self._model, texts)


class PretrainedTokenizer(AbstractTokenizer):
    """The byte-level BPE of a pretrained model (`lab.interop.vocabulary` defines it).

    A vocabulary may lack a byte (SmolLM's has no escape character): no token holds it,
    and its place belongs to the token before. `absent` lists such bytes.

    **Raises** `ValueError` for a definition that is damaged.
    """

    def __init__(self, name: str, definition: str) -> None:
        import tokenizers

        self.name = name
        self.fingerprint = hashlib.sha256(definition.encode("utf-8")).hexdigest()
        try:
            told = json.loads(definition)
            self.vocab, self.bos = int(told["vocab"]), int(told["bos"])
            self._special = {int(i) for i in told["special"]}
            plain = json.dumps(told["tokenizer"])
            self._model = tokenizers.Tokenizer.from_str(plain)
        # The package raises plain exceptions for what it cannot read.
        except Exception as error:
            raise ValueError(f"The tokenizer of {name} is damaged: {error}.") from error
        self._model.encode_special_tokens = True  # as the plain text that they are
        added = self._model.get_added_tokens_decoder()
        self._added = {i: token.content for i, token in added.items()}
        self._check(
            {one["content"]: one["id"] for one in told["tokenizer"]["added_tokens"]}
        )

    def _check(self, added: dict[str, int]):
        for content, wanted in added.items():
            if self._model.token_to_id(content) != wanted:
                raise ValueError(
                    f"The tokenizer of {self.name} is damaged: {content!r} should be "
                    f"entry {wanted}, and is {self._model.token_to_id(content)}."
                )
        found = {*self._model.get_vocab().values(), *self._special, self.bos}
        if max(found) >= self.vocab or min(found) < 0:
            raise ValueError(
                f"The tokenizer of {self.name} has the entry {max(found)}, but its "
                f"model has {self.vocab:,} (vocab_size)."
            )

    @functools.cached_property
    def pieces(self) -> tuple[bytes, ...]:
        value_of = _byte_level_alphabet()

        def piece(i: int) -> bytes:
            entry = self._model.id_to_token(i)
            if entry is None or i in self._special or i == self.bos:
                return b""
            if i in self._added:
                return self._added[i].encode("utf-8")
            is_text = all(c in value_of for c in entry)
            return bytes(value_of[c] for c in entry) if is_text else b""

        return tuple(map(piece, range(self.vocab)))

    @functools.cached_property
    def absent(self) -> np.ndarray:
        """Which bytes no token holds alone, `bool [256]`."""
        alone = {piece[0] for piece in self.pieces if len(piece) == 1}
        return np.array([value not in alone for value in range(256)])

    def _encode(self, text: str) -> list[int]:
        return _encode_alone(self._model, text)

    def encode_many(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        return _encode_side_by_side(self._model, texts)

    def spans(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        ids, spans = super().spans(text)
        whole = np.frombuffer(_utf8(text), np.uint8)
        read = int(spans[-1, 1]) if len(ids) else 0
        if read == len(whole):
            return ids, spans
        # Bytes that no token holds were left out: count places among the others.
        (places,) = np.nonzero(~self.absent[whole])
        if len(places) != read:
            raise ValueError(
                f"The tokens of {self.name} hold {read:,} of {len(whole):,} bytes, so "
                "their places in the text are not known."
            )
        starts = np.append(places, len(whole))[spans[:, 0]].astype(np.int32)
        starts[:1] = 0
        stops = np.append(starts, np.int32(len(whole)))[1:]
        return ids, np.stack([starts, stops], axis=1)


class LlamaTokenizer(AbstractTokenizer):
    """Llama 3's 128,000 byte strings and 256 special entries, from `llama-models`."""

    name = "llama-3"
    vocab = 128_256
    bos = 128_000

    def __init__(self) -> None:
        path = _llama_file()
        from llama_models.llama3.tokenizer import Tokenizer

        self._model = Tokenizer(path)
        self.fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()

    @functools.cached_property
    def pieces(self) -> tuple[bytes, ...]:
        ordinary = self._model.model.decode_tokens_bytes(list(range(self.bos)))
        return *ordinary, *(b"" for _ in range(self.bos, self.vocab))

    def _encode(self, text: str) -> list[int]:
        # Special tokens spelled out in a text, such as "<|eot_id|>", stay plain text.
        return self._model.encode(text, bos=False, eos=False)


def load(name: str) -> AbstractTokenizer:
    """The tokenizer called `name`: `bytes`, `bpe-4k`, `llama-3`, or that of a model.

    A model that `ttt-lab model add` keeps here brings a tokenizer of its name.

    **Raises** `ValueError` for an unknown name, `ModuleNotFoundError` for `llama-3` if
    its package is not installed.

    >>> load("bytes").encode("hi")
    [104, 105]
    """
    path = folders.models() / name / "tokenizer.json"
    if name not in NAMES and Path(name).name == name and path.is_file():
        return _kept(path, path.stat().st_mtime_ns)
    return _own(name)


@functools.lru_cache(maxsize=4)
def _kept(path: Path, changed: int) -> AbstractTokenizer:
    """The tokenizer of a model kept here; `changed` when its file was."""
    del changed
    return PretrainedTokenizer(path.parent.name, path.read_text(encoding="utf-8"))


@functools.cache
def _own(name: str) -> AbstractTokenizer:
    if name == "bytes":
        return ByteTokenizer()
    if name == "llama-3":
        return LlamaTokenizer()
    if name == "bpe-4k":
        return from_file(Path(__file__).with_name("bpe-4k.json"))
    kept = (path.parent.name for path in folders.models().glob("*/tokenizer.json"))
    raise ValueError(unknown("tokenizer", name, (*NAMES, *sorted(kept))))


def from_file(path: Path) -> BpeTokenizer:
    """A saved definition from `train_bpe`, as a tokenizer named after its file.

    **Raises** `FileNotFoundError` if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no tokenizer file {path}: make one with "
            f"`ttt-lab data train-tokenizer --vocab 4096 --out {path}`."
        )
    return BpeTokenizer(path.stem, path.read_text(encoding="utf-8"))


def train_bpe(texts: Iterable[str], vocab: int) -> str:
    """Learn a byte-level BPE and return its definition as JSON.

    Nothing is normalised, no space is put in front, and all 256 bytes are entries from
    the start, so any text round-trips. `bos` takes the last of the `vocab` entries and
    is not in the file: no text can encode to it.

    Args:
        texts: the texts to learn from, read once.
        vocab: number of entries, including `bos`; at least 257.

    **Raises** `ValueError` if `vocab` is too small, or too large for so little text.
    """
    if vocab < 257:
        raise ValueError(
            f"A byte-level BPE needs 256 bytes and bos: got vocab={vocab}; use 257 or "
            "more, such as 4096."
        )
    model = _train(texts, vocab - 1)
    if model.get_vocab_size() != vocab - 1:
        raise ValueError(
            f"The texts are too small for vocab={vocab}: they give only "
            f"{model.get_vocab_size() + 1} entries; ask for fewer or give more text."
        )
    return json.dumps(json.loads(model.to_str()), ensure_ascii=False, indent=0)


def _train(texts: Iterable[str], entries: int):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    return model


def _byte_level_alphabet() -> dict[str, int]:
    """The byte of each printable character that byte-level BPE writes for a byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [value for value in range(256) if value not in shown]
    # As in GPT-2, bytes without a printable character move up past 255, in order.
    return {chr(value): value for value in shown} | {
        chr(256 + rank): value for rank, value in enumerate(hidden)
    }


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The text cannot be encoded as UTF-8: character {error.start} is the lone "
            f"surrogate {text[error.start]!r}; read the file with errors='replace'."
        ) from error


def _encode_alone(model, text: str) -> list[int]:
    """Ids of one text, by a `tokenizers` model; other threads go on meanwhile.

    Only a batch lets them: two million characters would stop a server for ten seconds.
    """
    if len(text) < LONG:
        return model.encode(text, add_special_tokens=False).ids
    (found,) = model.encode_batch_fast([text], add_special_tokens=False)
    return found.ids


def _encode_side_by_side(model, texts: Iterable[str]) -> Iterator[np.ndarray]:
    """Ids of each text, by a `tokenizers` model.

    A few texts at a time keep all cores busy without a whole corpus in memory.
    """
    for group in _groups(texts, 8):
        for text in group:
            _utf8(text)
        found = model.encode_batch_fast(group, add_special_tokens=False)
        yield from (np.asarray(one.ids, dtype=np.int32) for one in found)


def _groups(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    group: list[str] = []
    for text in texts:
        group.append(text)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _llama_file() -> Path:
    found = find_spec("llama_models")
    if found is None or find_spec("tiktoken") is None:
        raise ModuleNotFoundError(
            "The tokenizer 'llama-3' comes with the package llama-models, which is not "
            'installed: pip install "ttt-e2e-lab[llama3]".'
        )
    path = Path(found.submodule_search_locations[0], "llama3", "tokenizer.model")
    if not path.is_file():
        raise FileNotFoundError(
            f"The package llama-models has no {path.name} under llama3: the file has "
            "moved since 0.3.0; pip install 'llama-models==0.3.0'."
        )
    return path
