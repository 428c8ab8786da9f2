"""Is a fact stored, or can it be had? One planted fact, five questions, by distance.

The same reader of the same text is asked in five ways, from the mildest to the hardest:

1. nats: does the fact make its answer cheaper, per token of the answer?
2. rank: how many doublings does each token of the answer rise among all guesses?
3. free writing: does the reader write the answer, if left to continue the question?
4. other words: nats again, for a question in words that did not tell the fact.
5. contradiction: another value was told before. How much does the reader prefer the
   later one to the older one, in nats?

Everything is a difference to the same text with filler instead of the fact, so a reader
to whom the fact is lost is at zero exactly. Facts are *stored* where nats are saved;
they are *accessible* where the reader writes them, or answers in other words. The nulls
are the frozen twin, and a decoy: the question about another thing. What a decoy saves
too is a memory of words, not of the fact.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from lab import checkpoints
from lab.analysis.walk import Subject
from lab.data.retold import DOCUMENTS, Retold
from lab.measure.answers import ask
from lab.measure.intervals import Interval, interval, share
from lab.measure.parts import Keep, fresh


WRITTEN = 16  # tokens that a reader writes freely


@dataclasses.dataclass(frozen=True)
class Five:
    """Five answers of one reader, each at every distance, over facts.

    `nats`, `decoy`, `reworded`: saved per answer token, by the question, by one about
    another thing, in other words. `rank`: doublings that an answer token rose; `place`
    and `place_absent`: its mean place, 1 = first choice. `said`, `said_decoy`,
    `said_absent`: share of facts whose answer is written: to the question, to the one
    about another thing, and without the fact. `later`: nats by which the later of two
    values is preferred to the older; `alone`: the same if only the later was told;
    `wins`, `wins_absent`: share of facts where it is the likelier one.
    """

    nats: tuple[Interval, ...]
    decoy: tuple[Interval, ...]
    reworded: tuple[Interval, ...]
    rank: tuple[Interval, ...]
    place: tuple[float, ...]
    place_absent: tuple[float, ...]
    said: tuple[Interval, ...]
    said_decoy: tuple[Interval, ...]
    said_absent: tuple[Interval, ...]
    later: tuple[Interval, ...]
    alone: tuple[Interval, ...]
    wins: tuple[Interval, ...]
    wins_absent: tuple[Interval, ...]


@dataclasses.dataclass(frozen=True)
class Known:
    """What a model and its frozen twin know; `learning` is None if it never learns.

    `reach`: tokens that attention sees back, None if there is no bound.
    """

    reach: int | None
    learning: Five | None
    frozen: Five

    @property
    def readers(self) -> dict[str, Five]:
        """The frozen twin as "frozen", and "learning" if the model learns."""
        found = {} if self.learning is None else {"learning": self.learning}
        return found | {"frozen": self.frozen}


@dataclasses.dataclass(frozen=True)
class Example:
    """What a reader wrote, asked for one fact `distance` tokens later."""

    model: str
    distance: int
    told: str
    question: str
    answer: str
    learning: str
    frozen: str


@dataclasses.dataclass(frozen=True)
class Access:
    """Five questions about planted facts, put to several models.

    `world`: of the facts, "trained" or "asked". `seed`: decides them. `gap`: tokens
    between the two values of a contradiction. `distances`: tokens behind the fact.
    `sha256`: of each model. `examples`: what was written of the first fact.
    """

    KIND: ClassVar[str] = "access"
    subject: Subject
    facts: int
    world: str
    seed: int
    gap: int
    distances: tuple[int, ...]
    sha256: dict[str, str]
    systems: dict[str, Known]
    examples: tuple[Example, ...]


class Answers(NamedTuple):
    """One reader's answers after one document, `[distances]` each.

    `right`, `older`, `decoy`, `reworded`: mean nats of an answer token. `rank`: mean of
    log2 of its place. `written`, `written_decoy [distances, WRITTEN]`: ids. After a
    contradiction only `right`, `rank` and `older` are asked: the rest is NaN, or -1.
    """

    right: np.ndarray
    rank: np.ndarray
    older: np.ndarray
    decoy: np.ndarray
    reworded: np.ndarray
    written: np.ndarray
    written_decoy: np.ndarray


def measure(
    model,
    facts: list[Retold],
    said: Callable[[np.ndarray, Retold], bool],
    *,
    report: Callable[[int, int], None] | None = None,
    keep: Keep = fresh,
) -> tuple[Known, dict[str, list[dict[str, Answers]]]]:
    """Five answers of a model and of its frozen twin, and all answers by reader.

    `said(ids, fact)`: whether written ids hold the fact's answer. `report(done,
    total)`: counts of documents read. `keep`: keeps each document's answers
    (`lab.measure.parts`).
    """
    import ttt_core as ttt

    readers = {"learning": model} if model.config.learns else {}
    readers |= {"frozen": ttt.without_learning(model)}
    found, done, total = {}, 0, len(readers) * len(facts) * len(DOCUMENTS)
    for name, reader in readers.items():
        marked = checkpoints.model_hash(reader)
        found[name] = []
        for fact in facts:
            answers = {}
            for kind, text in fact.documents.items():
                asked = lambda r=reader, k=kind, f=fact: list(_ask(r, k, f))
                answers[kind] = Answers(*keep(asked, marked, kind, text, *_key(fact)))
                done += 1
                if report:
                    report(done, total)
            found[name].append(answers)
    five = {name: _five(facts, rows, said) for name, rows in found.items()}
    known = Known(model.config.reach, five.get("learning"), five["frozen"])
    return known, found


def _key(fact: Retold) -> tuple[np.ndarray, ...]:
    """All that decides the answers, except model and text."""
    asked = (fact.prompt, fact.reworded, fact.decoy)
    return (*asked, fact.answer, fact.older, fact.asked_at, np.array(WRITTEN))


def _ask(model, kind: str, fact: Retold) -> Answers:
    """Read one of a fact's documents, and ask at every distance on a fork."""
    import ttt_core as ttt

    text = fact.documents[kind]
    state = ttt.init_state(model, capacity=len(text) + model.config.chunk)
    read, found = 0, []
    for at in fact.asked_at:
        state, _ = ttt.read(model, state, text[read:at])
        found.append(_answers(model, state, kind, fact))
        read = at
    return Answers(*(np.array(column) for column in zip(*found, strict=True)))


def _answers(model, state, kind: str, fact: Retold) -> tuple:
    """What is asked of one state, in the order of `Answers`."""
    right = ask(model, state, fact.prompt, fact.answer)
    older = ask(model, state, fact.prompt, fact.older)
    found = (right.nats, float(np.log2(1.0 + right.rank).mean()), older.nats)
    nothing = np.full(WRITTEN, -1)
    if kind == "contrary":
        return *found, np.nan, np.nan, nothing, nothing
    decoy = ask(model, state, fact.decoy, fact.answer).nats
    reworded = ask(model, state, fact.reworded, fact.answer).nats
    written = _write(model, state, fact.prompt)
    if kind == "absent":
        return *found, decoy, reworded, written, nothing
    return *found, decoy, reworded, written, _write(model, state, fact.decoy)


def _write(model, state, prompt: np.ndarray) -> np.ndarray:
    """What a reader writes if left to continue a question, always the likeliest."""
    import jax

    import ttt_core as ttt

    knobs = {"key": jax.random.key(0), "temperature": 0.0}
    return np.asarray(ttt.generate(model, state, prompt, WRITTEN, **knobs)[0])


def _five(facts: list[Retold], rows: list[dict[str, Answers]], said) -> Five:
    column = lambda kind, name: np.array([getattr(row[kind], name) for row in rows])
    saved = lambda name: column("absent", name) - column("told", name)
    prefers = lambda kind: column(kind, "older") - column(kind, "right")
    writes = lambda kind, name="written": [
        [said(ids, fact) for ids in getattr(row[kind], name)]
        for fact, row in zip(facts, rows, strict=True)
    ]
    place = lambda kind: tuple((2.0 ** column(kind, "rank").mean(axis=0)).tolist())
    none = prefers("absent")
    return Five(
        nats=_over(saved("right")),
        decoy=_over(saved("decoy")),
        reworded=_over(saved("reworded")),
        rank=_over(saved("rank")),
        place=place("told"),
        place_absent=place("absent"),
        said=_over(writes("told"), share),
        said_decoy=_over(writes("told", "written_decoy"), share),
        said_absent=_over(writes("absent"), share),
        later=_over(prefers("contrary") - none),
        alone=_over(prefers("told") - none),
        wins=_over(prefers("contrary") > 0, share),
        wins_absent=_over(none > 0, share),
    )


def _over(values, sure=interval) -> tuple[Interval, ...]:
    """An interval over facts at each distance, `values [facts, distances]`."""
    return tuple(sure(column) for column in np.asarray(values, np.float64).T)
