"""How much does a reader still know of a fact, and how much later?

Held-out facts are told in novels never trained on (`lab.data.questions`). The reader
reads on, and at each distance a fork is asked for the answer and then dropped. Four
numbers are measured, each with learning and by the frozen twin:

* nats recalled: cost of the answer after filler instead of the fact, minus its cost
  after the fact, per token of the answer. Zero = no better than never having read it.
* nats for a decoy: the same when the question is about another thing. Words that were
  read come more easily whatever is asked; only the nats above the decoy's show that
  the answer was remembered *of the thing*.
* first choice: share of the answer's tokens that the model itself would have written.
* whole answers: share of answers all of whose tokens are the first choice.

Nats are evidence of memory, nats above the decoy's are evidence of an association,
whole answers are recall.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab import checkpoints
from lab.data.questions import Questions
from lab.measure.answers import ask
from lab.measure.intervals import Interval, interval, share
from lab.measure.parts import Keep, fresh
from lab.measure.texts import TextRead


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """The answers of one reader, `[facts, distances]` each.

    `nats`: nats recalled per answer token; `decoy`: the same for a question about
    another thing. `cost`: nats of an answer token after the fact. `first`: share of the
    answer's tokens that are first choice; `first_absent`: the same after filler, which
    is what guessing gives. `whole`: 1.0 if all tokens are first choice.
    """

    nats: np.ndarray
    decoy: np.ndarray
    cost: np.ndarray
    first: np.ndarray
    first_absent: np.ndarray
    whole: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Asked:
    """All answers, of a model and of its frozen twin.

    `distances [distances]`: tokens between the told answer and the answer asked for.
    `relations [facts]`: the relation of each fact. `learning`: None for a model that
    does not learn. `reach`: the configuration's, None = all.
    """

    distances: np.ndarray
    relations: tuple[str, ...]
    learning: Answers | None
    frozen: Answers
    reach: int | None


@dataclasses.dataclass(frozen=True)
class Known:
    """What one reader knows at each distance, over facts: fields as in `Answers`.

    Intervals are t-intervals, and Wilson intervals for whole answers.
    `nats_by_relation`: means over the facts of each relation.
    """

    nats: tuple[Interval, ...]
    decoy: tuple[Interval, ...]
    cost: tuple[Interval, ...]
    first: tuple[Interval, ...]
    first_absent: tuple[Interval, ...]
    whole: tuple[Interval, ...]
    nats_by_relation: dict[str, tuple[float, ...]]


@dataclasses.dataclass(frozen=True)
class Memory:
    """What a model and its frozen twin know; `learning` is None if it never learns.

    `distances`: tokens after the fact. `facts`: number of facts. `reach`: number of
    tokens that attention can look back, None = all.
    """

    distances: tuple[int, ...]
    facts: int
    reach: int | None
    learning: Known | None
    frozen: Known

    @property
    def readers(self) -> dict[str, Known]:
        """The frozen twin as "frozen", and "learning" if the model learns."""
        found = {} if self.learning is None else {"learning": self.learning}
        return found | {"frozen": self.frozen}


@dataclasses.dataclass(frozen=True)
class Recall:
    """Memories of several models, asked the same questions.

    `world`: the world of the facts, "asked" or "trained". `seed`: decides the facts.
    `sha256`: of each model's weights.
    """

    KIND: ClassVar[str] = "recall"
    text: TextRead
    world: str
    seed: int
    sha256: dict[str, str]
    systems: dict[str, Memory]


def measure_recall(
    model,
    questions: Questions,
    *,
    report: Callable[[int, int], None] | None = None,
    keep: Keep = fresh,
) -> Asked:
    """Ask a model, and its frozen twin, all questions at all distances.

    Both read each document twice: with the fact, and with filler instead of the fact.
    `report(done, total)`: called with counts of readings. `keep`: keeps each document's
    answers (`lab.measure.parts`). The model's vocabulary must be that of the questions.
    """
    import ttt_core as ttt

    readers = {"learning": model} if model.config.learns else {}
    readers |= {"frozen": ttt.without_learning(model)}
    count = len(questions.facts)
    found, done, total = {}, 0, 2 * count * len(readers)
    for name, reader in readers.items():
        rows, marked = [], checkpoints.model_hash(reader)
        for i in range(count):
            twins = []
            for text in (questions.present[i], questions.absent[i]):
                asked = functools.partial(_ask, reader, text, questions, i)
                twins.append(keep(asked, marked, text, *_question(questions, i))[0])
                done += 1
                if report:
                    report(done, total)
            rows.append(twins)
        found[name] = _answers(rows)
    return Asked(
        distances=questions.distances,
        relations=tuple(fact.relation for fact in questions.facts),
        learning=found.get("learning"),
        frozen=found["frozen"],
        reach=model.config.reach,
    )


def _question(questions: Questions, i: int) -> tuple[np.ndarray, ...]:
    """All that decides the answers to question `i`, except model and text."""
    parts = (questions.prompts, questions.answers, questions.decoys, questions.asked_at)
    return tuple(np.asarray(part[i]) for part in parts)


def _ask(model, text: np.ndarray, questions: Questions, i: int) -> list[np.ndarray]:
    """Mean nats, share of first choices, nats for the decoy: one `[3, distances]`."""
    import ttt_core as ttt

    answer = questions.answers[i]
    state = ttt.init_state(model, capacity=len(text) + model.config.chunk)
    read, found = 0, []
    for at in questions.asked_at[i]:
        state, _ = ttt.read(model, state, text[read:at])
        right = ask(model, state, questions.prompts[i], answer)
        decoy = ask(model, state, questions.decoys[i], answer)
        found.append((right.nats, right.first, decoy.nats))
        read = at
    return [np.array(found).T]


def _answers(rows: list) -> Answers:
    """Answers from `[facts][present, absent][nats, first, decoy nats][distances]`."""
    present, absent = np.moveaxis(np.array(rows), 1, 0)
    (cost, first, decoy), (cost_absent, first_absent, decoy_absent) = (
        np.moveaxis(twin, 1, 0) for twin in (present, absent)
    )
    return Answers(
        nats=cost_absent - cost,
        decoy=decoy_absent - decoy,
        cost=cost,
        first=first,
        first_absent=first_absent,
        whole=(first == 1.0).astype(np.float64),
    )


def memory(asked: Asked) -> Memory:
    """Means over facts with 95 % intervals, by distance."""
    known = lambda answers: None if answers is None else _known(answers, asked)
    return Memory(
        distances=tuple(asked.distances.tolist()),
        facts=len(asked.relations),
        reach=asked.reach,
        learning=known(asked.learning),
        frozen=known(asked.frozen),
    )


def _known(answers: Answers, asked: Asked) -> Known:
    names = [field.name for field in dataclasses.fields(Answers)]
    columns = {name: getattr(answers, name).T for name in names}
    sure = dict.fromkeys(names, interval) | {"whole": share}
    found = {name: tuple(map(sure[name], columns[name])) for name in names}
    owner = np.array(asked.relations)
    by_relation = {
        relation: tuple(answers.nats[owner == relation].mean(axis=0).tolist())
        for relation in dict.fromkeys(asked.relations)
    }
    return Known(**found, nats_by_relation=by_relation)
