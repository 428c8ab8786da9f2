"""A world so small that a model is two numbers, and all starts can be seen at once.

A document is a stream of points `x` and their answers `y = a . x`: the reader has to
find the two numbers `a`, one chunk of points at a time. There are two kinds.

* In *loud* documents `x` is long. Errors are expensive, and one chunk teaches nearly
  everything: the start matters little after that.
* In *quiet* documents `x` is short. Errors are cheap, but reading hardly corrects them:
  where you start is where you stay.

The best guess before reading is near the loud documents' `a`. The best start to *learn*
from is not, and only a gradient that follows the learning can know that. The reading
itself is `ttt_core.adapt`, as in the big model.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import ttt_core as ttt
from lab.lessons.orders import ORDERS, FirstOrder, check_order
from ttt_core.rules import SGD


@dataclass(frozen=True)
class World:
    """The documents of a world: the `target` and loudness of each kind, and sizes.

    `spread`: standard deviation of `a` between documents of a kind.
    """

    loud_target: tuple[float, float] = (1.0, 0.5)
    quiet_target: tuple[float, float] = (-1.0, -0.2)
    loud: float = 1.0
    quiet: float = 0.3
    spread: float = 0.2
    chunks: int = 16
    chunk: int = 4


WORLD = World()


def draw(key, count: int, world: World = WORLD) -> ttt.Chunk:
    """`count` documents, half of them loud: chunks `[count, chunks, chunk]` of points.

    Points lie on a circle, so no chunk is ever steeper than `2 * loud ** 2`.
    """
    keys = jax.random.split(key, 2)
    is_loud = jnp.arange(count) % 2 == 0
    shape = (count, world.chunks, world.chunk)
    angle = jax.random.uniform(keys[0], shape, maxval=2 * jnp.pi)
    size = jnp.where(is_loud, world.loud, world.quiet)[:, None, None, None]
    x = jnp.sqrt(2.0) * size * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    targets = jnp.asarray([world.loud_target, world.quiet_target])
    own = world.spread * jax.random.normal(keys[1], (count, 2))
    a = jnp.where(is_loud[:, None], targets[0], targets[1]) + own
    return ttt.Chunk(x, jnp.einsum("ntbk,nk->ntb", x, a), jnp.ones(shape, bool))


def squared_error(fast, chunk: ttt.Chunk, states):
    """Half the mean squared error of a chunk, as `ttt_core.inner_step` wants a loss."""
    error = (chunk.inputs @ fast - chunk.targets) ** 2 / 2
    return jnp.mean(error), (error, states)


def read(start, document: ttt.Chunk, rate, through=1.0) -> ttt.Report:
    """Read one document from `start [2]`, learning from every chunk.

    `through`: the share of the derivative that passes through the inner gradient; 1 is
    second order, 0 is first.
    """
    step = partial(
        ttt.inner_step,
        loss=squared_error,
        rule=FirstOrder(SGD(), through),
        lr=rate,
        clip=jnp.inf,
        origin=start,
    )
    return ttt.adapt(ttt.Learner(start, (), ()), document, step)[1]


@jax.jit
def mean_loss(start, documents: ttt.Chunk, rate, through=1.0):
    """The outer loss: the mean over documents and chunks, read from `start`."""
    one = lambda document: read(start, document, rate, through)
    return jnp.mean(jax.vmap(one)(documents).nll)


_gradient = jax.jit(jax.grad(mean_loss))


def gradient(start, documents: ttt.Chunk, rate, order: str):
    """The gradient of the outer loss at `start [2]`, of one of the three orders."""
    return _gradient(start, documents, *_knobs(rate, order))


def _knobs(rate, order: str):
    """An order as two numbers, so that one compiled program serves all three."""
    check_order(order)
    learns, through = float(order != "none"), float(order != "first")
    return jnp.asarray(rate, float) * learns, jnp.asarray(through)


@jax.jit
def loss_by_chunk(start, documents: ttt.Chunk, rate):
    """Mean loss of the first chunk, the second, ...: `[chunks]`."""
    reports = jax.vmap(lambda document: read(start, document, rate))(documents)
    return jnp.mean(reports.nll, axis=(0, 2))


@jax.jit
def landscape(documents: ttt.Chunk, rate, xs, ys):
    """The outer loss at every start `(x, y)` of a grid, `[len(ys), len(xs)]`."""
    at = lambda x, y: mean_loss(jnp.stack([x, y]), documents, rate)
    return jax.vmap(lambda y: jax.vmap(lambda x: at(x, y))(xs))(ys)


def resting_point(documents: ttt.Chunk, rate, order: str) -> np.ndarray:
    """The start at which descent by that gradient comes to rest, `[2]`.

    In this world the gradient is a linear function of the start, so three of its values
    determine where the gradient is zero.
    """
    points = jnp.asarray([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    grads = [np.asarray(gradient(p, documents, rate, order)) for p in points]
    slope = np.stack([grads[1] - grads[0], grads[2] - grads[0]], axis=1)
    return np.linalg.solve(slope, -grads[0])


@dataclass(frozen=True)
class View:
    """The landscape of starts at one inner rate, and where three gradients lead.

    `loss [len(ys), len(xs)]`: the outer loss. `gradients[order] [2]`: taken at `start
    [2]`. `rests[order] [2]`: where descent by that gradient comes to rest.
    """

    rate: float
    xs: np.ndarray
    ys: np.ndarray
    loss: np.ndarray
    start: np.ndarray
    gradients: dict[str, np.ndarray]
    rests: dict[str, np.ndarray]


def view(documents: ttt.Chunk, rate: float, start, *, size: int = 41) -> View:
    """Look at all starts at once, and from `start [2]` in three directions."""
    xs, ys = jnp.linspace(-1.4, 1.4, size), jnp.linspace(-0.8, 1.1, size)
    rate, start = jnp.asarray(rate), jnp.asarray(start)
    return View(
        float(rate),
        np.asarray(xs),
        np.asarray(ys),
        np.asarray(landscape(documents, rate, xs, ys)),
        np.asarray(start),
        {o: np.asarray(gradient(start, documents, rate, o)) for o in ORDERS},
        {o: resting_point(documents, rate, o) for o in ORDERS},
    )


@dataclass(frozen=True)
class Trained:
    """Starts found by meta-training, by order.

    `starts[order] [seeds, 2]`. `loss[order] [seeds]`: on one set of held-out documents,
    read with learning. `by_chunk[order] [seeds, chunks]`: the same, chunk by chunk.
    """

    starts: dict[str, np.ndarray]
    loss: dict[str, np.ndarray]
    by_chunk: dict[str, np.ndarray]

    def excess(self, order: str) -> tuple[float, float]:
        """Extra loss of an order's start over second order's, and its half-width.

        The mean over seeds, which are paired, and half its 95 % interval.
        """
        from scipy.stats import t

        extra = self.loss[order] - self.loss["second"]
        half = t.ppf(0.975, len(extra) - 1) * extra.std(ddof=1) / len(extra) ** 0.5
        return float(extra.mean()), float(half)


def meta_train(
    key,
    *,
    rate: float,
    seeds: int = 8,
    steps: int = 200,
    batch: int = 16,
    held_out: int = 1000,
    world: World = WORLD,
) -> Trained:
    """Meta-train a start by each of the three gradients, from several seeds.

    All orders of a seed begin at the same random start and see the same documents. They
    use plain descent whose rate falls linearly to zero, and are tested on the same
    held-out documents, with learning on.
    """
    keys = jax.random.split(key, 3)
    first = jax.random.normal(keys[0], (seeds, 2))
    tests = draw(keys[1], held_out, world)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, None, None))
    def run(start, key, rate, through):
        def step(start, i):
            documents = draw(jax.random.fold_in(key, i), batch, world)
            lr = 2.0 * (1 - i / steps)
            return start - lr * _gradient(start, documents, rate, through), None

        return jax.lax.scan(step, start, jnp.arange(steps))[0]

    seed_keys = jax.random.split(keys[2], seeds)
    starts = {o: run(first, seed_keys, *_knobs(rate, o)) for o in ORDERS}
    curves = {
        order: np.asarray(jax.vmap(lambda s: loss_by_chunk(s, tests, rate))(found))
        for order, found in starts.items()
    }
    return Trained(
        {order: np.asarray(found) for order, found in starts.items()},
        {order: curve.mean(axis=1) for order, curve in curves.items()},
        curves,
    )
