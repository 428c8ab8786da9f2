"""Which words benefited from learning while reading?

What learning saved on every token (`walk.Walk.gain`) is put in order:

* by kind of token: names, rare words, numbers, punctuation, pieces that go on with a
  word (`lab.data.words`).
* by how much of it the text had said before: the longest phrase, ending in this token,
  that was read before.
* by the distance back to the last time, of the token and of the phrase of four. Within
  attention's reach both twins can look back; beyond it, only the weights can know.
* by word and by passage: where the most nats were saved in total.

The *null* is the same text read with the weights that an unrelated document left, and
not learned from. What it saves too is a manner of writing, not this text. Intervals are
over consecutive stretches of this one document, and so describe it alone.
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from lab.analysis.walk import Subject
from lab.data import words as lexicon
from lab.data.words import CORPUS, KINDS
from lab.measure.intervals import Curve, Interval, curve_of, ratio
from lab.measure.positions import doublings


STRETCHES, FEW = 20, 4  # of the document; an interval takes at least so many
PHRASE, LONG = 4, 8  # tokens
SEEN = (  # the longest phrase that was read before
    "a new token",
    "one token",
    f"2 to {PHRASE - 1} tokens",
    f"{PHRASE} to {LONG - 1} tokens",
    f"{LONG} tokens or more",
)
WHEN = ("first time", "within reach", "beyond reach")
AGAIN = {"the same token": 1, f"the same {PHRASE} tokens": PHRASE}
LISTED = 12
TEXT = 160  # characters shown of a passage


@dataclasses.dataclass(frozen=True)
class Group:
    """What learning saved on some of the tokens, in nats per token.

    `gain`: over the frozen twin; `null`: what the weights of an unrelated document
    save. `cost`: nats that the frozen twin pays. `share`: of all nats saved.
    """

    name: str
    tokens: int
    gain: Interval
    null: Interval
    cost: float
    share: float


@dataclasses.dataclass(frozen=True)
class Word:
    """A word and what learning saved on it, in nats.

    `first`: on the first time, `later`: on each later time, None without any.
    """

    word: str
    kind: str
    times: int
    nats: float
    first: float
    later: float | None


@dataclasses.dataclass(frozen=True)
class Passage:
    """A passage that the document had before, word for word.

    `at`: its first token. `tokens`: how many. `back`: tokens back to the last time.
    """

    text: str
    at: int
    tokens: int
    back: int
    nats: float


@dataclasses.dataclass(frozen=True)
class Words:
    """Which words of a document benefited.

    `null_tokens`: how many of the unrelated document were read. `stretches`: of the
    document, that intervals are over. `frequencies`: what says which words are rare.
    `kinds`, `seen`: every token is in one group of each. `when`: for every kind, by the
    last time of the word. `again`: for `AGAIN`, by the last time of the same tokens.
    `by_token`, `by_phrase` (and `null_`): the same by the distance back.
    `saved`, `lost`: words with the most nats saved in all, and with the most lost.
    """

    KIND: ClassVar[str] = "words"
    subject: Subject
    null_tokens: int
    stretches: int
    frequencies: str
    whole: Group
    kinds: tuple[Group, ...]
    seen: tuple[Group, ...]
    when: dict[str, tuple[Group, ...]]
    again: dict[str, tuple[Group, ...]]
    by_token: Curve
    null_by_token: Curve
    by_phrase: Curve
    null_by_phrase: Curve
    saved: tuple[Word, ...]
    lost: tuple[Word, ...]
    passages: tuple[Passage, ...]

    @property
    def ranked(self) -> list[Group]:
        """Kinds of token by what was saved above the null, most first.

        Kinds of too few tokens for an interval are left out.
        """
        known = [group for group in self.kinds if group.gain.is_known]
        return sorted(known, key=lambda one: one.null.mean - one.gain.mean)

    def kind(self, name: str) -> Group:
        """The group of a kind of token."""
        return next(group for group in self.kinds if group.name == name)


def unrelated(model, fast, ids: np.ndarray) -> np.ndarray:
    """Nats of a text under given fast weights, with a window and without learning.

    `fast`: as in `walk.Walk.weights`. Under W0 these are the frozen twin's nats.
    """
    import ttt_core as ttt

    twin = ttt.without_learning(ttt.merge(fast, ttt.split(model)[1]))
    _, report = ttt.read(twin, ttt.init_state(twin, capacity=len(ids)), ids)
    return np.asarray(report.nll)


def measure(
    frozen: np.ndarray,
    gain: np.ndarray,
    null: np.ndarray,
    ids: np.ndarray,
    tokenizer,
    subject: Subject,
    *,
    counts: Mapping[str, int] | None = None,
    null_tokens: int = 0,
) -> Words:
    """Gains put in order.

    Args:
        frozen: nats of the frozen twin, `[tokens]`.
        gain: nats that learning saved, `[tokens]`.
        null: nats that an unrelated document's weights saved, `[tokens]`.
        ids: the tokens, `[tokens]`.
        tokenizer: gives the tokens' text (`lab.data.tokenizers`).
        subject: what was read.
        counts: how often words occur in a corpus (`lab.data.words.corpus_counts`).
        null_tokens: how many tokens of the unrelated document were read.
    """
    told = _Told(frozen, gain, null, subject.chunk)
    stops = np.cumsum(tokenizer.lengths[ids])
    spans = np.stack([np.concatenate([[0], stops[:-1]]), stops], axis=1)
    data = tokenizer.decode_bytes(ids)
    units, fits = lexicon.units(data, counts)
    unit, kind = lexicon.of_tokens(units, spans)
    token, phrase = back(ids), back(ids, PHRASE)
    edges = _edges(len(ids), subject)
    near, null_near = told.by_distance(token, edges)
    far, null_far = told.by_distance(phrase, edges)
    last = _when(_unit_back(units, unit, token), subject.reach)
    saved = _words(units, unit, kind, gain)
    return Words(
        subject=subject,
        null_tokens=null_tokens,
        stretches=told.stretches,
        frequencies=CORPUS if fits else "this document",
        whole=told.group("all tokens", np.ones(len(ids), bool)),
        kinds=told.groups(KINDS, kind),
        seen=told.groups(SEEN, _seen(ids)),
        when={
            name: told.groups(WHEN, np.where(kind == i, last, -1))
            for i, name in enumerate(KINDS)
            if (kind == i).any()
        },
        again={
            name: told.groups(WHEN, _when(back(ids, length), subject.reach))
            for name, length in AGAIN.items()
        },
        by_token=near,
        null_by_token=null_near,
        by_phrase=far,
        null_by_phrase=null_far,
        saved=tuple(word for word in saved[:LISTED] if word.nats > 0),
        lost=tuple(word for word in saved[::-1][: LISTED // 2] if word.nats < 0),
        passages=_passages(data, spans, phrase, gain),
    )


def back(codes: np.ndarray, length: int = 1) -> np.ndarray:
    """Tokens back to the last time that the same `length` codes ended, `[tokens]`.

    0 means that there was none.

    >>> back(np.array([7, 8, 7, 8, 8])).tolist()
    [0, 0, 2, 2, 1]
    """
    found = np.zeros(len(codes), int)
    if len(codes) < length:
        return found
    rows = np.lib.stride_tricks.sliding_window_view(codes, length)
    _, same = np.unique(rows, axis=0, return_inverse=True)
    same = same.reshape(-1)
    order = np.argsort(same, kind="stable")
    again = same[order][1:] == same[order][:-1]
    found[order[1:][again] + length - 1] = np.diff(order)[again]
    return found


def _edges(tokens: int, subject: Subject) -> np.ndarray:
    """Distances at which bins end: doublings, and attention's reach."""
    found = doublings(tokens, max(1, subject.chunk // 4))
    inside = subject.reach is not None and subject.reach < tokens
    return np.unique([*found, *([subject.reach] if inside else [])])


def _seen(ids: np.ndarray) -> np.ndarray:
    """Index of `SEEN` for every token."""
    lengths = (1, 2, PHRASE, LONG)
    return np.sum([back(ids, length) > 0 for length in lengths], axis=0)


def _unit_back(units, unit: np.ndarray, token: np.ndarray) -> np.ndarray:
    """Tokens back to the last time of each token's word; of white space, its own."""
    there = np.flatnonzero(unit >= 0)
    firsts = np.full(len(units.words), -1)
    firsts[unit[there][::-1]] = there[::-1]  # the first token of a unit is written last
    last, found = {}, np.zeros(len(units.words), int)
    for i in np.flatnonzero(firsts >= 0):
        word = units.words[i]
        found[i] = firsts[i] - last.get(word, firsts[i])
        last[word] = firsts[i]
    return np.where(unit < 0, token, found[unit] if len(found) else 0)


def _when(distance: np.ndarray, reach: int | None) -> np.ndarray:
    """Index of `WHEN` for every token."""
    beyond = distance > (np.inf if reach is None else reach)
    return np.where(distance == 0, 0, 1 + beyond)


class _Told:
    """Means of groups of tokens, with intervals over stretches of the document."""

    def __init__(self, frozen, gain, null, chunk: int):
        self.frozen, self.gain, self.null = frozen, gain, null
        chunks = len(gain) // chunk
        self.stretches = max(1, min(STRETCHES, chunks // 2))
        self._of = np.arange(len(gain)) // chunk * self.stretches // max(1, chunks)
        self._all = float(gain.sum())

    def group(self, name: str, chosen: np.ndarray) -> Group:
        """The tokens where `chosen` is true."""
        tokens = int(chosen.sum())
        return Group(
            name=name,
            tokens=tokens,
            gain=self._mean(self.gain, chosen),
            null=self._mean(self.null, chosen),
            cost=float(self.frozen[chosen].mean()) if tokens else float("nan"),
            share=float(self.gain[chosen].sum()) / self._all if self._all else 0.0,
        )

    def groups(self, names, index: np.ndarray) -> tuple[Group, ...]:
        """One group for each name that has tokens."""
        found = (self.group(name, index == i) for i, name in enumerate(names))
        return tuple(group for group in found if group.tokens)

    def by_distance(self, distance: np.ndarray, edges) -> tuple[Curve, Curve]:
        """Gain and null by distance back; a distance of 0 is in no bin."""
        bins = np.where(distance > 0, np.searchsorted(edges, distance) - 1, -1)
        means = lambda values: curve_of(
            [self._mean(values, bins == i) for i in range(len(edges) - 1)], edges
        )
        return means(self.gain), means(self.null)

    def _mean(self, values: np.ndarray, chosen: np.ndarray) -> Interval:
        of, many = self._of[chosen], self.stretches
        counts = np.bincount(of, minlength=many)
        found = ratio(np.bincount(of, values[chosen], minlength=many), counts)
        if found.novels >= FEW:
            return found
        return Interval(found.mean, float("nan"), float("nan"), found.novels)


def _words(units, unit, kind, gain) -> list[Word]:
    """Every word with the nats saved on it, most first."""
    there = unit >= 0
    nats = np.bincount(unit[there], gain[there], minlength=len(units.words))
    times = {}
    for i in np.unique(unit[there]):
        times.setdefault(units.words[i], []).append(i)
    found = [
        _word(word, [KINDS[units.kinds[i]] for i in places], nats[places])
        for word, places in times.items()
    ]
    return sorted(found, key=lambda one: -one.nats)


def _word(word: str, kinds: list[str], nats: np.ndarray) -> Word:
    return Word(
        word=word,
        kind=max(kinds, key=kinds.count),
        times=len(nats),
        nats=float(nats.sum()),
        first=float(nats[0]),
        later=float(nats[1:].mean()) if len(nats) > 1 else None,
    )


def _passages(data: bytes, spans, phrase: np.ndarray, gain) -> tuple[Passage, ...]:
    """The repeated passages on which most was saved, each text once.

    A passage goes on as long as every phrase in it was read before, one after another.
    """
    again = phrase > 0
    starts = again & np.concatenate([[True], phrase[1:] != phrase[:-1]])
    found = {}
    for start in np.flatnonzero(starts):
        stop = start + 1
        while stop < len(phrase) and phrase[stop] == phrase[start]:
            stop += 1
        first = max(0, start - PHRASE + 1)
        one = Passage(
            text=_text(data, int(spans[first, 0]), int(spans[stop - 1, 1])),
            at=int(first),
            tokens=int(stop - first),
            back=int(phrase[start]),
            nats=float(gain[first:stop].sum()),
        )
        if one.nats > 0 and one.nats > getattr(found.get(one.text), "nats", 0.0):
            found[one.text] = one
    return tuple(_distinct(sorted(found.values(), key=lambda one: -one.nats)))


def _distinct(passages: list[Passage]) -> list[Passage]:
    """The first few of which none is a part of another."""
    found = []
    for one in passages:
        inside = lambda other, one=one: one.text in other.text or other.text in one.text
        if len(found) < LISTED and not any(map(inside, found)):
            found.append(one)
    return found


def _text(data: bytes, start: int, stop: int) -> str:
    """A passage on one line, with dots where it begins or ends inside a word."""
    inside = lambda at: data[at - 1 : at].isalnum() and data[at : at + 1].isalnum()
    text = " ".join(data[start:stop].decode("utf-8", "replace").split())[:TEXT]
    return f"{'…' if inside(start) else ''}{text}{'…' if inside(stop) else ''}"
