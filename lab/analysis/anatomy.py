"""How do fast weights change while a document is read? Size, direction, rank, path.

Weights are compared at up to `TIMES` times: each matrix of each fast block with itself
at W0 and with itself one time before. *Moved* is `|W_t - W0| / |W0|`, the *norm ratio*
is `|W_t| / |W0|`. The *effective rank* of a change is the exponential of the entropy of
its squared singular values' shares: the number of equal ones that would be as spread.

The null is the same tokens in a random order: what any tokens of these frequencies do.
Where things break is measured by raising the rate until the text costs more than the
frozen twin pays.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab.analysis.walk import Subject, Walk


TIMES = 129  # of weights, at most
SPECTRA = 33  # times at which singular values are taken, at most
VALUES = 12  # singular values that are kept
UNITS = 12  # hidden units that are named
RATES = tuple(2.0**i for i in range(-1, 15))  # 0.5 to 16,384
BREAKING = 128  # chunks that are read at each of these rates, at most
MATRICES = ("gate", "up", "down")
MARKS = 24  # of parts of the document, at most


@dataclasses.dataclass(frozen=True)
class Matrix:
    """How one matrix of one block changed.

    `block`: its number in the model, from 1. `moved`, `ratio [times]`. `turned
    [times]`: cosine of the step to this time with the step before. `kept_on [times]`:
    cosine of the change so far with the first change; both NaN where there is none.
    `values [spectra, VALUES]`: singular values of the change, largest first. `rank
    [spectra]`: effective rank.
    """

    block: int
    name: str
    moved: tuple[float, ...]
    ratio: tuple[float, ...]
    turned: tuple[float, ...]
    kept_on: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    rank: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Units:
    """Which hidden units of a block moved.

    `top`: numbers of the units that moved most, `shares` of the block's squared change.
    `spread`: the number of units over which an even change would be as spread. `same`:
    how many of `top` are among those that moved most in the null.
    """

    block: int
    units: int
    top: tuple[int, ...]
    shares: tuple[float, ...]
    spread: float
    same: int


@dataclasses.dataclass(frozen=True)
class Path:
    """Weights on their way through the text, in the plane that shows most of it.

    `x`, `y [times]`: in units of |W0|, W0 at the origin. `null_x`, `null_y`: the null's
    way in the same plane. `explained`: share of the way's variance in the plane, and of
    the null's in a plane of its own. A walk without direction has much of it too.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    null_x: tuple[float, ...]
    null_y: tuple[float, ...]
    explained: float
    null_explained: float


@dataclasses.dataclass(frozen=True)
class Breaking:
    """What happens at larger rates, on the first `chunks` chunks.

    `rates`: factors on the model's own. `loss [rates]`: nats a token; `frozen`: what
    the twin pays. `ratio`, `moved [rates]`: of the block with the largest norm ratio,
    at the end. `rate`, `line`: where the loss passes the twin's, and the norm ratio
    there, between two rates on a line; NaN where it does not happen.
    """

    chunks: int
    rates: tuple[float, ...]
    loss: tuple[float, ...]
    frozen: float
    ratio: tuple[float, ...]
    moved: tuple[float, ...]
    rate: float
    line: float


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """The change of the fast weights while a document was read.

    `times`: in chunks. `spectra`: those at which singular values were taken. `text`,
    `null`: matrices on the text and on the same tokens in a random order. `marks`:
    `(chunk, name)` of the document's parts. `gain`: nats a token that learning saved
    over the frozen twin; `null_gain`: the same in the null.
    """

    KIND: ClassVar[str] = "anatomy"
    subject: Subject
    times: tuple[int, ...]
    spectra: tuple[int, ...]
    text: tuple[Matrix, ...]
    null: tuple[Matrix, ...]
    units: tuple[Units, ...]
    null_units: tuple[Units, ...]
    path: Path
    breaking: Breaking
    marks: tuple[tuple[int, str], ...]
    gain: float
    null_gain: float

    @property
    def blocks(self) -> tuple[int, ...]:
        """Numbers of the fast blocks."""
        return tuple(dict.fromkeys(one.block for one in self.text))


