"""Haystacks: needles at every depth of texts of every length, and what is asked.

RULER's tasks (arXiv 2404.06654) over the lab's own texts: a number in repeated noise, a
number in prose, a UUID in prose, and several numbers at once, each for another key. One
base text serves all lengths and depths of a needle: a shorter haystack is its
beginning. Every haystack has a twin with filler of as many tokens instead of needles.

A value that stands anywhere but in its needle would make recall look easy, so a base
text that holds an answer is refused.
"""

import dataclasses

import numpy as np

from lab.data import batches, needles, recall
from lab.data.needles import TASKS, Needle
from lab.data.shards import Shards
from lab.data.tokenizers import AbstractTokenizer


DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SEVERAL = (2, 4, 8)  # needles in one text


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a needle lies: after `cut` tokens of a haystack of `length` tokens.

    `depth`: the share of the haystack before the needle that was asked for; the needle
    goes to the nearest end of a sentence.
    """

    length: int
    depth: float
    cut: int


@dataclasses.dataclass(frozen=True, eq=False)
class Haystack:
    """A needle, a base text, and the places where the needle will lie in turn.

    Attributes:
        task: a name of `needles.TASKS`.
        base: `int32 [longest]`, the text without a needle.
        told, blank: `int32`, the needle and filler of as many tokens.
        prompt, answer: `int32`, the question as a new paragraph, and its answer.
        places: in the order of their cuts.
    """

    task: str
    base: np.ndarray
    told: np.ndarray
    blank: np.ndarray
    prompt: np.ndarray
    answer: np.ndarray
    places: tuple[Place, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Crowd:
    """A text with several needles, each of which is asked for.

    Attributes:
        text: `int32 [length]`.
        prompts, answers: `int32` arrays, one for each needle.
        decoy: `int32`, a question about a key that no text mentions.
    """

    text: np.ndarray
    prompts: tuple[np.ndarray, ...]
    answers: tuple[np.ndarray, ...]
    decoy: np.ndarray


class Stacks:
    """Haystacks over the passages of a split, evenly spread, one for each seed.

    Args:
        shards: tokens of documents that no model was trained on.
        tokenizer: the tokenizer of the shards.
        lengths: of the haystacks, in tokens.
        depths: from 0.0, the beginning, to 1.0, right before the question.
        count: number of needles, each in a text of its own.
        seed: decides the needles.

    **Raises** `ValueError` for a depth outside 0 to 1, a length that has no room for
    the needles, or if the split has too few passages that are long enough.
    """

    def __init__(
        self,
        shards: Shards,
        tokenizer: AbstractTokenizer,
        lengths: tuple[int, ...],
        depths: tuple[float, ...] = DEPTHS,
        *,
        count: int = 8,
        seed: int = 0,
    ):
        if not lengths or not depths or not all(0 <= depth <= 1 for depth in depths):
            raise ValueError(
                "Give at least one length, and depths from 0.0, the beginning, to 1.0, "
                f"right before the question: got lengths={lengths}, depths={depths}."
            )
        self.tokenizer, self.seed, self.count = tokenizer, seed, count
        self.lengths, self.depths = sorted(set(lengths)), sorted(set(depths))
        longest = self.lengths[-1]
        found = batches.passages(shards, count=count, length=longest, bos=tokenizer.bos)
        self._texts = [row[1:] for row in found.tokens]
        places = zip(found.names, found.offsets, strict=True)
        self.sources = tuple(f"{name}[{offset}]" for name, offset in places)
        self._breaks = recall.Breaks(tokenizer)

    def of(self, task: str) -> list[Haystack]:
        """A haystack for each needle of one of `needles.TASKS`."""
        return [self._haystack(task, i) for i in range(self.count)]

    def crowds(self, many: int, length: int) -> list[Crowd]:
        """Texts of `length` tokens that hold `many` needles each, evenly spread."""
        return [self._crowd(many, length, i) for i in range(self.count)]

    def _haystack(self, task: str, i: int) -> Haystack:
        about = TASKS[task]
        needle = about.needle(1000 * self.seed + i)
        base, source = self._texts[i], self.sources[i]
        if about.haystack == "noise":
            base, source = self._noise(len(base)), "noise"
        self._check(base, [needle], source)
        told = self._ids(f" {needle.sentence}")
        blank = np.array(needles.filler(self.tokenizer, len(told)), np.int32)
        places = [
            self._place(base, told, length, depth)
            for length in self.lengths
            for depth in self.depths
        ]
        return Haystack(
            task=task,
            base=base,
            told=told,
            blank=blank,
            prompt=self._ids(f"\n\n{needle.question}"),
            answer=self._ids(needle.answer),
            places=tuple(sorted(places, key=lambda place: (place.cut, place.length))),
        )

    def _place(self, base, told, length: int, depth: float) -> Place:
        room = length - len(told)
        if room < 1:
            raise ValueError(
                f"A needle has {len(told)} tokens: a haystack of {length} has no room "
                "for it; use longer ones."
            )
        wished = round(depth * room)
        cut = self._breaks.nearest(base, wished) if 0 < wished < room else wished
        return Place(length, depth, min(cut, room))

    def _crowd(self, many: int, length: int, i: int) -> Crowd:
        *hidden, spare = self._magic(many + 1, i)
        base, source = self._texts[i], self.sources[i]
        self._check(base, hidden, source)
        tolds = [self._ids(f" {needle.sentence}") for needle in hidden]
        room = length - sum(map(len, tolds))
        if room < many:
            raise ValueError(
                f"{many} needles have {length - room} tokens: a haystack of {length} "
                "has no room for them; use longer ones."
            )
        cuts = [
            self._breaks.nearest(base, round((place + 0.5) * room / many))
            for place in range(many)
        ]
        parts, at = [], 0
        for cut, told in zip(
            sorted(min(cut, room) for cut in cuts), tolds, strict=True
        ):
            parts += [base[at:cut], told]
            at = cut
        return Crowd(
            text=np.concatenate([*parts, base[at:room]]),
            prompts=tuple(self._ids(f"\n\n{needle.question}") for needle in hidden),
            answers=tuple(self._ids(needle.answer) for needle in hidden),
            decoy=self._ids(f"\n\n{spare.question}"),
        )

    def _magic(self, many: int, i: int) -> list[Needle]:
        """So many numbers for as many keys."""
        found: dict[str, Needle] = {}
        draw = 100_000 * (1 + self.seed) + 1000 * i
        while len(found) < many:
            needle = needles.passkey(draw)
            if needle.answer not in {other.answer for other in found.values()}:
                found.setdefault(needle.question, needle)
            draw += 1
        return list(found.values())

    def _noise(self, length: int) -> np.ndarray:
        text, ids = needles.noise(4 * length), []
        while len(ids) < length:
            ids, text = self.tokenizer.encode(text), f"{text} {text}"
        return np.array(ids[:length], np.int32)

    def _check(self, base: np.ndarray, hidden: list[Needle], source: str):
        """Check that no answer stands in the text already.

        **Raises** `ValueError` naming the text and the answer.
        """
        text = self.tokenizer.decode(base.tolist())
        for needle in hidden:
            if needle.answer.strip() in text:
                raise ValueError(
                    f"{source} holds {needle.answer.strip()!r}, the answer to "
                    f"{needle.question!r}, before anything is hidden in it: take "
                    "another seed or text."
                )

    def _ids(self, text: str) -> np.ndarray:
        return np.array(self.tokenizer.encode(text), np.int32)
