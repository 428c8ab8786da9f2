"""One layer that learns while it reads: a memory of pairs, and a table of bytes.

A *memory* is one matrix. A gradient step on the squared error of pairs writes outer
products into the matrix, and reading it with a key is attention without a softmax
(`capacity` measures how many pairs fit).

A *table* is one matrix too: row `a` holds the logits of the byte after byte `a`. Plain
training finds the best table by counting (`table`). Learning on at test time is called
dynamic evaluation (Mikolov and others, 2010; Krause and others, 2018).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from lab.lessons.rates import Sweep


BYTES = 256
SMOOTH = 0.05  # added to every count: a byte that never followed stays possible


def as_bytes(text: str) -> np.ndarray:
    """The bytes of a text's UTF-8, `[bytes]` integers."""
    return np.frombuffer(text.encode(), np.uint8).astype(np.int32)


def table(texts: Iterable[str]) -> jax.Array:
    """The table that predicts `texts` best: logarithms of counts, `[256, 256]`.

    No descent on the loss ends lower; only `SMOOTH` stands between the table and the
    minimum.
    """
    counts = np.full((BYTES, BYTES), SMOOTH)
    for text in texts:
        ids = as_bytes(text)
        np.add.at(counts, (ids[:-1], ids[1:]), 1)
    share = counts / counts.sum(axis=1, keepdims=True)  # [byte, next byte]
    return jnp.asarray(np.log(share), jnp.float32)


def pairs_of(ids, chunk: int) -> tuple[jax.Array, jax.Array]:
    """Bytes and the bytes after them, `[chunks, chunk]` each; a rest is left out."""
    count = (len(ids) - 1) // chunk * chunk
    rows = (ids[:count], ids[1 : count + 1])
    return tuple(jnp.asarray(row).reshape(-1, chunk) for row in rows)


def nll(weights, x, y):
    """Nats of each next byte `y` after byte `x`, `[chunk]`."""
    logits = jax.nn.log_softmax(weights[x])  # [chunk, 256]
    return -jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]


def loss(weights, x, y):
    """Mean nats of a chunk."""
    return jnp.mean(nll(weights, x, y))


@dataclass(frozen=True)
class OneStep:
    """Nats saved by a single step at each of `rates [n]`.

    `taught [n]`: on the chunk that the step learned from. `after [n]`: on the next one.
    """

    rates: np.ndarray
    taught: np.ndarray
    after: np.ndarray


def one_step(start, ids, rates, chunk: int) -> OneStep:
    """What one step saves, the mean over all chunks; every step begins at `start`."""
    x, y = pairs_of(ids, chunk)

    @jax.jit
    def saved(rate):
        def at(x, y, next_x, next_y):
            moved = start - rate * jax.grad(loss)(start, x, y)
            gain = lambda x, y: loss(start, x, y) - loss(moved, x, y)
            return gain(x, y), gain(next_x, next_y)

        taught, after = jax.lax.map(
            lambda row: at(*row), (x[:-1], y[:-1], x[1:], y[1:])
        )
        return jnp.mean(taught), jnp.mean(after)

    found = np.array([saved(float(rate)) for rate in rates])  # [n, 2]
    return OneStep(np.asarray(rates, float), found[:, 0], found[:, 1])


@jax.jit
def read(start, x, y, rate):
    """Dynamic evaluation: score a chunk, then step; `(weights, losses [chunks])`."""

    def step(weights, chunk):
        value, grads = jax.value_and_grad(loss)(weights, *chunk)
        return weights - rate * grads, value

    return jax.lax.scan(step, start, (x, y))


def sweep(start, ids, rates, chunk: int) -> Sweep:
    """The same bytes read from `start`, once at each rate."""
    x, y = pairs_of(ids, chunk)
    runs = [read(start, x, y, float(rate)) for rate in rates]
    norm = jnp.linalg.norm(start)
    drift = [float(jnp.linalg.norm(end - start) / norm) for end, _ in runs]
    return Sweep(
        np.asarray(rates, float),
        np.stack([np.asarray(losses) for _, losses in runs]),
        np.asarray(read(start, x, y, 0.0)[1]),
        np.repeat(np.array(drift)[:, None], len(x), axis=1),
        chunk,
    )


@dataclass(frozen=True)
class Capacity:
    """Squared error of recall by the number of pairs stored, `[n]` each.

    `once`: all pairs in one step, at the rate that makes each pair's own term right.
    `one_by_one`: a step for each pair in turn, each after looking. `width`: numbers in
    a key. A value has length 1, so an error of 1 is as bad as no answer.
    """

    width: int
    counts: np.ndarray
    once: np.ndarray
    one_by_one: np.ndarray


def draw_pairs(key, count: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Random keys and values of length 1, `[count, width]` each."""
    both = jax.random.normal(key, (2, count, width))
    both = both / jnp.linalg.norm(both, axis=-1, keepdims=True)
    return both[0], both[1]


def capacity(key, counts, *, width: int = 64, draws: int = 16) -> Capacity:
    """How well a matrix `[width, width]` gives back what it was told, by count."""
    most = max(counts)
    drawn = draw_pairs(key, draws * most, width)
    keys, values = (np.asarray(one).reshape(draws, most, width) for one in drawn)
    told = [(keys[:, :n], values[:, :n]) for n in counts]
    once = [recall_error(k.transpose(0, 2, 1) @ v, k, v) for k, v in told]
    written = _in_turn(keys, values)
    in_turn = [
        recall_error(written[n], k, v) for n, (k, v) in zip(counts, told, strict=True)
    ]
    return Capacity(width, np.asarray(counts), np.array(once), np.array(in_turn))


def recall_error(weights, keys, values) -> float:
    """Mean squared error of answers: `[draws, width, width]`, `[draws, n, width]`."""
    return float(np.mean(np.sum((keys @ weights - values) ** 2, axis=-1)))


def _in_turn(keys, values) -> list[np.ndarray]:
    """The weights after no pair, one pair, two: each step corrects the answer then."""
    draws, count, width = keys.shape
    found = [np.zeros((draws, width, width), keys.dtype)]
    for i in range(count):
        key, value = keys[:, i, :, None], values[:, i, None, :]
        error = value - key.transpose(0, 2, 1) @ found[-1]  # [draws, 1, width]
        found.append(found[-1] + key @ error)
    return found
