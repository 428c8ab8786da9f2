"""Is what a model writes any good? An independent judge reads it (paper, section 3.6).

A model reads the text before a place in a document and writes as much again, learning
from both; from what it reads, and not from what it writes itself; or, its frozen twin,
from neither. Another language model, which takes no part and never learns here, reads
the same text before and then what was written: the fewer nats the better. The yardstick
is the document as it really goes on, judged the same way.

* Nats are per byte of what was written, because judge and writers cut text into other
  tokens, and writers may differ in that too.
* A judge is easily pleased by a text that repeats itself. So repetition stands beside:
  the share of 4-grams of the judge's tokens that were written before, and the share of
  tokens that are different.
* Text, random numbers and dials are the same for all writers; every difference is
  paired over documents.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab import checkpoints
from lab.measure.intervals import Interval, interval
from lab.measure.parts import Keep, fresh
from lab.measure.readers import Facts


PARTS = 8  # of a text, by bytes, along which the judge's nats are shown
GRAM = 4
REAL = "the document itself"
STOPS = ", not from itself"  # a reader that learns, and stops where it begins to write
SHOWN = 400  # characters of what was written that a result keeps


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A place in a document: the text before it, and as it really goes on."""

    name: str
    before: str
    after: str


@dataclasses.dataclass(frozen=True)
class Drawn:
    """How tokens are drawn, as the paper draws them. `seed`: of the random numbers."""

    temperature: float = 1.0
    top_p: float = 0.95
    repetition_penalty: float = 1.1
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Judged:
    """One writer's texts as the judge reads them, each number by document.

    `nats`: per byte. `repeated`: share of 4-grams that stood in the text before;
    `distinct`: share of tokens that are different. `along`: nats per byte in each
    eighth of the text. `begins`: how the first document's text begins.
    """

    label: str
    nats: tuple[float, ...]
    repeated: tuple[float, ...]
    distinct: tuple[float, ...]
    along: tuple[Interval, ...]
    begins: str


@dataclasses.dataclass(frozen=True)
class Decode:
    """What every writer wrote, and how the document went on, as one judge reads it.

    `documents`: their names. `tokens`: read, and written, of the first model's tokens.
    `before`: what the judge pays along the text before. `real`: the document itself.
    """

    KIND: ClassVar[str] = "decode"
    documents: tuple[str, ...]
    tokens: int
    drawn: Drawn
    judge: str
    judge_sha256: str
    systems: dict[str, Facts]
    before: tuple[Interval, ...]
    real: Judged
    rows: tuple[Judged, ...]

    @property
    def places(self) -> str:
        """How many documents there are, in words."""
        many = len(self.documents)
        return f"{many} document{'s' if many > 1 else ''}"

    @property
    def by_label(self) -> dict[str, Judged]:
        """The writers by name, and the real text."""
        return {row.label: row for row in (*self.rows, self.real)}

    def over(self, one: str, other: str, name: str = "nats") -> Interval:
        """By how much `name` of one is above that of another, paired over documents."""
        rows = (getattr(self.by_label[label], name) for label in (one, other))
        return interval(np.subtract(*map(np.array, rows)))


@dataclasses.dataclass(frozen=True)
class Writer:
    """A model that writes. `stops`: it learns nothing from what it writes itself."""

    label: str
    model: object
    tokenizer: object
    stops: bool = False


class Judge:
    """A model that reads what others wrote, and does not learn from it.

    Args:
        name: of the model.
        model: without learning.
        tokenizer: the model's.
        limit: tokens that the model reads at most, None = any number.
    """

    def __init__(self, name: str, model, tokenizer, limit: int | None = None):
        self.name, self.model, self.tokenizer, self.limit = (
            name,
            model,
            tokenizer,
            limit,
        )
        self.marked = checkpoints.model_hash(model)
        self._last = ("", None)

    def check(self, places: list[Place]):
        """Check that all texts fit.

        **Raises** `ValueError` naming the document that does not.
        """
        for place in places:
            many = len(self._ids(place.before)) + len(self._ids(place.after))
            if self.limit is not None and many > self.limit:
                raise ValueError(
                    f"{self.name} reads {self.limit:,} tokens, and the text of "
                    f"{place.name} has {many:,} of them: use a smaller --tokens, or "
                    "another --judge."
                )

    def first(self, before: str) -> list[np.ndarray]:
        """Ids of the text before, and the nats of each."""
        _, found = self._read(before)
        return found

    def then(self, before: str, after: str) -> list[np.ndarray]:
        """Ids of a text that goes on, and the nats of each; as much of it as fits."""
        import ttt_core as ttt

        state, (first, _) = self._read(before)
        room = None if self.limit is None else max(1, self.limit - len(first))
        ids = self._ids(after)[:room]
        _, report = ttt.read(self.model, state, ids)
        return [ids, np.asarray(report.nll, np.float64)]

    def _ids(self, text: str) -> np.ndarray:
        return np.array(self.tokenizer.encode(text), np.int32)

    def _read(self, before: str):
        """The state after a text; the last one is kept, because many go on from it."""
        import ttt_core as ttt

        if self._last[0] != before:
            ids = self._ids(before)
            room = 3 * len(ids) + 2 * self.model.config.chunk
            state = ttt.init_state(self.model, capacity=room)
            state, report = ttt.read(self.model, state, ids)
            found = [ids, np.asarray(report.nll, np.float64)]
            self._last = (before, (state, found))
        return self._last[1]


