"""Needles: a sentence planted in a document, to be asked for later.

What a model kept of a needle is nll(absent) - nll(present) of the answer, in nats. The
difference is meaningful only if the two documents differ in nothing but the needle. So
`plant` works on token ids and replaces the needle by filler of exactly as many tokens:
every token before and after is the same integer at the same index.

The generated tasks are the single needles of RULER (arXiv 2404.06654): S-NIAH-1 hides
a number in repeated noise, S-NIAH-2 a number in prose, S-NIAH-3 a UUID in prose.
"""

import math
import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from numbers import Integral

import numpy as np

from lab.data import scripts
from lab.data.tokenizers import AbstractTokenizer


NOISE = (
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and "
    "back again."
)
_FILLER = (
    " The morning was mild, and a light wind came over the fields. Some of the windows "
    "stood open. A cart went slowly along the road, and nobody looked up. Later there "
    "was a little rain, which soon passed. The evening was quiet, as evenings there "
    "often are."
)
QUALITIES = (
    "amber ancient brisk calm clever copper distant eager early faint gentle golden "
    "hollow humble idle ivory jolly keen little lonely merry narrow northern old pale "
    "patient quick quiet rapid rustic silver simple slender stormy sunny tidy velvet "
    "wandering wise young"
).split()
THINGS = (
    "anchor apple barrel basket bell bridge candle castle cellar clock cloud compass "
    "cottage drum feather ferry garden hammer harbour island kettle ladder lantern "
    "letter meadow mirror orchard parrot pebble pillow river saddle shovel sparrow "
    "table teapot thimble tower violin window"
).split()
# The end of a sentence: its mark, closing quotes, then white space or the text's end.
# Scripts that put no space between words put none between sentences.
_SENTENCE_END = re.compile(
    r"(?<!\bMr)(?<!\bMrs)(?<!\bDr)[.!?।॥؟۔][\"'”’)\]]*(?=\s|$)|[。！？｡][\"'”’)\]」』）]*"
)
_WORD_END = re.compile(r"\S(?=\s)")
_AROUND = 4_000
# Marks at the end of a sentence, which no answer holds, and the first of them.
_MARKS = ".!?…;:,\"'”’)。！？｡；：，、」』）।॥؟۔؛،"
_ENDED = re.compile(r"[.!?…。！？｡।॥؟۔][\"'”’)」』）]*$")
_BAR = re.compile(r"[|｜]")
_TAIL = 4  # the answer in a sentence without spaces, in characters as a reader sees


@dataclass(frozen=True)
class Needle:
    """A sentence, a question that begins like the sentence, and the answer.

    The answer continues the question as the sentence does, so a model that can only
    continue a text can be asked. The answer starts with a space, except in scripts that
    put none between words.
    """

    sentence: str
    question: str
    answer: str


@dataclass(frozen=True)
class Planted:
    """A document with a needle and its twin with filler in the needle's place.

    Attributes:
        needle: what was planted.
        present, absent: `int32 [n]` each, equal outside of `start:stop`.
        start, stop: the tokens of the needle, or of the filler.
        prompt: `int32`, the question as a new paragraph.
        answer: `int32`, the answer.
        byte: position of the needle in the text's UTF-8.
    """

    needle: Needle
    present: np.ndarray
    absent: np.ndarray
    start: int
    stop: int
    prompt: np.ndarray
    answer: np.ndarray
    byte: int


@dataclass(frozen=True)
class Task:
    """One of RULER's single-needle tasks: a needle for each seed, and its haystack.

    Attributes:
        title: a title for people.
        haystack: "noise" (then `noise` makes the text) or "prose" (any document).
        needle: seed -> `Needle`.
    """

    title: str
    haystack: str
    needle: Callable[[int], Needle]


def passkey(seed: int) -> Needle:
    """A number of seven digits for a key of two words; equal seeds give equal needles.

    >>> passkey(0).sentence
    'One of the special magic numbers for quick-barrel is: 7463343.'
    """
    draw = random.Random(seed)
    return _magic(draw, "numbers", str(draw.randint(1_000_000, 9_999_999)))


def magic_uuid(seed: int) -> Needle:
    """A UUID of 36 characters for a key of two words."""
    draw = random.Random(seed)
    return _magic(draw, "uuids", str(uuid.UUID(int=draw.getrandbits(128), version=4)))


