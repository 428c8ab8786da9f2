"""The recall mixture: text in which planted facts are asked for again, far later.

A model that reads through a window forgets a token that has left the window, unless the
weights remember it. Novels need such memory so seldom that models do not acquire it by
reading them. Here a share of the training sequences contains planted facts (`facts.py`)
that the same sequence asks for again: one sentence tells a fact, and the beginning of
another, followed by the answer, asks for it. The distance between the two answers is
drawn log-uniformly, from within the window to the whole sequence.

A fact goes between two sentences if one ends nearby, and the text continues after the
fact. Tokens that no longer fit are cut off at the end, so a sequence keeps its length
and its one document. Row `(epoch, window)` follows from the seed, `epoch` and `window`.

    recall:eltec-eng                        the mixture as it stands
    recall:eltec-eng?share=0.3&density=8    with other settings, see `Mixture`
"""

import dataclasses
from collections.abc import Callable
from urllib.parse import parse_qsl

import numpy as np

from lab.data import facts
from lab.data.facts import Fact, World
from lab.data.tokenizers import AbstractTokenizer


# A fact moves by at most this many tokens to reach the end of a sentence.
REACH = 24
_ATTEMPTS = 16
_SALT = 0x5EC411


@dataclasses.dataclass(frozen=True)
class Mixture:
    """How many facts are planted, and of what kind.

    Attributes:
        share: share of the sequences that have facts.
        density: at most this many facts in 1,000 tokens; the number in a sequence is
            drawn uniformly, from one up.
        nearest: smallest distance between the two answers, in tokens (a longer question
            needs more).
        relations: at most this many relations in a sequence, their number drawn
            uniformly, from one up. Two facts of one relation differ only in the thing,
            so the answer follows from the thing and not from the sentence.
        reworded: share of facts whose question uses other words than the telling.

    **Raises** `ValueError` with the offending value.
    """

    share: float = 0.5
    density: float = 4.0
    nearest: int = 64
    relations: int = 3
    reworded: float = 0.25

    def __post_init__(self):
        for name in ("share", "reworded"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"`{name}` must be a share from 0 to 1: got {getattr(self, name)}."
                )
        if not self.density > 0:
            raise ValueError(f"`density` must be > 0: got {self.density}.")
        for name in ("nearest", "relations"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be >= 1: got {getattr(self, name)}.")


def parse(name: str) -> tuple[str, Mixture]:
    """Corpus and settings from the text after `recall:`.

    **Raises** `ValueError` for an unknown setting or a value that is not a number.

    >>> parse("eltec-eng?share=0.3")[0]
    'eltec-eng'
    """
    corpus, _, query = name.partition("?")
    known = {field.name: field.type for field in dataclasses.fields(Mixture)}
    given = dict(parse_qsl(query, keep_blank_values=True))
    for setting, text in given.items():
        if setting not in known:
            raise ValueError(
                f"The recall mixture has no setting {setting!r}: it has "
                f"{', '.join(known)}, as in recall:{corpus}?share=0.3&density=8."
            )
        try:
            given[setting] = known[setting](text)
        except ValueError as error:
            raise ValueError(
                f"`{setting}` of the recall mixture must be a number: got {text!r}."
            ) from error
    if not corpus:
        raise ValueError("Name a corpus after `recall:`, as in recall:eltec-eng.")
    return corpus, Mixture(**given)


@dataclasses.dataclass(frozen=True)
class Pieces:
    """A fact as tokens.

    `told`, `asked`: `int32`, both hold the answer, which begins at `told_answer` and
    `asked_answer` and has `length` tokens.
    """

    told: np.ndarray
    told_answer: int
    asked: np.ndarray
    asked_answer: int
    length: int

    @property
    def nearest(self) -> int:
        """The distance between the two answers if the sentences are adjacent."""
        return len(self.told) - self.told_answer + self.asked_answer


def tokenise(
    tokenizer: AbstractTokenizer, fact: Fact, before=" ", before_asking="\n\n"
) -> Pieces:
    """The tokens of a fact, with the text before the fact and before its question.

    The answer is encoded by itself, so that both places have the same tokens.
    """
    encode = tokenizer.encode
    told, asked = encode(before + fact.told), encode(before_asking + fact.asked)
    answer = encode(fact.answer)
    return Pieces(
        told=np.array(told + answer + encode(fact.end), np.int32),
        told_answer=len(told),
        asked=np.array(asked + answer + encode(fact.asked_end), np.int32),
        asked_answer=len(asked),
        length=len(answer),
    )


class Planter:
    """Plants facts into training rows; a stage on top of `batches.Cut`.

    Args:
        row: `(epoch, window) -> {"tokens": int32 [seq + 1]}`, `bos` first.
        tokenizer: the tokenizer of the rows.
        mixture: how many facts, and of what kind.
        seed: decides what is planted where.
        world: the world of the facts.
    """

    def __init__(
        self,
        row: Callable[[int, int], dict[str, np.ndarray]],
        tokenizer: AbstractTokenizer,
        mixture: Mixture,
        *,
        seed: int,
        world: World = facts.TRAINED,
    ) -> None:
        self._row, self._tokenizer, self._mixture = row, tokenizer, mixture
        self._seed, self._world = seed, world
        self._breaks = Breaks(tokenizer)

    def __call__(self, epoch: int, window: int) -> dict[str, np.ndarray]:
        """The row with facts.

        Returns:
            `tokens`, `int32 [seq + 1]`, `bos` first; `answers`, `bool [seq]`, True
            where the target is a token of an answer that is asked for; `distances`,
            `int32 [seq]`, tokens from there back to the told answer, 0 elsewhere.
        """
        tokens = self._row(epoch, window)["tokens"]
        random = np.random.default_rng((self._seed, _SALT, epoch, int(window)))
        text, distances = tokens[1:], np.zeros(len(tokens) - 1, np.int32)
        if random.random() < self._mixture.share:
            text, distances = self._plant(random, text)
        tokens = np.concatenate([tokens[:1], text])
        return {"tokens": tokens, "answers": distances > 0, "distances": distances}

    def _plant(self, random, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mixture = self._mixture
        most = max(1, round(mixture.density * len(text) / 1000))
        drawn = facts.draw(
            random,
            self._world,
            int(random.integers(1, most + 1)),
            relations=int(random.integers(1, mixture.relations + 1)),
            reworded=mixture.reworded,
        )
        pieces = [self._tokenise(random, fact) for fact in drawn]
        placed = _arrange(random, pieces, len(text), mixture.nearest)
        return weave(text, placed, self._breaks)

    def _tokenise(self, random, fact: Fact) -> Pieces:
        before = (" ", " ", " ", "\n\n")[random.integers(4)]
        before_asking = (" ", "\n\n")[random.integers(2)]
        return tokenise(self._tokenizer, fact, before, before_asking)


class Breaks:
    """Where a fact may enter a text: after a sentence, or else between two words."""

    def __init__(self, tokenizer: AbstractTokenizer) -> None:
        pieces = tokenizer.pieces
        quotes, stops = b"\"' ", (b".", b"!", b"?")
        self._ends = np.array([p.rstrip(quotes).endswith(stops) for p in pieces])
        self._starts = np.array([p[:1].isspace() for p in pieces])

    def nearest(self, text: np.ndarray, wished: int, *, least: int = 0) -> int:
        """The best place within `REACH` tokens of `wished` and not before `least`.

        A place is the number of tokens before it; `wished` itself if none is better.
        """
        low, high = max(wished - REACH, least), min(wished + REACH, len(text) - 1)
        places = np.arange(max(low, 1), high + 1)
        is_word = self._starts[text[places]]
        is_sentence = self._ends[text[places - 1]] & is_word
        for good in (is_sentence, is_word):
            if good.any():
                found = places[good]
                return int(found[np.abs(found - wished).argmin()])
        return wished


@dataclasses.dataclass(frozen=True)
class Placed:
    """A fact, and where its two sentences begin: tokens from the start."""

    pieces: Pieces
    told: int
    asked: int


def weave(
    text: np.ndarray, placed: list[Placed], breaks: Breaks
) -> tuple[np.ndarray, np.ndarray]:
    """The text with facts in it, of the same length.

    Args:
        text: `int32 [seq]`.
        placed: facts; `REACH` tokens must be free on both sides of every piece.
        breaks: where a fact may enter the text.

    Returns:
        `int32 [seq]`, and the distance of every asked answer's tokens, `int32 [seq]`.
    """
    parts, length, read, began = [], 0, 0, {}
    for at, number, is_asked in sorted(
        (at, number, is_asked)
        for number, fact in enumerate(placed)
        for is_asked, at in enumerate((fact.told, fact.asked))
    ):
        cut = breaks.nearest(text, read + at - length, least=read)
        piece = placed[number].pieces.asked if is_asked else placed[number].pieces.told
        began[number, is_asked] = length + cut - read
        parts += [text[read:cut], piece]
        length, read = length + cut - read + len(piece), cut
    woven = np.concatenate([*parts, text[read:]])[: len(text)].astype(np.int32)
    return woven, _distances(placed, began, len(text))


def _distances(placed: list[Placed], began: dict, seq: int) -> np.ndarray:
    found = np.zeros(seq, np.int32)
    for number, fact in enumerate(placed):
        told = began[number, 0] + fact.pieces.told_answer
        asked = began[number, 1] + fact.pieces.asked_answer
        found[asked : asked + fact.pieces.length] = asked - told
    return found


def _arrange(random, pieces: list[Pieces], seq: int, nearest: int) -> list[Placed]:
    """Places for as many facts as there is room for."""
    placed: list[Placed] = []
    for one in pieces:
        fact = _try(random, one, seq, nearest, placed)
        placed += [fact] if fact else []
    return placed


def _try(random, one: Pieces, seq: int, nearest: int, placed: list[Placed]):
    """A free place, at a distance that is drawn once; None if there is none."""
    least = max(nearest, one.nearest + 2 * REACH)
    room = seq - 2 * REACH - len(one.asked)  # where the question can begin
    most = room - one.told_answer + one.asked_answer
    if least > most:
        return None
    distance = int(np.exp(random.uniform(np.log(least), np.log(most + 1))))
    apart = distance + one.told_answer - one.asked_answer
    for _ in range(_ATTEMPTS):
        told = REACH + int(random.integers(room - apart + 1))
        fact = Placed(one, told, told + apart)
        if all(_is_clear(fact, other) for other in placed):
            return fact
    return None


def _is_clear(one: Placed, other: Placed) -> bool:
    return all(
        a_stop + 2 * REACH <= b_start or b_stop + 2 * REACH <= a_start
        for a_start, a_stop in _spans(one)
        for b_start, b_stop in _spans(other)
    )


def _spans(fact: Placed) -> tuple[tuple[int, int], tuple[int, int]]:
    return (
        (fact.told, fact.told + len(fact.pieces.told)),
        (fact.asked, fact.asked + len(fact.pieces.asked)),
    )
