"""Where does a gap come from: a better start, or learning while reading?

For a system A that learns and a system B, at every position,

    loss(B) - loss(A) = [loss(B frozen) - loss(A frozen)]   the better start
                      + [loss(A frozen) - loss(A)]          A learning while reading
                      - [loss(B frozen) - loss(B)]          B learning, if B learns

exactly, token by token. Before A's first update the second part is zero, so the gap in
the first chunk is all start. That chunk is short, so `measure_starts` reads first
chunks at many more places than those where passages begin.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from lab import checkpoints
from lab.data.shards import Shards
from lab.evals.compare import Gap, measure_gap, notes
from lab.measure import positions
from lab.measure.intervals import Interval, interval
from lab.measure.nats import Readings
from lab.measure.parts import Keep, fresh
from lab.measure.readers import Facts, System, load
from lab.measure.texts import TextRead


START_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Decomposition:
    """The gap between two systems and its parts, each a `Gap` of its own.

    `total = start + learning`, minus `rival` (what B gains by learning; None if B does
    not learn). `starts`: the gap in a first chunk, over `places` places of each novel;
    None if it was not measured.
    """

    KIND: ClassVar[str] = "decompose"
    text: TextRead
    notes: tuple[str, ...]
    systems: dict[str, Facts]
    total: Gap
    start: Gap
    learning: Gap
    rival: Gap | None
    starts: Interval | None = None
    places: int = 0

    @property
    def title(self) -> str:
        """`a over b`."""
        return f"{self.total.better} over {self.total.than}"

    @property
    def share(self) -> float:
        """The better start's share of the whole gap; NaN if there is no gap."""
        total = self.total.overall.mean
        return self.start.overall.mean / total if total else np.nan


def decompose(
    a: System, b: System, readings: Readings, text: TextRead
) -> Decomposition:
    """The parts of the gap by which `a` reads better than `b`.

    `readings`: for every label of both systems' `readers`. `text`: the text read.

    **Raises** `ValueError` if `a` does not learn.
    """
    if a.learning is None:
        raise ValueError(
            f"{a.name!r} does not learn while reading, so all of the gap is its start; "
            "name the model that learns first."
        )
    part = lambda better, than: measure_gap(readings, better, than, a.chunk, (a, b))
    longest = max(len(passage.tokens) for passage in readings.passages)
    return Decomposition(
        text=text,
        notes=(*notes((a, b), longest), *text.notes),
        systems={one.name: one.facts for one in (a, b)},
        total=part(a.name, b.name),
        start=part(a.frozen_label, b.frozen_label),
        learning=part(a.name, a.frozen_label),
        rival=part(b.name, b.frozen_label) if b.learning else None,
    )


def with_starts(
    found: Decomposition, a, b, shards: Shards, places: int, report=None, keep=fresh
):
    """`found` with the gap before the first update, at `places` in each novel."""
    losses = [
        measure_starts(load(one.frozen), shards, a.chunk, places, report, keep)
        for one in (a, b)
    ]
    gap = interval(losses[1] - losses[0])
    return dataclasses.replace(found, starts=gap, places=places)


def measure_starts(
    model,
    shards: Shards,
    length: int,
    places: int,
    report=None,
    keep: Keep = fresh,
) -> np.ndarray:
    """Mean nats of `length` tokens from `places` in each document, `[documents]`.

    The places are spread evenly over the document; each is read from BOS on. The mean
    is NaN for documents shorter than `length`. `report(tokens)`: called after each
    batch with its number of tokens. `keep`: keeps each document's mean
    (`lab.measure.parts`).
    """
    import equinox as eqx
    import jax

    import ttt_core as ttt

    @eqx.filter_jit
    def batch_nll(model, rows):
        one = lambda row: ttt.meta_loss(model, row)[1].nll
        return jax.vmap(one)(rows)

    def mean(rows):
        losses = []
        for first in range(0, len(rows), START_BATCH):
            batch = rows[first : first + START_BATCH]
            padded = np.resize(batch, (START_BATCH, rows.shape[1]))
            losses.append(np.asarray(batch_nll(model, padded))[: len(batch)])
            if report:
                report(batch[:, 1:].size)
        return [np.asarray(positions.mean(losses) if losses else np.nan)]

    means, marked = [], checkpoints.model_hash(model)
    for document in range(len(shards)):
        rows = _starts(np.asarray(shards.tokens(document)), length, places)
        rows = np.insert(rows, 0, model.config.bos, axis=1)
        means.append(keep(functools.partial(mean, rows), marked, rows)[0])
    return np.array(means)


def _starts(tokens: np.ndarray, length: int, places: int) -> np.ndarray:
    room = len(tokens) - length
    if room < 0:
        return np.zeros((0, length), np.int32)
    offsets = np.unique(np.linspace(0, room, places).astype(int))
    return np.stack([tokens[at : at + length] for at in offsets]).astype(np.int32)
