"""What is more context worth? The same tokens, read with more and more text before.

The first `region` tokens of each document are cut into windows of `T` tokens, for every
context `T`. A window is read from a fresh state, so its tokens have `0` to `T - 1`
tokens before them (like the sequences of `T` tokens that the paper's figures average
over). Whatever `T`, all tokens of the region are scored, and each once: differences
between contexts, like those between systems, are paired by document.

A context longer than a system's training sequences is extrapolated, and marked. Full
attention (alone or in a hybrid) does not read beyond its training length by default;
with `--full-to` it may, but then no comparison with it is reported.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab.evals import compare
from lab.measure import positions
from lab.measure.intervals import Interval, interval
from lab.measure.nats import Readings
from lab.measure.readers import Facts, Reader, System
from lab.measure.texts import Passage, TextRead


CONTEXTS = (2048, 8192, 16_384, 32_768, 131_072)
REGION = 131_072


@dataclasses.dataclass(frozen=True, eq=False)
class Window:
    """A passage read from its first token, and scored from `scored_from` on."""

    passage: Passage
    scored_from: int


@dataclasses.dataclass(frozen=True)
class Score:
    """One label's loss at one context.

    `by_novel [novels]`: mean nats over the region. `extrapolated`: whether the context
    is longer than the training sequences, None if the card does not say. `gap`: how
    much worse than the reference at the same context, `worth`: how much better than the
    same label at the shortest context; None if no claim can be made.
    """

    label: str
    context: int
    extrapolated: bool | None
    loss: Interval
    by_novel: tuple[float, ...]
    gap: Interval | None
    worth: Interval | None


@dataclasses.dataclass(frozen=True)
class Contexts:
    """Every label's score at every context that it reads.

    `lengths`: number of scored tokens per document. The first system is the reference.
    """

    KIND: ClassVar[str] = "context"
    text: TextRead
    contexts: tuple[int, ...]
    lengths: tuple[int, ...]
    notes: tuple[str, ...]
    systems: dict[str, Facts]
    scores: tuple[Score, ...]

    @property
    def reference(self) -> str:
        """The system that the others are compared with."""
        return next(iter(self.systems))

    def by_label(self) -> dict[str, dict[int, Score]]:
        """Label -> context -> score."""
        found: dict[str, dict[int, Score]] = {}
        for score in self.scores:
            found.setdefault(score.label, {})[score.context] = score
        return found


def cut(passage: Passage, context: int) -> list[Window]:
    """Windows of `context` tokens that score every token of a passage once.

    The last window ends with the passage, and scores the tokens that the others left.
    """
    tokens, windows = passage.tokens, []
    for start in range(0, len(tokens), context):
        begin = max(0, min(start, len(tokens) - context))
        piece = tokens[begin : begin + context]
        part = Passage(passage.novel, passage.offset + begin, piece)
        windows.append(Window(part, start - begin))
    return windows


def measure(
    systems: list[System],
    passages: list[Passage],
    contexts: tuple[int, ...],
    read: Callable[[dict[str, Reader], list[Passage]], Readings],
    text: TextRead,
) -> Contexts:
    """The loss of every label at every context that it reads, context by context.

    `passages`: the region of each document of `text`. `read(readers, passages)`:
    returns their nats. The first system is the reference.

    **Raises** `ValueError` if no context is given, or a context is not positive.
    """
    contexts = tuple(sorted(set(contexts)))
    if not contexts or contexts[0] < 1:
        raise ValueError(
            f"Contexts must be positive numbers of tokens: got {contexts}."
        )
    labels = {label: one for one in systems for label in one.readers}
    scores: list[Score] = []
    for context in contexts:
        windows = [w for passage in passages for w in cut(passage, context)]
        readers = {
            label: one.readers[label]
            for label, one in labels.items()
            if context <= (one.frozen.limit or context)
        }
        readings = read(readers, [window.passage for window in windows])
        losses = {label: _by_novel(readings, windows, label) for label in readers}
        for label in losses:
            scores.append(_score(labels, systems[0], label, context, losses, scores))
    # Extrapolated numbers are marked one by one, so no sentence repeats it.
    said = compare.notes(systems, longest=0)
    return Contexts(
        text=text,
        contexts=contexts,
        lengths=tuple(len(passage.tokens) for passage in passages),
        notes=(*said, *notes(systems, passages, contexts)),
        systems={one.name: one.facts for one in systems},
        scores=tuple(scores),
    )


def _by_novel(readings: Readings, windows: list[Window], label: str) -> np.ndarray:
    pairs = zip(readings.nll[label], windows, strict=True)
    scored = [nll[window.scored_from :] for nll, window in pairs]
    return readings.by_novel(scored, positions.mean)


def _score(labels, reference: System, label: str, context: int, losses, before):
    """One score, with the claims that can be made about it."""
    one, loss = labels[label], losses[label]
    first = next((score.by_novel for score in before if score.label == label), None)
    gap = None
    if label != reference.name and reference.name in losses:
        if _comparable(one, reference, context):
            gap = interval(loss - losses[reference.name])
    worth = None
    if first is not None and not (reads_all(one) and _extrapolates(one, context)):
        worth = interval(np.array(first) - loss)
    beyond, by_novel = _extrapolates(one, context), tuple(loss.tolist())
    return Score(label, context, beyond, interval(loss), by_novel, gap, worth)


def _extrapolates(system: System, context: int) -> bool | None:
    return None if system.trained_to is None else context > system.trained_to


def reads_all(system: System) -> bool:
    """Whether some block attends to all tokens.

    Such a model cannot read positions that it was not trained at.
    """
    return system.frozen.limit is not None


def _comparable(a: System, b: System, context: int) -> bool:
    return not any(reads_all(one) and _extrapolates(one, context) for one in (a, b))


def notes(systems: list[System], passages: list[Passage], contexts) -> list[str]:
    """Sentences on the contexts that a reader of the numbers should know."""
    said = []
    for one in systems:
        if reads_all(one) and max(contexts) > one.frozen.limit:
            said.append(
                f"{one.name} has full attention: not read beyond {one.frozen.limit:,}."
            )
    short = [p for p in passages if len(p.tokens) < max(contexts)]
    if short:
        least = min(len(passage.tokens) for passage in short)
        said.append(
            f"{len(short)} of {len(passages)} documents are shorter than "
            f"{max(contexts):,} tokens (the shortest has {least:,}): there the longest "
            "context is the whole document."
        )
    return said
