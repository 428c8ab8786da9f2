"""Loss at each position of short sequences: the paper's toy experiment, five curves.

Models without attention differ in what their weights learn while reading; full
attention and no learning at all are the two extremes. *Naive* is the model that was not
trained to learn, made to learn at the inner rate that is best on the train split.

A novel is the independent unit: its sequences are averaged at each position, and every
interval is a t-interval over novels. Position `t` is predicted from the `t` entries
before it: at `t = 1` only the start of the sequence is known.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab import checkpoints
from lab.measure.intervals import Curve, Interval, curve, interval
from lab.measure.parts import Keep, fresh
from lab.measure.texts import Passage, TextRead


AT_ONCE = 32
TOGETHER = 4  # sequences per batch: more would not fit the caches, at half the speed
NAIVE_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


@dataclasses.dataclass(frozen=True)
class Rate:
    """An inner rate that was tried for naive, and its mean nats."""

    rate: float
    loss: float


@dataclasses.dataclass(frozen=True)
class About:
    """The model behind a curve: its name, the hash of its weights, its training.

    `rate`, `clip`, `tried`: naive's inner rate and clip, and all rates tried.
    """

    model: str
    sha256: str = ""
    tokens_seen: int | None = None
    trained_to: int | None = None
    rate: float | None = None
    clip: float | None = None
    tried: tuple[Rate, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Read:
    """Mean nats at each position, novel by novel.

    `kind`: "b1", "b16" and so on, "full", "none" or "naive". `by_novel`: `[novels,
    length]`.
    """

    kind: str
    by_novel: np.ndarray
    about: About


@dataclasses.dataclass(frozen=True)
class Line:
    """A model's losses at each position, and what it saves over no attention.

    `loss`, `gain`: one bin per position; `overall`, `gain_overall`: over all positions.
    `gain_late`: over the last quarter; `share_of_full`: the share of full attention's
    gain there. None if there is no curve to compare with.
    """

    label: str
    about: About
    loss: Curve
    overall: Interval
    gain: Curve | None = None
    gain_overall: Interval | None = None
    gain_late: Interval | None = None
    share_of_full: float | None = None


@dataclasses.dataclass(frozen=True)
class Toy:
    """The experiment's curves by kind.

    `length`: positions per sequence; `late_from`: the first of the last quarter.
    `paper_at`, `paper`: positions read from the paper's figure, and its losses by kind.
    """

    KIND: ClassVar[str] = "toy"
    text: TextRead
    length: int
    late_from: int
    curves: dict[str, Line]
    paper_at: tuple[int, ...]
    paper: dict[str, tuple[float, ...]]
    notes: tuple[str, ...]


def kind_of(name: str, config) -> str:
    """The kind of curve that belongs to a model of this configuration.

    **Raises** `ValueError` for a model that is not part of the experiment.
    """
    from ttt_core.mixers import kinds_of

    kinds = kinds_of(config)
    if all(kind.grows for kind in kinds) and not config.learns:
        return "full"
    if not any(kind.build for kind in kinds):
        return f"b{config.chunk}" if config.learns else "none"
    learns = "learns" if config.learns else "does not learn"
    mixers = ", ".join(sorted(set(config.kinds)))
    raise ValueError(
        f"{name} is not part of the toy experiment, which compares models without "
        f"attention with full attention that does not learn: it {learns}, with "
        f"{mixers} as mixers; name toy, toy-b16, toy-full, toy-none."
    )


def label_of(kind: str) -> str:
    """The name of a curve for people.

    >>> label_of("b16")
    'learning, b = 16'
    """
    named = {"full": "full attention", "none": "no attention", "naive": "naive"}
    return named.get(kind) or f"learning, b = {kind[1:]}"


def read(
    model,
    passages: list[Passage],
    rate: float = 1.0,
    report: Callable[[int], None] | None = None,
    keep: Keep = fresh,
) -> np.ndarray:
    """Nats of every token of passages of one length, `[passages, length]`.

    `rate`: a factor on the model's inner rate. `report(n)`: called after each `n`
    passages. `keep`: keeps the passages read at once (`lab.measure.parts`). The result
    is that of `ttt_core.read` from fresh states, to rounding.
    """
    tokens = np.stack([passage.tokens for passage in passages]).astype(np.int32)
    start = np.full((len(tokens), 1), model.config.bos, np.int32)
    rows, found = np.concatenate([start, tokens], axis=1), []
    marked = checkpoints.model_hash(model)
    for first in range(0, len(rows), AT_ONCE):
        part = rows[first : first + AT_ONCE]
        # The last part is padded, so that one program reads all parts.
        whole = np.resize(part, (AT_ONCE, rows.shape[1]))
        nll = lambda whole=whole: [np.asarray(_nll()(model, whole, rate))]
        found.append(keep(nll, marked, rate, whole)[0][: len(part)])
        if report:
            report(len(part))
    return np.concatenate(found).astype(np.float64)


@functools.cache
def _nll():
    import equinox as eqx
    import jax

    import ttt_core as ttt

    @eqx.filter_jit
    def nll(model, rows, rate):
        one = lambda row: ttt.meta_loss(model, row, rate=rate)[1].nll
        return jax.lax.map(one, rows, batch_size=TOGETHER)

    return nll


def by_novel(nll: np.ndarray, passages: list[Passage]) -> np.ndarray:
    """Mean over each novel's passages: `[passages, length] -> [novels, length]`."""
    owners = np.array([passage.novel for passage in passages])
    novels = dict.fromkeys(owners.tolist())
    return np.stack([nll[owners == novel].mean(axis=0) for novel in novels])


