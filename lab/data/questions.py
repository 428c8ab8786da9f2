"""Held-out questions: a fact in a novel never trained on, asked for much later.

Every fact comes with two documents of equal length. One tells the fact; its *absent*
twin has filler of as many tokens instead, and every other token is the same integer at
the same index. Both are read, and after given numbers of tokens a fork is asked, so
that the right answer would lie exactly `distance` tokens after the told one. One
reading serves every distance.
"""

import dataclasses

import numpy as np

from lab.data import batches, facts, recall
from lab.data.facts import ASKED, Fact, World
from lab.data.needles import planted_pair
from lab.data.shards import Shards
from lab.data.tokenizers import AbstractTokenizer


DISTANCES = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384)
# This much text precedes a fact, give or take the rest of a sentence.
LEAD = 128


@dataclasses.dataclass(frozen=True, eq=False)
class Questions:
    """Facts in documents, and when to ask for them.

    Attributes:
        facts: one fact per document.
        documents: where the text comes from: name and offset in tokens.
        present, absent: `int32 [facts, length]`, without `bos`; equal outside of
            `start[i]:stop[i]`.
        start, stop: `int [facts]`, the tokens of the fact, or of the filler.
        told: `int [facts]`, the token at which the told answer begins.
        prompts, answers: `int32` arrays, one per fact.
        decoys: prompts that ask the same about another thing, which no text mentions.
        distances: `int [distances]`, ascending, in tokens.
        asked_at: `int [facts, distances]`, tokens read before the prompt.
    """

    facts: tuple[Fact, ...]
    documents: tuple[str, ...]
    present: np.ndarray
    absent: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    told: np.ndarray
    prompts: tuple[np.ndarray, ...]
    decoys: tuple[np.ndarray, ...]
    answers: tuple[np.ndarray, ...]
    distances: np.ndarray
    asked_at: np.ndarray


def build(
    shards: Shards,
    tokenizer: AbstractTokenizer,
    *,
    count: int = 24,
    distances: tuple[int, ...] | None = None,
    seed: int = 0,
    world: World = ASKED,
) -> Questions:
    """`count` facts, each in a passage of its own, evenly spread over a split.

    Args:
        shards: tokens of held-out documents.
        tokenizer: the tokenizer of the shards.
        count: number of facts.
        distances: distances to ask at, in tokens; None for those of `DISTANCES` that
            have room for the sentence and its question.
        seed: decides the facts.
        world: the world of the facts; `facts.TRAINED` asks in trained words.

    **Raises** `ValueError` for a distance that is too short for a sentence and its
    question, or if the split has too few passages that are long enough.
    """
    if count < 1:
        raise ValueError(f"`count` must be >= 1 fact: got count={count}.")
    *drawn, spare = facts.draw(np.random.default_rng((seed, 1)), world, count + 1)
    pieces = [recall.tokenise(tokenizer, fact) for fact in drawn]
    chosen = _distances(distances, max(one.nearest for one in pieces))
    length = (
        LEAD + recall.REACH + max(len(one.told) for one in pieces) + int(chosen[-1])
    )
    _check_longest(shards, length, int(chosen[-1]))
    passages = batches.passages(shards, count=count, length=length, bos=tokenizer.bos)
    breaks = recall.Breaks(tokenizer)
    rows = [
        _plant(text[1:], one, breaks, tokenizer)
        for text, one in zip(passages.tokens, pieces, strict=True)
    ]
    present, absent, start = map(np.array, zip(*rows, strict=True))
    told = start + [one.told_answer for one in pieces]
    ahead = np.array([one.asked_answer for one in pieces])
    places = zip(passages.names, passages.offsets, strict=True)
    return Questions(
        facts=tuple(drawn),
        documents=tuple(f"{name}[{offset}]" for name, offset in places),
        present=present,
        absent=absent,
        start=start,
        stop=start + [len(one.told) for one in pieces],
        told=told,
        prompts=tuple(one.asked[: one.asked_answer] for one in pieces),
        decoys=tuple(
            _decoy(tokenizer, fact, other)
            for fact, other in zip(drawn, [*drawn[1:], spare], strict=True)
        ),
        answers=tuple(_answer(one) for one in pieces),
        distances=chosen,
        asked_at=told[:, None] + chosen - ahead[:, None],
    )


def _distances(wished: tuple[int, ...] | None, least: int) -> np.ndarray:
    if wished is None:
        return np.array([d for d in DISTANCES if d >= least])
    if not wished or min(wished) < least:
        raise ValueError(
            f"A sentence and its question need up to {least} tokens: got distances="
            f"{', '.join(map(str, wished)) or 'none'}; the smallest is {least}."
        )
    return np.unique(wished)


def _check_longest(shards: Shards, length: int, distance: int) -> None:
    longest = max(entry.length for entry in shards.documents)
    if longest < length:
        raise ValueError(
            f"Asking {distance:,} tokens behind a fact takes documents of {length:,}: "
            f"the longest of {shards.corpus}/{shards.split} has {longest:,}; use "
            "smaller distances."
        )


def _plant(text, one: recall.Pieces, breaks: recall.Breaks, tokenizer):
    """The text with the fact, the text with filler, and where both begin."""
    cut = breaks.nearest(text, LEAD)
    twins = planted_pair(tokenizer, text[:cut], one.told, text[cut:])
    return *(twin[: len(text)] for twin in twins), cut


def _decoy(tokenizer: AbstractTokenizer, fact: Fact, other: Fact) -> np.ndarray:
    question = fact.asked.replace(fact.key, other.key)
    return np.array(tokenizer.encode(f"\n\n{question}"), np.int32)


def _answer(one: recall.Pieces) -> np.ndarray:
    return one.asked[one.asked_answer :][: one.length]
