"""What if the right passage were looked up? BM25 beside learning, never mixed into it.

The haystacks of `lab.evals.needles`, the same needles at the same places, are read once
by a model that learns and once by its frozen twin. Each is then asked in two ways:

* alone: the question only, as in `eval needles`;
* routed: the passage of the text that BM25 finds for the question's words is put before
  the question, on a fork and without an inner step.

So a label without "routed" is the model's own number. `hits` says how often the passage
put back holds the answer, which bounds what routing can give. A passage is one and a
half chunks long, as much as the windows of the lab hold beside a question and its
answer. A routed question costs a search and the passage's tokens again; the text's
index grows with the text, and weights and windows do not. The floor is routed too:
after filler instead of the needle, the best passage of that text is put back.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab import checkpoints
from lab.data.haystacks import Crowd, Haystack, Place, Stacks
from lab.evals import needles
from lab.evals.needles import Cell, Needles, Subject
from lab.measure.answers import ask
from lab.measure.intervals import Interval, interval, share
from lab.measure.lookup import OVERLAP, Lookup
from lab.measure.parts import Keep, fresh


ROUTED = ", routed"
NOWHERE = -1  # BM25 finds no word of the question
TOLD, BLANK = 0, 1


@dataclasses.dataclass(frozen=True)
class Hits:
    """How often the passage put back holds the answer.

    `task`: of `lab.data.needles.TASKS`; "" for several at once, `many` of them, where
    `depth` is NaN. `rate`: a Wilson interval over needles, or a t-interval over texts.
    """

    task: str
    many: int
    length: int
    depth: float
    rate: Interval


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a reader's question costs, and what reading costs before it.

    `ms`: milliseconds a question, searching included, the median. `again`: tokens that
    a question reads again. `reading`: milliseconds to read 1,000 tokens; `indexing`: to
    index 1,000 tokens, 0 where nothing is looked up.
    """

    label: str
    ms: float
    again: float
    reading: float
    indexing: float


@dataclasses.dataclass(frozen=True)
class Route:
    """Needles asked for alone and routed. `passage`: tokens of a passage put back.

    `found`: as `eval needles` keeps its own, with a label for each reader and way.
    """

    KIND: ClassVar[str] = "route"
    found: Needles
    passage: int
    hits: tuple[Hits, ...]
    costs: tuple[Cost, ...]

    @property
    def text(self):
        """Where the needles were hidden."""
        return self.found.text

    def asked(self, label: str, length: int) -> list[Cell]:
        """A reader's cells of one length: those beyond attention's reach, if any."""
        cells = [
            one
            for one in self.found.cells
            if (one.label, one.length) == (label, length)
        ]
        return [one for one in cells if one.beyond] or cells

    def hit_rate(self, length: int) -> float:
        """BM25's share of hits at the places of `asked`; NaN if there are none."""
        cells = self.asked(self.found.labels[0], length)
        places = {(one.task, one.depth) for one in cells}
        rates = [
            one.rate.mean
            for one in self.hits
            if one.length == length and (one.task, one.depth) in places
        ]
        return float(np.mean(rates)) if rates else math.nan


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """What BM25 finds for one haystack: `starts [places, 2]`, with needle and filler.

    `held [places]`: whether the passage holds the answer. `ms [places, 2]`: to index
    1,000 tokens, and to search.
    """

    starts: np.ndarray
    held: np.ndarray
    ms: np.ndarray


def measure(
    subjects: list[Subject],
    stacks: Stacks,
    tasks: tuple[str, ...],
    many: tuple[int, ...],
    *,
    report: Callable[[int], None] | None = None,
    keep: Keep = fresh,
) -> tuple[list, list, list[Hits], list[Cost]]:
    """Cells, several at once, hits and costs of one model's readers.

    `subjects`: the model as it learns, and frozen; of one chunk and tokenizer. `report`
    and `keep`: as in `needles.measure`.
    """
    tell = report or (lambda tokens: None)
    _warm(subjects, stacks.of(tasks[0])[0].base, stacks.lengths[-1])
    cells, several, hits, times = [], [], [], {}
    for task in tasks:
        haystacks = stacks.of(task)
        found = [_find(one, subjects[0], stacks, keep) for one in haystacks]
        hits += _hits(task, haystacks, found, subjects[0])
        for subject in subjects:
            rows, spent = [], []
            for one, looked in zip(haystacks, found, strict=True):
                numbers, ms = _kept(subject, one, looked, keep)
                rows.append(numbers)
                spent.append((ms, looked))
                tell(needles.cost(one, subject.limit))
            cells += _cells(task, subject, haystacks, rows)
            times.setdefault(subject.label, []).extend(spent)
    for count in many:
        for length in needles.lengths_within(stacks, subjects[0].limit):
            rates, rows = _ask_crowds(subjects, stacks, count, length, tell, keep)
            hits.append(Hits("", count, length, math.nan, interval(rates)))
            several += rows
    costs = [cost for one in subjects for cost in _costs(one, times[one.label])]
    return cells, several, hits, costs