def custom(sentence: str, question: str, answer: str) -> Needle:
    """A needle of your own.

    Args:
        sentence: the text to plant; line breaks become spaces.
        question: the text that the model is to continue.
        answer: the right continuation; must be part of `sentence`.

    **Raises** `ValueError` if one of the three is empty or the sentence lacks the
    answer.
    """
    given = {"sentence": sentence, "question": question, "answer": answer}
    tidy = {name: " ".join(text.split()) for name, text in given.items()}
    for name, text in tidy.items():
        if not text:
            raise ValueError(f"The needle's {name} is empty: type one.")
    if tidy["answer"] not in tidy["sentence"]:
        raise ValueError(
            f"The answer {tidy['answer']!r} is not part of the sentence "
            f"{tidy['sentence']!r}: the document would not contain the answer."
        )
    return Needle(tidy["sentence"], tidy["question"], _led_in(**tidy))


def from_sentence(sentence: str, *, words: int = 1) -> Needle:
    """A needle as a person types one: a sentence, whose end is the answer, or parts.

    Args:
        sentence: such as "The name of the cat is Bartholomew."; a full stop is added
            where there is none. The last words are the answer, and the rest asks. In
            a script without spaces the answer is the last few characters. A bar says
            where the answer begins, in any language: "question|answer", or
            "sentence|question|answer" for a question that begins otherwise than the
            sentence. A text with more than two bars is a sentence.
        words: number of words in the answer.

    **Raises** `ValueError` for a sentence that is empty or too short, and for parts
    that `custom` refuses.

    >>> from_sentence("The safe opens with|4182").sentence
    'The safe opens with 4182.'
    """
    tidy = " ".join(sentence.split())
    parts = _BAR.split(tidy)
    if len(parts) == 2:
        return _from_parts(*parts)
    if len(parts) == 3:
        told, question, answer = parts
        return custom(_ended(told.strip()), question, answer.strip().rstrip(_MARKS))
    said = tidy.rstrip(_MARKS)
    if not said:
        raise ValueError("The sentence is empty: type one, such as 'My cat is Tom.'")
    question, answer = _asked_end(said, words)
    if not question:
        count = len(said.split(" "))
        raise ValueError(
            f"The sentence {tidy!r} has {count} {'word' if count == 1 else 'words'}: "
            f"the last {words} would be the answer, and no word would be left for the "
            "question; type a longer one, or question|answer."
        )
    return custom(_ended(tidy), question, answer)


def _from_parts(question: str, answer: str) -> Needle:
    typed = " " if question.endswith(" ") or answer.startswith(" ") else ""
    question, answer = question.strip(), answer.strip()
    sentence = f"{question}{typed or scripts.gap(question, answer)}{answer}"
    return custom(_ended(sentence), question, answer.rstrip(_MARKS) or answer)


def _ended(sentence: str) -> str:
    """The sentence with a mark at its end."""
    said = sentence.rstrip(_MARKS)
    if not said or _ENDED.search(sentence):
        return sentence
    return said + scripts.full_stop(said)


def _asked_end(said: str, words: int) -> tuple[str, str]:
    """Question and answer of a sentence without its last mark; "" where none is left.

    The answer is the last words. A last word in a script without spaces is a whole
    phrase, so the answer is the phrase's end.
    """
    parts = said.split(" ")
    if words < 1 or (words > 1 and len(parts) <= words):
        return "", said
    lead, last = " ".join(parts[:-words]), " ".join(parts[-words:])
    pieces = scripts.clusters(last)
    if not any(scripts.is_unspaced(c) or scripts.is_picture(c) for c in last):
        return lead, last
    if lead and len(pieces) <= _TAIL:
        return lead, last
    start = len("".join(pieces[: _tail_start(pieces)]))
    before = said[: len(said) - len(last) + start].rstrip()
    return before, last[start:]