def measure(
    writers: list[Writer],
    judge: Judge,
    places: list[Place],
    drawn: Drawn = Drawn(),
    *,
    report: Callable[[int], None] | None = None,
    keep: Keep = fresh,
) -> tuple[tuple[Interval, ...], Judged, list[Judged]]:
    """The judge's nats along the texts before; the real texts; every writer's.

    `report(texts)`: called as the judge has read them. `keep`: keeps each text that is
    written and each that is judged.

    **Raises** `ValueError` for a place where a text is empty or that the judge has no
    room for.
    """
    judge.check(places)
    tell, befores = report or (lambda texts: None), []
    texts: dict[str, list[tuple]] = {REAL: [], **{one.label: [] for one in writers}}
    for place in places:
        key = (judge.marked, place.before)
        ids, nll = keep(functools.partial(judge.first, place.before), *key)
        befores.append(_along(ids, nll, judge.tokenizer))
        tell(1)
        for label, said in _said(writers, place, drawn, keep):
            judging = functools.partial(judge.then, place.before, said)
            texts[label].append((said, *keep(judging, *key, said)))
            tell(1)
    before = tuple(map(interval, np.array(befores).T))
    real, *rows = (_judged(label, found, judge) for label, found in texts.items())
    return before, real, rows


def cost(writers: list[Writer], places: list[Place]) -> int:
    """Texts that `measure` reports."""
    return len(places) * (2 + len(writers))


def _said(writers: list[Writer], place: Place, drawn: Drawn, keep: Keep):
    """The texts that follow on a place: the real one, then what each writer writes."""
    yield REAL, place.after
    for one in writers:
        ids = np.array(one.tokenizer.encode(place.before), np.int32)
        writing = functools.partial(_write, one.model, ids, drawn, one.stops)
        dials = np.array(dataclasses.astuple(drawn), np.float64)
        marked = checkpoints.model_hash(one.model)
        (tokens,) = keep(writing, marked, ids, dials, one.stops)
        yield one.label, one.tokenizer.decode(tokens.tolist())


def _write(model, ids: np.ndarray, drawn: Drawn, stops: bool) -> list[np.ndarray]:
    """As many tokens as `ids`, which are read first."""
    import jax

    import ttt_core as ttt
    from ttt_core.decode import Dials, write

    state = ttt.init_state(model, capacity=2 * len(ids) + 2 * model.config.chunk)
    state, _ = ttt.read(model, state, ids)
    dials = Dials(drawn.temperature, drawn.top_p, 0, drawn.repetition_penalty)
    knobs = {"key": jax.random.key(drawn.seed), "dials": dials, "seen": ids}
    endless = write(model, state, rate=0.0 if stops else 1.0, **knobs)
    tokens = [token for token, _ in itertools.islice(endless, len(ids))]
    return [np.array(tokens, np.int32)]


def _judged(label: str, found: list[tuple], judge: Judge) -> Judged:
    """Numbers by document of `(text, ids, nll)`."""
    lengths = judge.tokenizer.lengths
    nats = [float(nll.sum() / max(lengths[ids].sum(), 1)) for _, ids, nll in found]
    along = [_along(ids, nll, judge.tokenizer) for _, ids, nll in found]
    return Judged(
        label=label,
        nats=tuple(nats),
        repeated=tuple(repeated(ids) for _, ids, _ in found),
        distinct=tuple(len(np.unique(ids)) / max(len(ids), 1) for _, ids, _ in found),
        along=tuple(map(interval, np.array(along).T)),
        begins=found[0][0][:SHOWN],
    )


def repeated(ids: np.ndarray, gram: int = GRAM) -> float:
    """Share of the runs of `gram` tokens that occurred before in the text.

    >>> repeated(np.array([1, 2, 3, 1, 2, 3]), gram=2)
    0.4
    """
    runs = [tuple(ids[i : i + gram].tolist()) for i in range(len(ids) - gram + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _along(ids: np.ndarray, nll: np.ndarray, tokenizer) -> np.ndarray:
    """Nats per byte in each of `PARTS` equal parts, by bytes; NaN where none begins."""
    lengths = tokenizer.lengths[ids]
    begins = np.cumsum(lengths) - lengths
    part = np.minimum(PARTS * begins // max(lengths.sum(), 1), PARTS - 1)
    nats, many = (np.bincount(part, w, PARTS) for w in (nll, lengths))
    return np.where(many > 0, nats / np.maximum(many, 1), np.nan)
