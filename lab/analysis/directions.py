"""What does a direction of the change say? Tokens that it promotes, text that fires it.

A fast MLP adds `sum_j h_j D_j`: each hidden unit `j` that a passage excites writes its
row of `down`. What learning added to these rows is taken apart in two ways: by singular
vectors of the change, `D_t - D_0 = sum_i s_i u_i v_i^T`, where a passage excites
direction `i` by `h . u_i` and `v_i` is written; and by the hidden units that changed
most. What is written is read as logits (`lab.analysis.units.readouts`).

Any direction promotes some tokens and has passages that excite it most, so that a list
of both is no evidence. The *score* is: does it promote the tokens that come next where
it is excited? It is the correlation, over places in the text, of the excitement with
the logit that is written for the token which follows. It stands against three nulls:
random directions; the text's own, paired wrongly (`u_i` with another direction's
`v_j`); and those of the same model after the same tokens in a random order, scored on
those. A direction is shown where its score lies beyond 95 % of each.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab.analysis.walk import Subject, Walk, spread


KEPT = 8  # directions of each kind and block
WORDS = 8  # tokens that are promoted, and suppressed
PASSAGES = 3
PLACES = 8_192  # of the text that are looked at, at most
LEAD = 2  # chunks of context before each chunk that is looked at
RANDOM = 200  # random directions a block
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Excited:
    """A place that excites a direction: the text before, and the token that follows.

    `by`: how much, in standard deviations over the text.
    """

    place: int
    text: str
    follows: str
    by: float


@dataclasses.dataclass(frozen=True)
class Direction:
    """One direction of the change.

    `kind`: "singular" or "unit". `number`: which singular value or which unit. `share`:
    of the squared change of the block's `down`. `score`: correlation of excitement with
    the logit written for the token that follows.
    """

    block: int
    kind: str
    number: int
    share: float
    score: float
    promoted: tuple[str, ...]
    suppressed: tuple[str, ...]
    passages: tuple[Excited, ...]


@dataclasses.dataclass(frozen=True)
class Directions:
    """Directions of the change that say something, and how many do not.

    `places`: of the text that were looked at. `scores`: of all directions of the text,
    the shown first. `random`, `mixed`, `shuffled`: scores of the nulls (random
    directions, wrong pairs, the shuffled text's); `bar`: the largest of their 95th
    percentiles. `shown`: directions beyond it, best first. `null_shown`: the
    best directions of the shuffled text, to see what they look like.
    """

    KIND: ClassVar[str] = "directions"
    subject: Subject
    places: int
    scores: tuple[float, ...]
    random: tuple[float, ...]
    mixed: tuple[float, ...]
    shuffled: tuple[float, ...]
    bar: float
    shown: tuple[Direction, ...]
    null_shown: tuple[Direction, ...]

    @property
    def hidden(self) -> int:
        """How many directions say no more than a null's."""
        return len(self.scores) - len(self.shown)


@dataclasses.dataclass(frozen=True, eq=False)
class Read:
    """A text with the change it left, and the hidden units on the text.

    `change [fast_blocks, d_fast, d_model]` of `down`. `moved [fast_blocks, d_fast]`:
    squared change of each unit's vectors. `units [fast_blocks, places, d_fast]`.
    `follows [places]`: the tokens that follow. `place [places]`: where these stand.
    """

    ids: np.ndarray
    change: np.ndarray
    moved: np.ndarray
    units: np.ndarray
    follows: np.ndarray
    place: np.ndarray


def read(model, walk: Walk) -> Read:
    """What a walk left in the weights, and how the text excites it."""
    before, after = walk.weights[0], walk.weights[max(walk.weights)]
    return _read(model, walk.ids, before, after)


def _read(model, ids: np.ndarray, before, after) -> Read:
    from lab.analysis.units import activations

    chunk, bos = model.config.chunk, model.config.bos
    lead = LEAD * chunk
    stream = np.concatenate([np.full(lead + 1, bos), ids]).astype(np.int32)
    chunks = spread(0, len(ids) // chunk - 1, max(1, PLACES // chunk))
    rows = stream[np.array(chunks)[:, None] * chunk + np.arange(lead + chunk)]
    place = (np.array(chunks)[:, None] * chunk + np.arange(chunk)).ravel()
    difference = lambda name: (
        np.asarray(getattr(after, name)) - np.asarray(getattr(before, name))
    )
    change = difference("down")
    into = sum((difference(name) ** 2).sum(1) for name in ("gate", "up"))
    return Read(
        ids=ids,
        change=change,
        moved=into + (change**2).sum(2),
        units=activations(model, after, rows, chunk),
        follows=ids[place],
        place=place,
    )


def measure(
    model,
    text: Read,
    null: Read,
    *,
    subject: Subject,
    decode: Callable[[list[int]], str],
    seed: int = 0,
) -> Directions:
    """The directions of a text's change; `null`: of the same tokens in random order."""
    from lab.analysis.units import readouts

    heads = readouts(model)  # [fast_blocks, d_model, vocab]
    random = _random_scores(text, heads, np.random.default_rng(seed))
    name = lambda found, of: _named(found, of, heads, model.config.layers, decode)
    own, other = (_all(one, heads) for one in (text, null))
    mixed = _mixed_scores(text, heads)
    shuffled = [one.score for one in other]
    bar = max(map(_level, (random, mixed, shuffled)))
    beyond = [one for one in own if one.score > bar]
    round_ = lambda scores: tuple(round(float(score), 4) for score in scores)
    return Directions(
        subject=subject,
        places=len(text.place),
        scores=round_(one.score for one in own),
        random=round_(random),
        mixed=round_(mixed),
        shuffled=round_(shuffled),
        bar=bar,
        shown=tuple(name(one, text) for one in beyond),
        null_shown=tuple(name(one, null) for one in other[:2]),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """A direction: `reads [d_fast]` of hidden units, `writes [d_model]`."""

    block: int
    kind: str
    number: int
    share: float
    reads: np.ndarray
    writes: np.ndarray
    score: float = math.nan


def _all(text: Read, heads: np.ndarray) -> list[_Found]:
    """All directions of a change with their scores, best first."""
    found = [
        dataclasses.replace(one, score=score(text, one, heads[one.block]))
        for block in range(len(text.change))
        for one in _directions(text, block)
    ]
    return sorted(found, key=lambda one: -one.score)


def _directions(text: Read, block: int) -> list[_Found]:
    """Singular directions and units of one block; none where nothing changed."""
    change = text.change[block]
    total = float((change**2).sum())
    if not total:
        return []
    left, sizes, right = np.linalg.svd(change, full_matrices=False)
    found = [
        _Found(block, "singular", i + 1, sizes[i] ** 2 / total, left[:, i], right[i])
        for i in range(min(KEPT, len(sizes)))
        if sizes[i] > 1e-6 * sizes[0]
    ]
    one_hot = np.eye(len(change), dtype=change.dtype)
    best = np.argsort(-text.moved[block])[:KEPT]
    share = (change**2).sum(1) / total
    return found + [
        _Found(block, "unit", int(i), share[i], one_hot[i], change[i])
        for i in best
        if share[i] > 0
    ]


def score(text: Read, found: _Found, head: np.ndarray) -> float:
    """Correlation of a direction's excitement with what it writes for what follows."""
    excited = text.units[found.block] @ found.reads  # [places]
    return _correlation(excited, (found.writes @ head)[text.follows])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation, 0 where one side never changes."""
    if not np.std(a) or not np.std(b):
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _random_scores(text: Read, heads: np.ndarray, random) -> list[float]:
    """Scores of directions that read and write at random."""
    blocks, width, depth = text.change.shape
    draw = lambda block: _Found(
        block, "", 0, 0.0, random.normal(size=width), random.normal(size=depth)
    )
    draws = [draw(block) for block in range(blocks) for _ in range(RANDOM)]
    return [score(text, one, heads[one.block]) for one in draws]


def _mixed_scores(text: Read, heads: np.ndarray) -> list[float]:
    """Scores of singular directions that read as one and write as another.

    A direction and its opposite are the same, and so both signs of a pair count.
    """
    found = []
    for block in range(len(text.change)):
        own = [one for one in _directions(text, block) if one.kind == "singular"]
        pairs = [(a, b) for a in own for b in own if a is not b]
        mixed = [dataclasses.replace(a, writes=b.writes) for a, b in pairs]
        found += [score(text, one, heads[block]) for one in mixed]
    return [sign * one for one in found for sign in (1, -1)]


def _level(scores) -> float:
    scores = list(scores)
    return float(np.quantile(scores, LEVEL)) if scores else 0.0


def _named(found: _Found, text: Read, heads, layers: int, decode) -> Direction:
    """A direction with the words and passages that show it.

    Both signs of a singular direction are the same direction: the one is shown that the
    most excited place has.
    """
    excited = text.units[found.block] @ found.reads
    logits = found.writes @ heads[found.block]
    if abs(excited.min() - excited.mean()) > excited.max() - excited.mean():
        excited, logits = -excited, -logits
    order = np.argsort(-logits)
    words = lambda ids: tuple(_sayable(ids, decode))
    return Direction(
        block=layers - len(heads) + 1 + found.block,
        kind=found.kind,
        number=found.number,
        share=round(float(found.share), 5),
        score=round(found.score, 4),
        promoted=words(order),
        suppressed=words(order[::-1]),
        passages=_passages(text, excited, decode),
    )


def _sayable(ids: np.ndarray, decode) -> list[str]:
    """The first tokens that people can read: no parts of characters, no controls."""
    texts = (decode([int(i)]) for i in ids)
    known = (text for text in texts if text.strip() and text.isprintable())
    return list(
        itertools.islice((text for text in known if "\ufffd" not in text), WORDS)
    )


def _passages(text: Read, excited: np.ndarray, decode) -> tuple[Excited, ...]:
    """The places that excite a direction most, no two near each other."""
    scale, found = (excited - excited.mean()) / max(float(excited.std()), 1e-30), []
    for i in np.argsort(-scale):
        at = int(text.place[i])
        if all(abs(at - one.place) > 16 for one in found):
            before = decode(text.ids[max(0, at - 16) : at].tolist())
            follows = decode([int(text.ids[at])])
            found.append(Excited(at, before, follows, round(float(scale[i]), 2)))
        if len(found) == PASSAGES:
            break
    return tuple(found)
