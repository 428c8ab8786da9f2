"""What a reading will read: the text in tokens, the needle in its place, the question.

A plan is made of plain arrays, once, before anything is read.
"""

import dataclasses
import re
from dataclasses import dataclass

import numpy as np

from lab.data import documents, needles
from lab.traces import Needle


_CHARACTERS = 8  # that a token is given at first; English needs half of them
_LEAST = 20_000  # characters that take no time worth a word
_WORD = 1_000  # characters within which a text has a space, usually
_SPACE = re.compile(r"(?<=\S) ")


@dataclass(frozen=True)
class Plan:
    """A document in tokens, ready to be read, with or without a needle.

    Attributes:
        text: the UTF-8 bytes of the document, including the needle.
        ids, spans: `int32 [n]` and `int32 [n, 2]`, tokens and their bytes in `text`.
        chunk: tokens between two inner steps.
        needle: the planted needle; if None, the fields below are empty.
        absent: `int32 [n]`, the same tokens with filler instead of the needle.
        prompt, answer: token ids of the question asked after each chunk.
        first: the chunk in which the needle begins.
    """

    text: bytes
    ids: np.ndarray
    spans: np.ndarray
    chunk: int
    needle: Needle | None = None
    absent: np.ndarray | None = None
    prompt: tuple[int, ...] = ()
    answer: tuple[int, ...] = ()

    @property
    def first(self) -> int:
        return self.needle.start // self.chunk if self.needle else len(self.ids)

    @property
    def most(self) -> int:
        """Tokens that a state holds at most: all of the text, then the question."""
        asked = len(self.prompt) + len(self.answer)
        return len(self.ids) + asked + 2 * self.chunk

    def since(self, token: int) -> "Plan":
        """The plan without the tokens before `token`; it must have no needle.

        **Raises** `ValueError` where nothing is left.
        """
        if token >= len(self.ids):
            raise ValueError(
                f"All {len(self.ids):,} tokens were read already: raise --tokens, or "
                "name another document to go on with."
            )
        first = self.spans[token, 0]
        text, spans = self.text[first:], self.spans[token:] - first
        return dataclasses.replace(self, text=text, ids=self.ids[token:], spans=spans)


def make_plan(
    tokenizer,
    text: str,
    *,
    chunk: int,
    needle: needles.Needle | None = None,
    at: float = 0.3,
    tokens: int | None = None,
) -> Plan:
    """Shorten `text` to `tokens` tokens and plant the needle; see `Reading`.

    **Raises** `ValueError` for a text, or for `tokens`, of fewer than two chunks.
    """
    text, found = _shortened(tokenizer, text, tokens, chunk)
    if needle is None:
        return Plan(text.encode(), *(found or tokenizer.spans(text)), chunk)
    planted = needles.plant(tokenizer, text, needle, at=at)
    ids = np.asarray(planted.present, np.int32)
    stops = np.cumsum(tokenizer.lengths[ids], dtype=np.int32)
    spans = np.stack([stops - tokenizer.lengths[ids], stops], axis=1)
    words = (needle.sentence, needle.question, needle.answer)
    return Plan(
        text=tokenizer.decode_bytes(ids),
        ids=ids,
        spans=spans.astype(np.int32),
        chunk=chunk,
        needle=Needle(*words, int(planted.start), int(planted.stop)),
        absent=np.asarray(planted.absent, np.int32),
        prompt=tuple(planted.prompt.tolist()),
        answer=tuple(planted.answer.tolist()),
    )


def text_from_bytes(data: bytes, name: str) -> str:
    """The text of an uploaded file called `name`, with newlines as line ends.

    **Raises** `ValueError` for bytes that are no text.
    """
    return documents.decode(data, name)


def _shortened(
    tokenizer, text: str, tokens: int | None, chunk: int
) -> tuple[str, tuple[np.ndarray, np.ndarray] | None]:
    """The text that is read, with its ids and spans if nothing had to be cut off."""
    if not text.strip():
        raise ValueError("The text is empty: give the model something to read.")
    least = 2 * chunk
    why = (
        f"the model learns in chunks of {chunk:,} and shows what it learned from the "
        "second chunk on"
    )
    if tokens is not None and tokens < least:
        raise ValueError(f"Ask for at least {least:,} tokens: got {tokens:,}; {why}.")
    text, ids, spans = _enough(tokenizer, text, tokens)
    if len(ids) < least:
        raise ValueError(
            f"The text has {len(ids):,} tokens, but {why}: give at least {least:,} "
            "tokens."
        )
    if tokens is None or tokens >= len(ids):
        return text, (ids, spans)  # a long text is not to be encoded twice
    return text.encode()[: spans[tokens - 1, 1]].decode("utf-8", "ignore"), None


def _enough(
    tokenizer, text: str, tokens: int | None
) -> tuple[str, np.ndarray, np.ndarray]:
    """The beginning of `text` that holds more than `tokens` tokens, with ids and spans.

    All of `text` where it holds fewer. Of two million characters, 4,096 tokens need a
    few hundredths; the rest is not to be encoded.
    """
    size = len(text) if tokens is None else max(_LEAST, _CHARACTERS * tokens)
    while size < len(text):
        # No tokenizer's word goes on behind a space that ends another word.
        space = _SPACE.search(text, size, size + _WORD)
        beginning = text[: space.start() if space else size]
        ids, spans = tokenizer.spans(beginning)
        if len(ids) > tokens + _WORD:
            return beginning, ids, spans
        size *= 4
    return text, *tokenizer.spans(text)