def measure(
    walk: Walk,
    null: Walk,
    breaking: Breaking,
    *,
    subject: Subject,
    layers: int,
    marks: list[tuple[int, str]] = (),
) -> Anatomy:
    """The anatomy of a walk; `null`: the walk over the null, at the same times.

    `layers`: of the model. `marks`: `(token, name)`, of which some are kept.
    """
    times = tuple(sorted(walk.weights))
    chosen = np.linspace(0, len(times) - 1, min(SPECTRA, len(times)))
    spectra = tuple(sorted({round(i) for i in chosen} - {0}))
    both = [_matrices(one, spectra, layers) for one in (walk, null)]
    units = [_moved_units(one) for one in (walk, null)]
    first = layers - len(units[0]) + 1
    named = lambda own, other: tuple(
        _units(first + i, a, b) for i, (a, b) in enumerate(zip(own, other, strict=True))
    )
    return Anatomy(
        subject=subject,
        times=times,
        spectra=tuple(times[i] for i in spectra),
        text=both[0],
        null=both[1],
        units=named(*units),
        null_units=named(*reversed(units)),
        path=_path(walk, null),
        breaking=breaking,
        marks=_few(marks, subject.chunk),
        gain=float(walk.gain.mean()),
        null_gain=float(null.gain.mean()),
    )


def find_breaking(
    model, walk: Walk, report: Callable[[int], None] = lambda chunks: None
) -> Breaking:
    """Read the start of a document at growing rates; `report(chunks)`: after each."""
    import jax

    from lab.analysis import variants

    chunks = min(BREAKING, len(walk.rows))
    text = variants.prepare(model, walk.rows[:chunks])
    learners = variants.copies(variants.first_learner(model, chunks), len(RATES))
    rates = np.repeat(np.array(RATES, np.float32)[:, None], chunks, 1)
    learners, nats, _ = variants.read_on(model, learners, text, rates, report=report)
    origin = [np.asarray(leaf) for leaf in jax.tree.leaves(walk.weights[0])]
    after = [np.asarray(leaf) for leaf in jax.tree.leaves(learners.fast)]
    norm = lambda leaves: np.sqrt(sum((a**2).sum((-2, -1)) for a in leaves))
    ratio = norm(after) / norm(origin)  # [rates, blocks]
    moved = norm([a - b for a, b in zip(after, origin, strict=True)]) / norm(origin)
    worst = ratio.argmax(axis=1)
    pick = lambda found: found[np.arange(len(RATES)), worst]
    loss, frozen = nats.mean((1, 2)), float(walk.frozen[:chunks].mean())
    rate, line = crossing(np.array(RATES), loss - frozen, pick(ratio))
    round_ = lambda found: tuple(round(float(one), 5) for one in found)
    return Breaking(
        chunks, RATES, round_(loss), frozen, round_(pick(ratio)), round_(pick(moved)),
        rate, line,
    )  # fmt: skip


def crossing(
    rates: np.ndarray, excess: np.ndarray, ratio: np.ndarray
) -> tuple[float, float]:
    """`(rate, norm ratio)` where `excess` first passes zero, on a line between two.

    Both are NaN where `excess` never does, or is above zero from the start.

    >>> crossing(np.array([1, 4]), np.array([-1, 1]), np.array([1.0, 3.0]))
    (2.0, 2.0)
    """
    above = np.flatnonzero(~(excess <= 0))
    if not len(above) or above[0] == 0:
        return math.nan, math.nan
    i = int(above[0])
    share = -excess[i - 1] / (excess[i] - excess[i - 1])
    share = float(share) if np.isfinite(share) else 1.0
    between = lambda values: float(values[i - 1] + share * (values[i] - values[i - 1]))
    return math.exp(between(np.log(rates))), between(ratio)


def _matrices(walk: Walk, spectra: tuple[int, ...], layers: int) -> tuple[Matrix, ...]:
    blocks = np.asarray(walk.weights[0].gate).shape[0]
    return tuple(
        _matrix(layers - blocks + 1 + i, name, _history(walk, name, i), spectra)
        for i in range(blocks)
        for name in MATRICES
    )


def _history(walk: Walk, name: str, block: int) -> np.ndarray:
    """A matrix at all times, `[times, rows, columns]`."""
    pick = lambda time: np.asarray(getattr(walk.weights[time], name)[block], np.float32)
    return np.stack([pick(time) for time in sorted(walk.weights)])