def _tail_start(pieces: list[str]) -> int:
    """Where the asked end of a phrase begins, which cuts no number or Latin word."""
    start = len(pieces) - min(_TAIL, max(1, len(pieces) // 2))
    kind = lambda piece: piece[0].isascii() and piece[0].isalnum()
    inside = lambda at: (
        0 < at < len(pieces) and kind(pieces[at - 1]) and kind(pieces[at])
    )
    tail = len(pieces)
    while kind(pieces[tail - 1]) and tail > 1:
        tail -= 1
    if 1 < tail < len(pieces):  # the phrase ends in a number or a Latin word
        return tail
    while inside(start):
        start -= 1
    return start


def _led_in(sentence: str, question: str, answer: str) -> str:
    """The answer as the question goes on: with a space, unless the script has none."""
    if f"{question} {answer}" in sentence:
        return f" {answer}"
    if f"{question}{answer}" in sentence:
        return answer
    return f"{scripts.gap(question, answer)}{answer}"


def noise(length: int) -> str:
    """RULER's repeated noise, whole sentences, at least `length` characters."""
    return " ".join([NOISE] * max(1, math.ceil(length / (len(NOISE) + 1))))


def plant(
    tokenizer: AbstractTokenizer, text: str, needle: Needle, at: float | int
) -> Planted:
    """Put a needle into a document, and filler of as many tokens into its twin.

    Args:
        tokenizer: makes the tokens; no `bos` is added.
        text: the document.
        needle: the needle to plant.
        at: a depth from 0.0 to 1.0 (float) or a position in the text's UTF-8 bytes
            (int). The needle goes to the nearest end of a sentence.

    **Raises** `ValueError` for an empty document, a position outside the document, or a
    needle that is longer than the document.
    """
    if not text.strip():
        raise ValueError("The document is empty: give one with text to plant in.")
    cut = _boundary(text, _wished_byte(text, at))
    before, after = tokenizer.encode(text[:cut]), tokenizer.encode(text[cut:])
    before_it = text[max(0, cut - 1) : cut].strip() or needle.sentence
    lead = scripts.gap(before_it, needle.sentence)
    planted = tokenizer.encode(f"{lead}{needle.sentence}")
    if len(planted) > len(before) + len(after):
        raise ValueError(
            f"The needle has {len(planted)} tokens and the document only "
            f"{len(before) + len(after)}: use a shorter sentence or a longer document."
        )
    present, absent = planted_pair(tokenizer, before, planted, after)
    return Planted(
        needle=needle,
        present=present,
        absent=absent,
        start=len(before),
        stop=len(before) + len(planted),
        prompt=_ids(tokenizer.encode(f"\n\n{needle.question}")),
        answer=_ids(tokenizer.encode(needle.answer)),
        byte=len(text[:cut].encode("utf-8")),
    )


TASKS = {
    "s-niah-1": Task("pass-key in repeated noise", "noise", passkey),
    "s-niah-2": Task("number in prose", "prose", passkey),
    "s-niah-3": Task("UUID in prose", "prose", magic_uuid),
}


def _magic(draw: random.Random, kind: str, value: str) -> Needle:
    key = f"{draw.choice(QUALITIES)}-{draw.choice(THINGS)}"
    question = f"One of the special magic {kind} for {key} is:"
    return Needle(f"{question} {value}.", question, f" {value}")


def _wished_byte(text: str, at: float | int) -> int:
    size = len(text.encode("utf-8"))
    if isinstance(at, Integral) and not isinstance(at, bool):
        if not 0 <= at <= size:
            raise ValueError(
                f"The document has {size} bytes: got at={at}; use 0 to {size}, or a "
                "depth from 0.0 to 1.0."
            )
        return int(at)
    if isinstance(at, bool) or not 0.0 <= at <= 1.0:
        raise ValueError(
            f"A depth must be from 0.0, the start, to 1.0, the end: got at={at}; a "
            "whole number is a position in bytes."
        )
    return round(float(at) * size)


def _boundary(text: str, byte: int) -> int:
    """The character index of the sentence end, or else word end, nearest to a byte."""
    wished = len(text.encode("utf-8")[:byte].decode("utf-8", errors="ignore"))
    low, high = max(0, wished - _AROUND), wished + _AROUND
    near = text[low:high]
    for pattern in (_SENTENCE_END, _WORD_END):
        ends = [low + found.end() for found in pattern.finditer(near)]
        # The end of the window counts only if the text ends there too.
        ends = [end for end in ends if end < high or high >= len(text)]
        if ends:
            return min(ends, key=lambda end: abs(end - wished))
    return scripts.whole(text, wished)


def planted_pair(tokenizer: AbstractTokenizer, before, told, after):
    """A text with a passage planted in it, and with filler of exactly as many tokens in
    the passage's place.

    All are ids. Returns `(present, absent)`, int32, of equal length.
    """
    blank = filler(tokenizer, len(told))
    join = lambda *parts: np.concatenate([np.asarray(ids, np.int32) for ids in parts])
    return join(before, told, after), join(before, blank, after)


def filler(tokenizer: AbstractTokenizer, count: int) -> list[int]:
    """Ids of `count` tokens of empty talk; the last token ends a sentence."""
    ids = list(islice(cycle(tokenizer.encode(_FILLER)), count))
    stop = tokenizer.encode(".")
    return ids[:-1] + stop if len(stop) == 1 else ids


def _ids(values: list[int]) -> np.ndarray:
    return np.asarray(values, dtype=np.int32)
