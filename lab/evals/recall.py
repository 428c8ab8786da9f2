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

import numpy as np

from lab.data.questions import Questions
from lab.measure.intervals import Interval, interval, rounded, share


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
class Recall:
    """Answers by distance, of a model and of its frozen twin.

    `distances [distances]`: tokens between the answer told and the answer asked for.
    `relations`: what each fact is about, `[facts]`. `learning`: None for a model that
    does not learn. `reach`: that of the configuration, None = all.
    """

    distances: np.ndarray
    relations: tuple[str, ...]
    learning: Answers | None
    frozen: Answers
    reach: int | None


def measure_recall(
    model, questions: Questions, *, report: Callable[[int, int], None] | None = None
) -> Recall:
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
    return Recall(
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
        grades = []
        for prompt in (questions.prompts[i], questions.decoys[i]):
            logits = ttt.predict(model, state, np.concatenate([prompt, answer]))
            grades += _grade(np.asarray(logits)[len(prompt) : -1], answer)
        found.append(grades[:3])
        read = at
    return np.array(found).T


def _grade(logits: np.ndarray, answer: np.ndarray) -> tuple[float, float]:
    """Mean nats of an answer and the share of its tokens that are first choice."""
    logits = logits.astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=-1)) + top[:, 0]
    nats = log_sum - np.take_along_axis(logits, answer[:, None], axis=-1)[:, 0]
    return nats.mean(), (logits.argmax(axis=-1) == answer).mean()


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


def as_json(recall: Recall) -> dict:
    """Means over facts with 95 % intervals, by distance: t, of whole answers Wilson."""
    found = {
        "distances": recall.distances.tolist(),
        "facts": len(recall.relations),
        "reach": recall.reach,
    }
    if recall.learning is not None:
        found["learning"] = _means(recall.learning, recall.relations)
    return found | {"frozen": _means(recall.frozen, recall.relations)}


def _means(answers: Answers, relations: tuple[str, ...]) -> dict:
    names = [field.name for field in dataclasses.fields(Answers)]
    found = {
        name: _curve(getattr(answers, name), share if name == "whole" else interval)
        for name in names
    }
    by_relation = {
        relation: rounded(answers.nats[np.array(relations) == relation].mean(axis=0))
        for relation in dict.fromkeys(relations)
    }
    return found | {"nats_by_relation": by_relation}


def _curve(
    values: np.ndarray, sure: Callable[[np.ndarray], Interval]
) -> dict[str, list]:
    """Mean and interval over facts at each distance, `values [facts, distances]`."""
    found = [sure(column) for column in values.T]
    ends = ("mean", "low", "high")
    return {end: rounded([getattr(one, end) for one in found]) for end in ends}