def _matrix(
    block: int, name: str, history: np.ndarray, spectra: tuple[int, ...]
) -> Matrix:
    change = history - history[0]
    norms = np.sqrt((history**2).sum((1, 2), dtype=np.float64))
    moved = np.sqrt((change**2).sum((1, 2), dtype=np.float64)) / norms[0]
    steps = np.diff(history, axis=0)
    turned = [cosine(a, b) for a, b in zip(steps, steps[1:], strict=False)]
    kept_on = [cosine(one, steps[0]) for one in change[1:]]
    singular = [spectrum(change[i]) for i in spectra]
    round_ = lambda found: tuple(round(float(one), 5) for one in found)
    return Matrix(
        block=block,
        name=name,
        moved=round_(moved),
        ratio=round_(norms / norms[0]),
        turned=round_([math.nan, math.nan, *turned]),
        kept_on=round_([math.nan, *kept_on]),
        values=tuple(round_(one[:VALUES]) for one in singular),
        rank=round_([effective_rank(one) for one in singular]),
    )


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two arrays, NaN where one is zero."""
    size = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(np.vdot(a, b)) / size if size > 0 else math.nan


def spectrum(matrix: np.ndarray) -> np.ndarray:
    """Singular values of a matrix, largest first, by way of its smaller side."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide.astype(np.float64)
    return np.sqrt(np.maximum(np.linalg.eigvalsh(wide @ wide.T)[::-1], 0))


def effective_rank(values: np.ndarray) -> float:
    """The number of equal singular values that would be as spread; 0 for none.

    >>> round(effective_rank(np.array([3.0, 3.0, 0.0])), 3)
    2.0
    """
    shares = values**2 / max(float((values**2).sum()), np.finfo(np.float64).tiny)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def _moved_units(walk: Walk) -> np.ndarray:
    """Squared change of each hidden unit's three vectors, `[blocks, units]`."""
    change = lambda name: (
        np.asarray(getattr(walk.weights[max(walk.weights)], name))
        - np.asarray(getattr(walk.weights[0], name))
    )
    into = sum((change(name) ** 2).sum(1) for name in ("gate", "up"))
    return into + (change("down") ** 2).sum(2)


def _units(block: int, own: np.ndarray, other: np.ndarray) -> Units:
    total = max(float(own.sum()), np.finfo(np.float32).tiny)
    top, rival = (np.argsort(-one)[:UNITS].tolist() for one in (own, other))
    return Units(
        block=block,
        units=len(own),
        top=tuple(top),
        shares=tuple(round(float(own[i]) / total, 5) for i in top),
        spread=round(total**2 / max(float((own**2).sum()), 1e-38), 2),
        same=len({*top} & {*rival}),
    )


def _path(walk: Walk, null: Walk) -> Path:
    own, other = (_rows(one) for one in (walk, null))
    scale = float(np.linalg.norm(own[0])) or 1.0
    own, other = ((one - one[0]) / scale for one in (own, other))
    plane, explained = _plane(own)
    _, null_explained = _plane(other)
    x, y = (own @ plane.T).T
    null_x, null_y = (other @ plane.T).T
    round_ = lambda found: tuple(round(float(one), 5) for one in found)
    found = map(round_, (x, y, null_x, null_y))
    return Path(*found, round(explained, 5), round(null_explained, 5))


def _rows(walk: Walk) -> np.ndarray:
    """All fast weights at all times, `[times, weights]`."""
    leaves = lambda fast: [getattr(fast, name) for name in MATRICES]
    flat = lambda fast: np.concatenate([np.ravel(leaf) for leaf in leaves(fast)])
    return np.stack([flat(walk.weights[time]) for time in sorted(walk.weights)])


def _plane(rows: np.ndarray) -> tuple[np.ndarray, float]:
    """`(two directions, share of variance)`, by way of the products of rows."""
    centred = rows - rows.mean(0)
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    if len(values) < 2 or values[0] <= 0:
        return np.zeros((2, rows.shape[1])), math.nan
    plane = (vectors[:, :2].T @ centred) / np.sqrt(np.maximum(values[:2], 1e-30))[
        :, None
    ]
    # the end of the way lies to the right, and its middle above
    middle = rows[len(rows) // 2]
    signs = np.sign([plane[0] @ rows[-1], plane[1] @ middle])
    plane = plane * np.where(signs == 0, 1, signs)[:, None]
    return plane.astype(np.float32), float(values[:2].sum() / values.sum())


def _few(marks, chunk: int) -> tuple[tuple[int, str], ...]:
    """Some of the marks, evenly, in chunks."""
    if len(marks) > MARKS:
        keep = np.linspace(0, len(marks) - 1, MARKS).round().astype(int)
        marks = [marks[i] for i in keep]
    return tuple((token // chunk, name) for token, name in marks)
