"""What is read? Passages of held-out documents, or whole documents.

Every document contributes the same number of passages, evenly spread: the same ones
every time, so that systems are compared on the very same tokens. An interval is over
*units*: the novel, the address or the document that a passage belongs to. Passages of
one unit are not independent of each other, units are.

A stream of many addresses (`sotu-chronicle`) is one document with many units: its
passages begin where an address begins, and continue into the addresses that follow.
"""

import dataclasses
from typing import Annotated, Literal, Self

import numpy as np
from tyro.conf import arg

from lab.data import addresses
from lab.data.catalogue import ENTRIES
from lab.data.shards import Shards
from lab.quick import quick


SPLITS = ("train", "val", "all")
UNITS = {"eltec-eng": "novels", "sotu": "addresses", "sotu-chronicle": "addresses"}


DEFAULT, STAND_IN = "eltec-eng", "sotu"


def default() -> str:
    """The corpus that is read if none is named: the novels, or else what is there."""
    return DEFAULT if ENTRIES[DEFAULT].is_prepared() else STAND_IN


@dataclasses.dataclass(frozen=True)
class Source:
    """Where text comes from, for commands that choose what they read of it.

    Args:
        corpus: a name from `ttt-lab data list`, a folder or a file; NAME/SPLIT names a
            split too. Some commands take several (default: eltec-eng, or sotu where
            eltec-eng has not been prepared).
        split: train, val or all, for a corpus that names no split.
    """

    corpus: Annotated[tuple[str, ...], arg(help_behavior_hint="")] = ()
    split: Literal["train", "val", "all"] = "val"

    def each(self) -> tuple[Self, ...]:
        """One per corpus; a split in the corpus's name replaces `split`."""
        return tuple(self._of(name) for name in self.corpus or (default(),))

    def only(self) -> Self:
        """The text, for a command that reads one.

        **Raises** `ValueError` if several texts are named.
        """
        if len(self.corpus) > 1:
            raise ValueError(f"Name one text: got {', '.join(self.corpus)}.")
        return self.each()[0]

    def shards(self, tokenizer: str) -> Shards:
        """The text's tokens.

        **Raises** `ValueError` or `FileNotFoundError` as `lab.data.shards.open` does.
        """
        from lab.data import shards

        one = self.only()
        return shards.open(one.corpus[0], tokenizer, one.split)

    @property
    def missing(self) -> str:
        """A sentence, if the text has to be prepared first, with how that is done."""
        entry = ENTRIES.get(self.only().corpus[0])
        if entry is None or entry.is_prepared():
            return ""
        return f"{entry.name} is not on this machine ({entry.how.replace('`', '')})"

    @property
    def stands_in(self) -> str:
        """A sentence, if the default text is missing and another is read instead."""
        if self.corpus or default() == DEFAULT:
            return ""
        missing = dataclasses.replace(self, corpus=(DEFAULT,)).missing
        return f"{missing}; {STAND_IN}, which comes with this lab, is read instead."

    def _of(self, name: str) -> Self:
        corpus, _, split = name.rpartition("/")
        if corpus and split in SPLITS:
            return dataclasses.replace(self, corpus=(corpus,), split=split)
        # A single document has no held-out part, so all of it is read.
        split = "all" if name == "sotu-chronicle" else self.split
        return dataclasses.replace(self, corpus=(name,), split=split)


@dataclasses.dataclass(frozen=True)
class Text(Source):
    """The text that is read.

    Args:
        length: tokens per passage.
        per_novel: passages per novel (address, document), evenly spread.
        novels: read at most this many novels, evenly spread.
        whole: read whole documents instead of passages.
    """

    length: int = 16_384
    per_novel: int = 6
    novels: int = 24
    whole: bool = False

    def open(self, tokenizer: str) -> "OpenText":
        """The text with its tokens opened, to take passages from.

        **Raises** `ValueError` or `FileNotFoundError` as `lab.data.shards.open` does.
        """
        return OpenText(self.only(), self.shards(tokenizer))


@dataclasses.dataclass(frozen=True)
class TextRead:
    """The facts about a text that a result records.

    `unit`: the kind of unit that intervals are over, in the plural. `length`: tokens
    per passage, None for whole documents. `passages`: number of passages. `units`:
    names of the units, in order.
    """

    corpus: str
    split: str
    tokenizer: str
    text_hash: str
    unit: str
    units: tuple[str, ...]
    length: int | None
    passages: int

    @property
    def whole(self) -> bool:
        """Whether documents were read from end to end."""
        return self.length is None

    @property
    def name(self) -> str:
        """The text as part of a file name, such as `eltec-eng-val-16384`."""
        return f"{self.corpus_name}-{'whole' if self.whole else self.length}"

    @property
    def corpus_name(self) -> str:
        """Corpus and split as part of a file name, such as `eltec-eng-val`."""
        return self._said.replace("/", "-")

    @property
    def _said(self) -> str:
        """Corpus and split, such as `eltec-eng/val`; a document has no split.

        A folder or a file is named by the last part of its path.
        """
        corpus = self.corpus.rstrip("/").rpartition("/")[2]
        return corpus if corpus == "sotu-chronicle" else f"{corpus}/{self.split}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the text that a reader of the numbers should know."""
        notes = []
        if self.whole and self.unit == "novels":
            notes.append(
                "Whole documents begin with title pages, each like no other: figures "
                "start at 1K; passages show what comes before."
            )
        if len(self.units) < 2:
            notes.append("One document gives no interval.")
        return tuple(notes)

    def __str__(self) -> str:
        passages = f"{self.passages:,} passages of {self.length or 0:,} tokens"
        how = "read whole" if self.whole else passages
        return f"{self._said}, {how}, {len(self.units)} {self.unit}"


