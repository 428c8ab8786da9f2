"""How much does a reader still know of a fact, and how far behind it?

Held-out facts are told in novels never trained on (`lab.data.questions`). The reader
reads on, and at each distance a fork is asked for the answer: nothing it says or sees
there is kept. Four numbers, each with learning and by the frozen twin:

* nats recalled: cost of the answer where the fact had been filler, minus its cost where
  it was told; per token of the answer. Zero = no better than never having read it.
* nats for a decoy: the same when the question is about another thing. What was read
  comes more easily whatever is asked; only what the right question has above this was
  remembered *of the thing*.
* first choice: share of the answer's tokens that the model itself would have written.
* whole answers: share of answers all of whose tokens are the first choice.

Nats are evidence of memory, nats above the decoy's of an association, whole answers are
recall.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab.data.questions import Questions
from lab.measure.answers import ask
from lab.measure.intervals import Interval, interval, share
from lab.measure.texts import TextRead


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """What one reader answered, `[facts, distances]` each.

    `nats`: recalled, per answer token; `decoy`: the same asked of another thing.
    `cost`: of an answer token where the fact was told. `first`: share of its tokens
    that were first choice; `first_absent`: the same where it had been filler, which is
    what guessing gives. `whole`: 1.0 where all were.
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

    `distances [distances]`: tokens between the answer told and the answer asked for.
    `relations`: what each fact is about, `[facts]`. `learning`: None for a model that
    does not learn. `reach`: that of the configuration, None = all.
    """

    distances: np.ndarray
    relations: tuple[str, ...]
    learning: Answers | None
    frozen: Answers
    reach: int | None


@dataclasses.dataclass(frozen=True)
class Known:
    """What one reader knows at each distance, over facts: fields as in `Answers`.

    Intervals are t-intervals, of whole answers Wilson's. `nats_by_relation`: means of
    the facts about each thing.
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
    """What a model and its frozen twin know; `learning` is None where it never does.

    `distances`: tokens behind the fact. `facts`: how many. `reach`: tokens that
    attention can look back, None = all.
    """

    distances: tuple[int, ...]
    facts: int
    reach: int | None
    learning: Known | None
    frozen: Known

    @property
    def readers(self) -> dict[str, Known]:
        """ "learning", where the model learns, and "frozen"."""
        found = {} if self.learning is None else {"learning": self.learning}
        return found | {"frozen": self.frozen}


@dataclasses.dataclass(frozen=True)
class Recall:
    """Memories of several models, asked the same questions.

    `world`: whose words the facts are in, "asked" or "trained". `seed` decides the
    facts. `sha256`: of each model's weights.
    """

    KIND: ClassVar[str] = "recall"
    text: TextRead
    world: str
    seed: int
    sha256: dict[str, str]
    systems: dict[str, Memory]


def measure_recall(
    model, questions: Questions, *, report: Callable[[int, int], None] | None = None
) -> Asked:
    """Ask a model, and its frozen twin, all questions at all distances.

    Each document is read twice by each: with the fact and with filler in its place.
    `report(done, total)` counts readings. The model's vocabulary must be the
    questions'.
    """
    import ttt_core as ttt

    readers = {"learning": model} if model.config.learns else {}
    readers |= {"frozen": ttt.without_learning(model)}
    count = len(questions.facts)
    found, done, total = {}, 0, 2 * count * len(readers)
    for name, reader in readers.items():
        rows = []
        for i in range(count):
            twins = []
            for text in (questions.present[i], questions.absent[i]):
                twins.append(_ask(reader, text, questions, i))
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


def _ask(model, text: np.ndarray, questions: Questions, i: int):
    """Mean nats, share of first choices, nats for the decoy: `[distances]` each."""
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
    return np.array(found).T


def _answers(rows: list) -> Answers:
    """From `[facts][present, absent][nats, first, nats for the decoy][distances]`."""
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
