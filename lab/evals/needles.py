"""Is a needle found again, by depth and length, and which of several is which?

RULER's single needles (S-NIAH-1 to 3) and several at once, in texts of up to many
windows (`lab.data.haystacks`). A question is asked at the text's end, on a fork:

* exact: share of answers all of whose tokens are the model's own first choice, which is
  what greedy writing would give. `floor`: the same after filler instead of the needle.
* nats: what the needle saves on a token of the answer, against filler.
* place: of the answer's worst token among all guesses, 1 = first; the median.

Of several needles each is asked for. `picked`: share of questions to which the right
value is the likeliest of all that were hidden (one in `many` by chance), so it tells
knowing *which* from knowing *that*. `decoy`: share of texts in which a question about a
key that nobody mentioned is answered with one of the hidden values.

A frozen twin that a needle has left the reach of answers exactly as after filler: zero
nats, not nearly zero. `strays` is the largest such number found.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab import checkpoints
from lab.data.haystacks import Crowd, Haystack, Stacks
from lab.measure.answers import ask
from lab.measure.intervals import Interval, interval, share
from lab.measure.parts import Keep, fresh
from lab.measure.readers import Facts
from lab.measure.texts import TextRead


@dataclasses.dataclass(frozen=True)
class Cell:
    """One reader's answers at one depth of one length, over all needles.

    `label`: the reader. `behind`: tokens from the needle's end to the question.
    `beyond`: whether the needle is out of the reach of attention. Others: see above;
    shares have Wilson intervals, nats t-intervals.
    """

    task: str
    label: str
    length: int
    depth: float
    behind: int
    beyond: bool
    exact: Interval
    floor: Interval
    nats: Interval
    place: int


@dataclasses.dataclass(frozen=True)
class Several:
    """One reader's answers about several needles in texts of one length.

    `exact`, `picked`: t-intervals over texts of the share of their questions; `decoy`:
    a Wilson interval over texts.
    """

    many: int
    label: str
    length: int
    exact: Interval
    picked: Interval
    decoy: Interval


@dataclasses.dataclass(frozen=True)
class Needles:
    """What every reader finds again. `text.units`: where the needles were hidden.

    `reaches`: tokens that attention can look back, None = all. `notes`: what a reader
    of the numbers should know. `strays`: nats that frozen twins save beyond their
    reach, at most: zero.
    """

    KIND: ClassVar[str] = "needles"
    text: TextRead
    seed: int
    lengths: tuple[int, ...]
    depths: tuple[float, ...]
    systems: dict[str, Facts]
    reaches: dict[str, int | None]
    notes: tuple[str, ...]
    cells: tuple[Cell, ...]
    several: tuple[Several, ...]
    strays: float

    @property
    def tasks(self) -> tuple[str, ...]:
        """The single tasks, in order."""
        return tuple(dict.fromkeys(cell.task for cell in self.cells))

    @property
    def labels(self) -> tuple[str, ...]:
        """The readers, in order."""
        found = (*self.cells, *self.several)
        return tuple(dict.fromkeys(one.label for one in found))

    def of(self, task: str, label: str) -> dict[tuple[int, float], Cell]:
        """A reader's cells of a task, by length and depth."""
        return {
            (cell.length, cell.depth): cell
            for cell in self.cells
            if (cell.task, cell.label) == (task, label)
        }


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model to be asked. `limit`: it reads no text longer than that; None = any."""

    label: str
    model: object
    limit: int | None = None


def measure(
    subject: Subject,
    stacks: Stacks,
    tasks: tuple[str, ...],
    many: tuple[int, ...],
    *,
    report: Callable[[int], None] | None = None,
    keep: Keep = fresh,
) -> tuple[list[Cell], list[Several]]:
    """One reader's answers to everything.

    `tasks`: of `lab.data.needles.TASKS`; `many`: numbers of needles in one text.
    `report(tokens)`: called with the tokens of each text that was asked about. `keep`:
    keeps each text's answers (`lab.measure.parts`).
    """
    tell, marked = (
        report or (lambda tokens: None),
        checkpoints.model_hash(subject.model),
    )
    cells: list[Cell] = []
    for task in tasks:
        rows, haystacks = [], stacks.of(task)
        for haystack in haystacks:
            chosen = places_within(haystack, subject.limit)
            asking = functools.partial(_ask_places, subject.model, haystack, chosen)
            key = _key(haystack.base, haystack.told, haystack.prompt, haystack.answer)
            where = [(place.length, place.cut) for place in chosen]
            by_place = keep(asking, marked, *key, where)[0]
            rows.append(dict(zip(map(_spot, chosen), by_place, strict=True)))
            tell(cost(haystack, subject.limit))
        cells += cells_of(task, subject, haystacks, rows)
    found = [
        _several(subject, stacks, count, length, tell, marked, keep)
        for count in many
        for length in lengths_within(stacks, subject.limit)
    ]
    return cells, found


def cost(haystack: Haystack, limit: int | None) -> int:
    """Tokens that asking about a haystack reads: its base and the rest of each fork."""
    places = places_within(haystack, limit)
    forks = sum(2 * (place.length - place.cut) for place in places)
    return forks + max((place.cut for place in places), default=0)


def whole_cost(
    subject: Subject, stacks: Stacks, tasks: tuple[str, ...], many: tuple[int, ...]
) -> int:
    """Tokens that `measure` reports."""
    each = (cost(one, subject.limit) for task in tasks for one in stacks.of(task))
    crowds = len(many) * stacks.count * sum(lengths_within(stacks, subject.limit))
    return sum(each) + crowds


def _spot(place) -> tuple[int, float]:
    return place.length, place.depth


def places_within(haystack: Haystack, limit: int | None) -> list:
    """The places that a reader with a limit can be asked about, in order."""
    return [p for p in haystack.places if p.length <= (limit or p.length)]


def lengths_within(stacks: Stacks, limit: int | None) -> list[int]:
    """The lengths that a reader with a limit reads."""
    return [length for length in stacks.lengths if length <= (limit or length)]


def _key(*arrays) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(array) for array in arrays)


def _ask_places(model, haystack: Haystack, places: list) -> list[np.ndarray]:
    """`[places, 5]`: nats, floor nats, exact, floor exact, place of the worst token.

    The base is read once; at each cut two forks read on, with the needle and with
    filler, and are asked at their end.
    """
    import ttt_core as ttt

    longest = max((place.length for place in places), default=0)
    state = ttt.init_state(model, capacity=longest + 2 * model.config.chunk)
    at, found = 0, []
    for place in places:
        state, _ = ttt.read(model, state, haystack.base[at : place.cut])
        at = place.cut
        rest = haystack.base[at : place.length - len(haystack.told)]
        told, blank = (
            _asked_after(model, state, np.concatenate([planted, rest]), haystack)
            for planted in (haystack.told, haystack.blank)
        )
        exact = [float(answer.first == 1.0) for answer in (told, blank)]
        found.append((told.nats, blank.nats, *exact, 1 + told.rank.max()))
    return [np.array(found, np.float64).reshape(-1, 5)]


def _asked_after(model, state, text: np.ndarray, haystack: Haystack):
    import ttt_core as ttt

    fork, _ = ttt.read(model, state, text)
    return ask(model, fork, haystack.prompt, haystack.answer)


def cells_of(
    task: str, subject: Subject, haystacks: list[Haystack], rows: list[dict]
) -> list[Cell]:
    """Means over needles, at each place that was asked about.

    `rows`: for each haystack, the five numbers of each `(length, depth)`.
    """
    reach, found = subject.model.config.reach, []
    for length, depth in sorted(rows[0]):
        nats, blank, exact, floor, place = np.array(
            [row[length, depth] for row in rows]
        ).T
        behind = min(
            place.length - place.cut - len(one.told)
            for one in haystacks
            for place in one.places
            if _spot(place) == (length, depth)
        )
        found.append(
            Cell(
                task=task,
                label=subject.label,
                length=length,
                depth=depth,
                behind=behind,
                beyond=reach is not None and behind >= reach,
                exact=share(exact),
                floor=share(floor),
                nats=interval(blank - nats),
                place=int(np.median(place)),
            )
        )
    return found


def _several(
    subject: Subject, stacks: Stacks, many: int, length: int, tell, marked, keep: Keep
) -> Several:
    rows = []
    for crowd in stacks.crowds(many, length):
        asking = functools.partial(_ask_crowd, subject.model, crowd)
        key = _key(crowd.text, crowd.decoy, *crowd.prompts, *crowd.answers)
        rows.append(keep(asking, marked, *key)[0])
        tell(len(crowd.text))
    return several_of(many, subject.label, length, rows)


def several_of(many: int, label: str, length: int, rows: list) -> Several:
    """Means over texts of the numbers of `about_crowd`."""
    exact, picked, decoy = np.array(rows).T
    return Several(
        many=many,
        label=label,
        length=length,
        exact=interval(exact),
        picked=interval(picked),
        decoy=share(decoy),
    )


def _ask_crowd(model, crowd: Crowd) -> list[np.ndarray]:
    import ttt_core as ttt

    state = ttt.init_state(model, capacity=len(crowd.text) + 2 * model.config.chunk)
    state, _ = ttt.read(model, state, crowd.text)
    return [about_crowd(model, state, crowd)]


def about_crowd(model, state, crowd: Crowd) -> np.ndarray:
    """Shares of right answers and of right picks; whether a decoy gets an answer."""
    import ttt_core as ttt

    pairs = list(zip(crowd.prompts, crowd.answers, strict=True))
    right = [ask(model, state, *pair).first == 1.0 for pair in pairs]
    fooled = [ask(model, state, crowd.decoy, answer) for _, answer in pairs]
    table = [
        float(np.mean(nll))
        for nll in ttt.score_many(
            model,
            state,
            [prompt for prompt in crowd.prompts for _ in pairs],
            [answer for _ in pairs for answer in crowd.answers],
        )
    ]
    likeliest = np.array(table).reshape(len(pairs), -1).argmin(axis=1)
    picked = (likeliest == np.arange(len(pairs))).mean()
    said = any(answer.first == 1.0 for answer in fooled)
    return np.array([np.mean(right), picked, float(said)])


def strays(cells: list[Cell], learning: set[str]) -> float:
    """The most nats that a reader which does not learn saves beyond its reach."""
    still = [c.nats for c in cells if c.beyond and c.label not in learning]
    ends = [abs(end) for one in still for end in (one.mean, one.low, one.high)]
    return float(max((end for end in ends if np.isfinite(end)), default=0.0))