@dataclasses.dataclass(frozen=True, eq=False)
class Passage:
    """Tokens `[length]` of `novel`, from its document's token `offset` on; no BOS."""

    novel: str
    offset: int
    tokens: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class OpenText:
    """A text whose tokens are open; small if `TTT_LAB_QUICK` is set."""

    text: Text
    shards: Shards

    def passages(self) -> list[Passage]:
        """The passages to read, the same every time."""
        text = self.text
        if text.whole:
            found = whole(self.shards, limit=quick(None, 1024))
            return spread(found, quick(text.novels, 6))
        length = quick(text.length, min(text.length, 512))
        count = quick(text.per_novel, min(text.per_novel, 2))
        novels = quick(text.novels, 6)
        return passages(self.shards, length=length, per_novel=count, novels=novels)

    def about(self, read: list[Passage]) -> TextRead:
        """The facts for a result about the passages that were read."""
        return describe(self.shards, read, whole=self.text.whole)


def describe(shards: Shards, read: list[Passage], *, whole: bool) -> TextRead:
    """The facts for a result about passages that were read, or documents read whole."""
    return TextRead(
        corpus=shards.corpus,
        split=shards.split,
        tokenizer=shards.tokenizer,
        text_hash=shards.data_hash,
        unit=UNITS.get(shards.corpus, "documents"),
        units=tuple(dict.fromkeys(passage.novel for passage in read)),
        length=None if whole else max(len(passage.tokens) for passage in read),
        passages=len(read),
    )


@dataclasses.dataclass(frozen=True)
class _Unit:
    """An independent piece of text: tokens of a document, from `start` on.

    `length`: tokens of the unit itself. `room`: tokens up to the end of the document.
    """

    name: str
    document: int
    start: int
    length: int
    room: int


def passages(
    shards: Shards, *, length: int, per_novel: int, novels: int | None = None
) -> list[Passage]:
    """At most `per_novel` passages of `length` tokens from each unit.

    `novels`: at most this many units, evenly spread. A unit without room for `length`
    tokens gives no passage.

    **Raises** `ValueError` if no document is that long, or a number is not positive.
    """
    if length < 1 or per_novel < 1:
        raise ValueError(
            "`length` and `per_novel` must be >= 1: got "
            f"length={length}, per_novel={per_novel}."
        )
    fits = [unit for unit in _units(shards) if unit.room >= length]
    if not fits:
        longest = max((entry.length for entry in shards.documents), default=0)
        raise ValueError(
            f"No document of {shards.corpus}/{shards.split} has {length:,} tokens: the "
            f"longest has {longest:,}; use a smaller --length, or --whole."
        )
    return [
        _cut(shards, unit.document, unit.start + offset, length, unit.name)
        for unit in spread(fits, novels)
        for offset in _offsets(max(unit.length, length), length, per_novel)
    ]


def whole(shards: Shards, *, limit: int | None = None) -> list[Passage]:
    """Every document from its first token to its last (or its first `limit` tokens).

    **Raises** `ValueError` for a limit that is not positive.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be >= 1 token, or None: got {limit}.")
    return [
        _cut(shards, document, 0, min(entry.length, limit or entry.length), entry.name)
        for document, entry in enumerate(shards.documents)
        if entry.length
    ]


def spread(found: list, count: int | None) -> list:
    """`count` of the passages or units, evenly spread; all, if there are no more.

    With `count=None` all are taken.

    **Raises** `ValueError` for fewer than one.
    """
    total = len(found)
    if count is None or count >= total:
        return found
    if count < 1:
        raise ValueError(f"`novels` must be >= 1: got {count}.")
    return [found[(2 * i + 1) * total // (2 * count)] for i in range(count)]


def _units(shards: Shards) -> list[_Unit]:
    """Documents, or the addresses in a stream of them."""
    if shards.corpus == "sotu-chronicle":
        return _addresses(shards)
    return [
        _Unit(entry.name, document, 0, entry.length, entry.length)
        for document, entry in enumerate(shards.documents)
    ]


def _addresses(shards: Shards) -> list[_Unit]:
    """The addresses of the chronicle, oldest first, by their tokens.

    A token belongs to the address that its first byte is in.
    """
    from lab.data import tokenizers

    lengths = tokenizers.load(shards.tokenizer).lengths[shards.tokens(0)]
    begins = np.cumsum(lengths) - lengths  # first byte of each token
    total, starts = len(lengths), addresses.starts()
    cuts = np.searchsorted(begins, [*starts.values(), int(lengths.sum())])
    spans = zip(starts, cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
    return [_Unit(name, 0, a, b - a, total - a) for name, a, b in spans if b > a]


def _offsets(total: int, length: int, count: int) -> list[int]:
    windows = total // length
    count = min(count, windows)
    return [(2 * i + 1) * windows // (2 * count) * length for i in range(count)]


def _cut(shards: Shards, document: int, offset: int, length: int, novel: str):
    tokens = np.asarray(shards.tokens(document)[offset : offset + length], np.int32)
    return Passage(novel, offset, tokens)