def _warm(subjects: list[Subject], text: np.ndarray, longest: int):
    """Compile before anything is timed."""
    import ttt_core as ttt

    for one in subjects:
        chunk = one.model.config.chunk
        capacity = min(longest, one.limit or longest) + 4 * chunk
        state = ttt.init_state(one.model, capacity=capacity)
        state, _ = ttt.read(one.model, state, text[: 2 * chunk])
        ask(one.model, state, text[: 2 * chunk], text[:1])


def passage_length(model) -> int:
    """Tokens of a passage put back."""
    return 3 * model.config.chunk // 2


def _whole(haystack: Haystack, place: Place, planted: np.ndarray) -> np.ndarray:
    rest = haystack.base[place.cut : place.length - len(planted)]
    return np.concatenate([haystack.base[: place.cut], planted, rest])


def _find(haystack: Haystack, subject: Subject, stacks: Stacks, keep: Keep) -> _Found:
    """What BM25 finds at each place of a haystack. It is the same for all readers."""
    places = needles.places_within(haystack, subject.limit)
    length, tokenizer = passage_length(subject.model), stacks.tokenizer

    def look() -> list[np.ndarray]:
        rows = [_look(haystack, place, tokenizer, length) for place in places]
        starts, held, ms = zip(*rows, strict=True) if rows else ([], [], [])
        return [np.array(starts, np.int64), np.array(held), np.array(ms, np.float64)]

    knobs = (tokenizer.name, length, OVERLAP)
    return _Found(*keep(look, "look", *knobs, *_key(haystack, places)))


def _look(haystack: Haystack, place: Place, tokenizer, length: int) -> tuple:
    starts, times = [], []
    for planted in (haystack.told, haystack.blank):
        text = _whole(haystack, place, planted)
        begun = time.perf_counter()
        lookup = Lookup(text, tokenizer, length)
        indexed = time.perf_counter()
        best = lookup.best(haystack.prompt)
        times.append((indexed - begun, time.perf_counter() - indexed))
        starts.append(best.start if best else NOWHERE)
    text = _whole(haystack, place, haystack.told)
    held = holds(tokenizer, _passage(text, starts[TOLD], length), haystack.answer)
    index, search = np.mean(times, axis=0)
    return starts, held, (1e6 * index / place.length, 1e3 * search)


def holds(tokenizer, passage: np.ndarray, answer: np.ndarray) -> bool:
    """Whether an answer stands in a passage."""
    decode = lambda ids: tokenizer.decode(ids.tolist())
    return decode(answer).strip() in decode(passage)


def _passage(text: np.ndarray, start: int, length: int) -> np.ndarray:
    return text[:0] if start == NOWHERE else text[start : start + length]


def _key(haystack: Haystack, places: list[Place]) -> tuple[np.ndarray, ...]:
    arrays = (haystack.base, haystack.told, haystack.prompt, haystack.answer)
    where = np.array([(place.length, place.cut) for place in places])
    return *map(np.asarray, arrays), where


def _kept(subject: Subject, haystack: Haystack, found: _Found, keep: Keep):
    """`[places, 2, 5]` numbers of `needles`, alone and routed, and `[places, 3]` ms."""
    places = needles.places_within(haystack, subject.limit)
    asking = functools.partial(_ask_places, subject.model, haystack, places, found)
    marked = checkpoints.model_hash(subject.model)
    return keep(
        asking,
        marked,
        passage_length(subject.model),
        found.starts,
        *_key(haystack, places),
    )


def _ask_places(model, haystack: Haystack, places: list[Place], found: _Found):
    """The base is read once; forks read on, and are asked alone and routed.

    Times are those of a question alone and routed, and to read 1,000 tokens.
    """
    import ttt_core as ttt

    longest = max((place.length for place in places), default=0)
    state = ttt.init_state(model, capacity=longest + 4 * model.config.chunk)
    at, numbers, times = 0, [], []
    for place, starts in zip(places, found.starts, strict=True):
        state, _ = ttt.read(model, state, haystack.base[at : place.cut])
        at, ways, spent = place.cut, [], []
        for planted, start in zip((haystack.told, haystack.blank), starts, strict=True):
            text = _whole(haystack, place, planted)
            begun = time.perf_counter()
            fork, told = ttt.read(model, state, text[place.cut :])
            np.asarray(told.nll)
            read = 1e6 * (time.perf_counter() - begun) / max(len(text) - place.cut, 1)
            passage = _passage(text, start, passage_length(model))
            answers, ms = _ask_both(model, fork, passage, haystack)
            ways.append(answers)
            # What is left of a text may be too little to say what reading costs.
            is_long = len(text) - place.cut >= 8 * model.config.chunk
            spent.append((*ms, read if is_long else np.nan))
        numbers.append([_numbers(*pair) for pair in zip(*ways, strict=True)])
        times.append(np.mean(spent, axis=0))
    return [np.array(numbers).reshape(-1, 2, 5), np.array(times).reshape(-1, 3)]