def choose_rate(
    model,
    passages: list[Passage],
    rates: tuple[float, ...],
    report=None,
    keep: Keep = fresh,
) -> tuple[float, list[Rate]]:
    """The inner rate at which `model` reads best, and all rates that were tried.

    `passages`: of text that no result is reported on. `model`: with an inner rate of 1.

    **Raises** `ValueError` if no rate gives a finite loss.
    """
    losses = {rate: read(model, passages, rate, report, keep).mean() for rate in rates}
    tried = [Rate(rate, float(loss)) for rate, loss in losses.items()]
    finite = [one for one in tried if np.isfinite(one.loss)]
    if not finite:
        raise ValueError(f"No loss is finite at any inner rate of {rates}.")
    return min(finite, key=lambda one: one.loss).rate, tried


def gap(worse: Read, better: Read, start: int = 0) -> Interval:
    """`worse - better` from position `start` on, paired by novel, with an interval."""
    difference = worse.by_novel[:, start:] - better.by_novel[:, start:]
    return interval(difference.mean(axis=1))


def lines(curves: list[Read]) -> dict[str, Line]:
    """Curves, gaps to no attention, and shares of full attention's gain.

    "Late" means the last quarter of the positions (`late_from`).
    """
    by_kind = {one.kind: one for one in curves}
    reference, full = by_kind.get("none"), by_kind.get("full")
    start = late_from(curves) - 1
    best = gap(reference, full, start).mean if reference and full else None
    return {one.kind: _line(one, reference, start, best) for one in curves}


def late_from(curves: list[Read]) -> int:
    """The first position of the last quarter, counted from 1."""
    length = curves[0].by_novel.shape[1]
    return length - max(1, length // 4) + 1


def _line(one: Read, reference: Read | None, start: int, best: float | None) -> Line:
    found = Line(
        label=label_of(one.kind),
        about=one.about,
        loss=_by_position(one.by_novel),
        overall=interval(one.by_novel.mean(axis=1)),
    )
    if reference is None or one is reference:
        return found
    late = gap(reference, one, start)
    return dataclasses.replace(
        found,
        gain=_by_position(reference.by_novel - one.by_novel),
        gain_overall=gap(reference, one),
        gain_late=late,
        share_of_full=late.mean / best if best else None,
    )


def _by_position(values: np.ndarray) -> Curve:
    """Mean and interval at each position of `values [novels, length]`."""
    return curve(values, np.arange(values.shape[1] + 1))
