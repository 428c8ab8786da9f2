"""When did the text say this before? Words that come back, and what was saved on them.

A word that attention can still see costs little for any model. A word that was last
said beyond attention's reach can only be known from the weights. So each token is given
the distance back to the last time of its word, and words and phrases are put in the
order of the nats that learning saved on them.

Everything here is plain counting of one text, and needs no model.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from lab.traces import Trace


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
PHRASE = 3  # words of a phrase, at least
LONGEST = 12  # words of a phrase that are shown


class Words(NamedTuple):
    """The words of a text: lower case, their bytes, and the last time of each.

    `spans [words, 2]`: first byte and one past the last. `before [words]`: index of the
    same word's last time, -1 = this is the first. `copied [words]`: the same of the
    `PHRASE` words that end here.
    """

    words: tuple[str, ...]
    spans: np.ndarray
    before: np.ndarray
    copied: np.ndarray


class Saved(NamedTuple):
    """A word or phrase, how often it was said, and the nats that learning saved on it.

    `beyond`: those of the nats where its last time was out of attention's reach.
    """

    words: str
    times: int
    nats: float
    beyond: float


def words_of(data: bytes) -> Words:
    """The words of a text of UTF-8 bytes."""
    text = data.decode("utf-8", "replace")
    found = list(_WORD.finditer(text))
    words = tuple(one[0].lower().replace("’", "'") for one in found)
    at = _bytes_before(text)
    spans = at[np.array([one.span() for one in found], int).reshape(-1, 2)]
    phrases = zip(*(words[i:] for i in range(PHRASE)), strict=False)
    ends = min(PHRASE - 1, len(words))
    copied = np.concatenate([np.full(ends, -1), _last_time(phrases)])
    copied[copied >= 0] += ends
    return Words(words, spans, _last_time(words), copied)


def _last_time(things: Iterable) -> np.ndarray:
    """Index of each thing's last time before, -1 = none."""
    last, found = {}, []
    for i, thing in enumerate(things):
        found.append(last.get(thing, -1))
        last[thing] = i
    return np.array(found, int)


def reach_of(trace: Trace) -> int | None:
    """Tokens back that a model sees without learning; None = to the start."""
    header = trace.header
    return header.reach or (None if header.attends else 0)


def ago(words: Words, trace: Trace, start: int, stop: int) -> np.ndarray:
    """Tokens back to the last time of each token's word, `int [stop - start]`.

    0 where the word is new, or where there is no word.
    """
    unit = _unit(words, trace.spans[start:stop])
    there = unit >= 0
    found = np.zeros(stop - start, int)
    found[there] = _distance(words, trace, unit[there])
    return found


def most_saved(words: Words, trace: Trace, count: int = 12) -> list[Saved]:
    """The words on which learning saved the most nats so far, most first."""
    totals, beyond, said = _per_word(words, trace)
    names, of = np.unique(np.array(words.words[:said]), return_inverse=True)
    sums = [np.bincount(of, values, len(names)) for values in (totals, beyond)]
    times = np.bincount(of, minlength=len(names))
    order = np.argsort(-sums[0], kind="stable")[:count]
    found = [
        Saved(str(names[i]), int(times[i]), *(float(s[i]) for s in sums)) for i in order
    ]
    return [one for one in found if one.nats > 0]


def phrases_saved(words: Words, trace: Trace, count: int = 6) -> list[Saved]:
    """Phrases that the text had said before, word for word, in order of nats saved.

    A phrase is a run of at least `PHRASE` words that copies an earlier run.
    """
    totals, _, said = _per_word(words, trace)
    found: dict[str, list] = {}
    for first, last, copy in _runs(words.copied[:said]):
        phrase = found.setdefault(
            " ".join(words.words[first:last][:LONGEST]), [1, 0, 0]
        )
        nats, reach = float(totals[first:last].sum()), reach_of(trace)
        pair = np.array([first, copy])
        away = int(-np.diff(_firsts(words, trace, pair))[0])
        far = reach is not None and away > reach
        phrase[:] = phrase[0] + 1, phrase[1] + nats, phrase[2] + nats * far
    kept = [Saved(name, *numbers) for name, numbers in found.items()]
    return sorted((one for one in kept if one.nats > 0), key=lambda s: -s.nats)[:count]


def _runs(copied: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Stretches of words that copy an earlier stretch: first, one past last, copy."""
    there = np.flatnonzero(copied >= 0)
    goes_on = (np.diff(there) == 1) & (np.diff(copied[there]) == 1)
    for run in np.split(there, np.flatnonzero(~goes_on) + 1) if len(there) else ():
        first = int(run[0]) - PHRASE + 1
        yield first, int(run[-1]) + 1, int(copied[run[0]]) - PHRASE + 1


def _per_word(words: Words, trace: Trace) -> tuple[np.ndarray, np.ndarray, int]:
    """Nats saved on each word, those beyond reach, and the number of words read."""
    unit = _unit(words, trace.spans)
    gain = np.nan_to_num(trace.token_gain)
    there = unit >= 0
    said = int(unit.max(initial=-1)) + 1
    totals = np.bincount(unit[there], gain[there], minlength=said)
    reach = reach_of(trace)
    if reach is None or not said:
        return totals, np.zeros(said), said
    far = _distance(words, trace, np.arange(said)) > reach
    return totals, np.where(far, totals, 0.0), said


def _unit(words: Words, spans: np.ndarray) -> np.ndarray:
    """The word that each token belongs to, by its last byte; -1 = none."""
    if not len(words.words):
        return np.full(len(spans), -1)
    starts, stops = words.spans.T
    at = np.searchsorted(starts, spans[:, 1] - 1, side="right") - 1
    inside = (at >= 0) & (spans[:, 1] <= stops[np.maximum(at, 0)])
    return np.where(inside, at, -1)


def _distance(words: Words, trace: Trace, unit: np.ndarray) -> np.ndarray:
    """Tokens between the start of each of these words and its last time, 0 = new."""
    first = lambda unit: _firsts(words, trace, unit)
    before = words.before[unit]
    return np.where(before < 0, 0, first(unit) - first(np.maximum(before, 0)))


def _firsts(words: Words, trace: Trace, unit: np.ndarray) -> np.ndarray:
    """The token in which each of these words begins."""
    return np.searchsorted(trace.spans[:, 1], words.spans[unit, 0], "right")


def _bytes_before(text: str) -> np.ndarray:
    """Bytes before each character, and before the end, `[characters + 1]`."""
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    sizes = 1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)
    return np.concatenate([[0], np.cumsum(sizes)])
