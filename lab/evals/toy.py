"""Loss at each position of short sequences: the paper's toy experiment, five curves.

Models without attention differ in what their weights learn while reading; full
attention and no learning at all are the two ends. *Naive* is the model that does not
learn, learning all the same, at the inner rate that is best on the train split.

A novel is the independent unit: its sequences are averaged at each position, and every
interval is a t-interval over novels. A position is what was read before: at `t = 1`
only the sequence's start is known.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from lab.measure.intervals import Interval, interval, rounded
from lab.measure.texts import Passage


AT_ONCE = 32
TOGETHER = 4  # of them: wider batches leave the processor's caches, at half the speed
NAIVE_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """Mean nats at each position, novel by novel: `by_novel [novels, length]`.

    `kind`: "b1", "b16" and so on, "full", "none" or "naive". `about`: model, hash and
    training, for the result.
    """

    kind: str
    by_novel: np.ndarray
    about: dict


@dataclasses.dataclass(frozen=True)
class Rate:
    """An inner rate tried for naive, and its mean nats."""

    rate: float
    loss: float


def kind_of(name: str, config) -> str:
    """Which of the experiment's curves a model of this configuration draws.

    **Raises** `ValueError` for a model that belongs to none of them.
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
        f"{name} is no part of the toy experiment, which compares models without "
        f"attention to full attention that does not learn: it {learns}, with "
        f"{mixers} as mixers; name toy, toy-b16, toy-full, toy-none."
    )


def label_of(kind: str) -> str:
    """A curve's name for people.

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
) -> np.ndarray:
    """Nats of every token of passages of one length, `[passages, length]`.

    `rate` is a factor on the model's inner rate; `report(n)` is called after each `n`
    passages. Equal to `ttt_core.read` from a fresh state each, to rounding.
    """
    tokens = np.stack([passage.tokens for passage in passages]).astype(np.int32)
    start = np.full((len(tokens), 1), model.config.bos, np.int32)
    rows, found = np.concatenate([start, tokens], axis=1), []
    for first in range(0, len(rows), AT_ONCE):
        part = rows[first : first + AT_ONCE]
        # The last part is filled up, so that one program reads all of them.
        whole = np.resize(part, (AT_ONCE, rows.shape[1]))
        found.append(np.asarray(_nll()(model, whole, rate))[: len(part)])
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
    model, passages: list[Passage], rates: tuple[float, ...], report=None
) -> tuple[float, list[Rate]]:
    """The inner rate at which `model` reads best, and all that were tried.

    `passages` are of text that no result is reported on. `model` has an inner rate of
    1. **Raises** `ValueError` where no rate gives a finite loss.
    """
    losses = {rate: read(model, passages, rate, report).mean() for rate in rates}
    tried = [Rate(rate, float(loss)) for rate, loss in losses.items()]
    finite = [one for one in tried if np.isfinite(one.loss)]
    if not finite:
        raise ValueError(f"No loss is finite at any inner rate of {rates}.")
    return min(finite, key=lambda one: one.loss).rate, tried


def gap(worse: Curve, better: Curve, start: int = 0) -> Interval:
    """`worse - better` from position `start` on, paired by novel, with its interval."""
    difference = worse.by_novel[:, start:] - better.by_novel[:, start:]
    return interval(difference.mean(axis=1))


def as_json(curves: list[Curve]) -> dict:
    """Curves, gaps to no attention, and shares of full attention's gain, for `late`,
    the last quarter of the positions."""
    reference = {curve.kind: curve for curve in curves}.get("none")
    length = curves[0].by_novel.shape[1]
    start = length - max(1, length // 4)
    result = {
        "length": length,
        "late_from": start + 1,
        "novels": len(curves[0].by_novel),
        "curves": {curve.kind: _curve_json(curve, reference) for curve in curves},
    }
    if reference is not None:
        result["late"] = _late(curves, reference, start)
    return result


def _late(curves: list[Curve], reference: Curve, start: int) -> dict:
    gains = {c.kind: gap(reference, c, start) for c in curves if c is not reference}
    full = gains.get("full")
    shares = {
        kind: {"share_of_full": round(gain.mean / full.mean, 4)} if full else {}
        for kind, gain in gains.items()
    }
    return {kind: gain.as_json() | shares[kind] for kind, gain in gains.items()}


def _curve_json(curve: Curve, reference: Curve | None) -> dict:
    found = {
        "label": label_of(curve.kind),
        **curve.about,
        "loss": _columns(curve.by_novel),
    }
    found["overall"] = interval(curve.by_novel.mean(axis=1)).as_json()
    if reference is not None and curve is not reference:
        found["gain"] = _columns(reference.by_novel - curve.by_novel)
        found["gain_overall"] = gap(reference, curve).as_json()
    return found


def _columns(values: np.ndarray) -> dict:
    """Mean and interval at each position of `values [novels, length]`."""
    found = [interval(column) for column in values.T]
    return {
        name: rounded([getattr(one, name) for one in found], digits=4)
        for name in ("mean", "low", "high")
    }
