"""A fact told, asked for in other words, and contradicted: three documents for each.

Every fact has two places in a passage, `gap` tokens apart. In the first, an older value
of the same thing may be told, in the second the fact itself. What is not told is filler
of as many tokens, so the three documents have the same other tokens at the same places:

    absent     text  filler  text  filler  text
    told       text  filler  text  fact    text
    contrary   text  older   text  fact    text

A reader of any of them is asked after the same numbers of tokens, at which the right
answer would lie exactly `distance` tokens behind the told one.
"""

import dataclasses

import numpy as np

from lab.data import facts, needles, recall
from lab.data.facts import Fact, World
from lab.data.tokenizers import AbstractTokenizer


DISTANCES = (64, 256, 1024, 4096)
LEAD = 64  # tokens of text before the first place
DOCUMENTS = ("absent", "told", "contrary")
# Relations of the asked world have one sentence: these ask in other words.
OTHER_WORDS = {
    "magic number": "Among the magic numbers, that of {key} is {value}.",
    "height": "Measured in inches, the {key} stands {value}.",
    "finder": "The {key} was first seen by a child called {value}.",
    "enemy": "The worst enemy of the {key} is {value}.",
    "secret": "One word holds the secret of the {key}: {value}.",
    "smell": "The smell of the {key} is that of {value}.",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Retold:
    """One fact in three documents, and what is asked.

    `documents`: `int32 [length]` by name (`DOCUMENTS`). `told`: the token at which the
    told answer begins. `answer`, `older`: the fact's value and the one before.
    `prompt`, `reworded`, `decoy`: the question, in other words, and about another thing
    that no text mentions. `asked_at [distances]`: tokens read before the question.
    """

    fact: Fact
    documents: dict[str, np.ndarray]
    told: int
    answer: np.ndarray
    older: np.ndarray
    prompt: np.ndarray
    reworded: np.ndarray
    decoy: np.ndarray
    asked_at: np.ndarray


def build(
    text: np.ndarray,
    tokenizer: AbstractTokenizer,
    *,
    count: int = 12,
    distances: tuple[int, ...],
    gap: int = 256,
    seed: int = 0,
    world: World = facts.TRAINED,
    room: int | None = None,
) -> list[Retold]:
    """`count` facts, each in a passage of its own, evenly spread over a text.

    Args:
        text: ids, at least `needed(...)` of them; passages overlap in a short text.
        room: passages end within so many ids, if they can (default: all).
        tokenizer: the tokenizer of the text.
        count: number of facts.
        distances: tokens between the told answer and the answer asked for, ascending.
        gap: tokens of text between the older value and the fact.
        seed: decides the facts.
        world: the world of the facts.

    **Raises** `ValueError` for a count below one, a gap that is negative, a distance
    that is too short for a sentence and its question, or a text that is too short.
    """
    if count < 1 or gap < 0:
        raise ValueError(
            f"Give one fact or more, and a gap of 0 or more: got {count} and {gap}."
        )
    drawn = draw(world, count, seed)
    pieces = [recall.tokenise(tokenizer, fact) for fact, _, _ in drawn]
    least = max(one.nearest for one in pieces)
    if not distances or min(distances) < least:
        shown = ", ".join(map(str, distances)) or "none"
        raise ValueError(
            f"A sentence and its question need up to {least} tokens: got distances="
            f"{shown}; the smallest is {least}."
        )
    length = needed(pieces, distances[-1], gap)
    if len(text) < length:
        raise ValueError(
            f"Asking {distances[-1]:,} tokens behind a fact takes {length:,} tokens of "
            f"text: got {len(text):,}; use smaller distances, or a longer document."
        )
    last = max(0, min(room or len(text), len(text)) - length)
    starts = np.linspace(0, last, count).astype(int)
    breaks = recall.Breaks(tokenizer)
    return [
        _one(
            text[start : start + length], one, world, tokenizer, breaks, distances, gap
        )
        for start, one in zip(starts, drawn, strict=True)
    ]


def draw(world: World, count: int, seed: int) -> list[tuple[Fact, Fact, str]]:
    """Facts, each with the same fact of an older value, and with another thing."""
    turns = len(world.relations)
    found = facts.draw(np.random.default_rng((seed, 1)), world, count + 3 * turns)
    return [
        (fact, _older(fact, found[i + turns :: turns]), found[i + 1].key)
        for i, fact in enumerate(found[:count])
    ]


def needed(pieces: list[recall.Pieces], distance: int, gap: int) -> int:
    """Tokens of a passage in which all of these facts can be asked for."""
    longest = max(len(one.told) for one in pieces)
    return LEAD + 2 * (recall.REACH + longest) + gap + distance


def fitting(text_length: int, world: World, tokenizer, gap: int) -> tuple[int, ...]:
    """Those of `DISTANCES` that a text has room for; at least one that facts need."""
    sample = [recall.tokenise(tokenizer, fact) for fact, _, _ in draw(world, 32, 0)]
    least = max(one.nearest for one in sample) + recall.REACH
    found = [
        distance
        for distance in DISTANCES
        if distance >= least and needed(sample, distance, gap) <= text_length
    ]
    return tuple(found) or (least,)


def reworded(fact: Fact, world: World) -> str:
    """The fact's question in other words."""
    relation = next(one for one in world.relations if one.name == fact.relation)
    also = OTHER_WORDS.get(relation.name)
    sentences = (*relation.sentences, *([also] if also else []))
    asked = (one.split("{value}")[0].format(key=fact.key) for one in sentences)
    return next(one.rstrip(" ") for one in asked if one.rstrip(" ") != fact.told)


def _older(fact: Fact, others: list[Fact]) -> Fact:
    """The same sentence with another value, of a fact of the same relation."""
    answer = next(one.answer for one in others if one.answer != fact.answer)
    return dataclasses.replace(fact, answer=answer)


def _one(text, drawn, world, tokenizer, breaks, distances, gap) -> Retold:
    fact, older, thing = drawn
    new = recall.tokenise(tokenizer, fact)
    old = recall.tokenise(tokenizer, older)
    first = breaks.nearest(text, LEAD)
    second = breaks.nearest(text, first + gap, least=first)
    blanks = [needles.filler(tokenizer, len(one.told)) for one in (old, new)]
    places = {
        "absent": blanks,
        "told": (blanks[0], new.told),
        "contrary": (old.told, new.told),
    }
    join = lambda a, b: np.concatenate(
        [text[:first], a, text[first:second], b, text[second:]]
    )
    told = second + len(old.told) + new.told_answer
    encode = lambda question: np.array(tokenizer.encode(f"\n\n{question}"), np.int32)
    return Retold(
        fact=fact,
        documents={
            name: join(*pair)[: len(text)].astype(np.int32)
            for name, pair in places.items()
        },
        told=told,
        answer=_answer(new),
        older=_answer(old),
        prompt=new.asked[: new.asked_answer],
        reworded=encode(reworded(fact, world)),
        decoy=encode(fact.asked.replace(fact.key, thing)),
        asked_at=told + np.array(distances) - new.asked_answer,
    )


def _answer(one: recall.Pieces) -> np.ndarray:
    return one.asked[one.asked_answer :][: one.length]