def _ask_both(model, state, passage: np.ndarray, haystack: Haystack):
    """The answers alone and routed, and the milliseconds of each."""
    answers, spent = [], []
    for before in (passage[:0], passage):
        begun = time.perf_counter()
        prompt = np.concatenate([before, haystack.prompt])
        answers.append(ask(model, state, prompt, haystack.answer))
        spent.append(1e3 * (time.perf_counter() - begun))
    return answers, spent


def _numbers(told, blank) -> tuple[float, ...]:
    """The five numbers of a place, as `needles` has them."""
    exact = [float(answer.first == 1.0) for answer in (told, blank)]
    return told.nats, blank.nats, *exact, 1 + told.rank.max()


def _cells(task: str, subject: Subject, haystacks: list, rows: list) -> list:
    """A reader's cells: alone, then routed."""
    found = []
    for way, suffix in enumerate(("", ROUTED)):
        named = dataclasses.replace(subject, label=f"{subject.label}{suffix}")
        by_place = [
            {
                (place.length, place.depth): numbers[way]
                for place, numbers in zip(
                    needles.places_within(one, subject.limit), row, strict=True
                )
            }
            for one, row in zip(haystacks, rows, strict=True)
        ]
        found += needles.cells_of(task, named, haystacks, by_place)
    return found


def _hits(task: str, haystacks: list, found: list[_Found], subject: Subject):
    rows: dict[tuple[int, float], list[bool]] = {}
    for one, looked in zip(haystacks, found, strict=True):
        places = needles.places_within(one, subject.limit)
        for place, held in zip(places, looked.held, strict=True):
            rows.setdefault((place.length, place.depth), []).append(float(held))
    return [
        Hits(task, 1, length, depth, share(held))
        for (length, depth), held in sorted(rows.items())
    ]


def _ask_crowds(subjects, stacks: Stacks, many: int, length: int, tell, keep: Keep):
    """BM25's share of hits in each text, and every reader's rows, alone and routed."""
    crowds = stacks.crowds(many, length)
    size, tokenizer = passage_length(subjects[0].model), stacks.tokenizer
    routed = [_routed(crowd, tokenizer, size) for crowd in crowds]
    rows = []
    for subject in subjects:
        marked, asked = checkpoints.model_hash(subject.model), []
        for crowd, (other, _) in zip(crowds, routed, strict=True):
            key = (crowd.text, crowd.decoy, *crowd.prompts, *crowd.answers)
            asking = functools.partial(_ask_crowd, subject.model, crowd, other)
            asked.append(keep(asking, marked, size, OVERLAP, *map(np.asarray, key))[0])
            tell(length)
        for way, suffix in enumerate(("", ROUTED)):
            label = f"{subject.label}{suffix}"
            numbers = [one[way] for one in asked]
            rows.append(needles.several_of(many, label, length, numbers))
    return [rate for _, rate in routed], rows


def _routed(crowd: Crowd, tokenizer, length: int) -> tuple[Crowd, float]:
    """The same text with a passage before each question, and the share of hits."""
    lookup, decoy = Lookup(crowd.text, tokenizer, length), crowd.decoy

    def passage(prompt: np.ndarray) -> np.ndarray:
        best = lookup.best(prompt)
        return crowd.text[best.start : best.stop] if best else crowd.text[:0]

    found = [passage(prompt) for prompt in crowd.prompts]
    pairs = zip(found, crowd.answers, strict=True)
    rate = np.mean([holds(tokenizer, *pair) for pair in pairs])
    prompts = [np.concatenate(p) for p in zip(found, crowd.prompts, strict=True)]
    decoy = np.concatenate([passage(decoy), decoy])
    changed = dataclasses.replace(crowd, prompts=tuple(prompts), decoy=decoy)
    return changed, float(rate)


def _ask_crowd(model, crowd: Crowd, routed: Crowd) -> list[np.ndarray]:
    """`[2, 3]`: the numbers of `needles.about_crowd`, alone and routed."""
    import ttt_core as ttt

    state = ttt.init_state(model, capacity=len(crowd.text) + 4 * model.config.chunk)
    state, _ = ttt.read(model, state, crowd.text)
    return [np.array([needles.about_crowd(model, state, c) for c in (crowd, routed)])]


def _costs(subject: Subject, spent: list) -> list[Cost]:
    """A reader's costs, alone and routed, over all single needles."""
    ms = np.concatenate([one for one, _ in spent])
    if not len(ms):
        return []
    looked = np.concatenate([found.ms for _, found in spent])
    starts = np.concatenate([found.starts for _, found in spent])
    again = float((starts[:, TOLD] != NOWHERE).mean() * passage_length(subject.model))
    read = ms[np.isfinite(ms[:, 2]), 2]
    reading = float(np.median(read)) if len(read) else math.nan
    routed = float(np.median(ms[:, 1] + looked[:, 1]))
    indexing = float(np.median(looked[:, 0]))
    alone = Cost(subject.label, float(np.median(ms[:, 0])), 0.0, reading, 0.0)
    return [alone, Cost(f"{subject.label}{ROUTED}", routed, again, reading, indexing)]
