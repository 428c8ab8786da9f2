"""Texts that each follow a rule of their own: can weights find the rule in time?

The paper's toy experiment, made small enough to train while you watch. A text is a walk
over 32 symbols. Each text draws its own *successor* of every symbol, and follows it
four times out of five; else any symbol may come. So nothing about a text can be known
before it is read, and all of it can be learned from its pairs of neighbours.

The models have no attention: without learning they see one symbol, which says nothing.
How well a text could be read at best is known exactly (`best`), because the rule by
which texts are made is known.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import ttt_core as ttt


@dataclass(frozen=True)
class World:
    """How texts are made: number of symbols, share of steps that follow the rule."""

    symbols: int = 32
    follow: float = 0.8
    length: int = 128

    @property
    def unknown(self) -> float:
        """Nats of a symbol to a reader that knows nothing."""
        return float(np.log(self.symbols))


WORLD = World()


def draw(seed, count: int, world: World = WORLD) -> np.ndarray:
    """`count` texts, each after the symbol that starts a text, `[count, length + 1]`.

    `seed`: a number, or a list of numbers.
    """
    random = np.random.default_rng(seed)
    rule = random.integers(world.symbols, size=(count, world.symbols))
    follow = random.random((count, world.length)) < world.follow
    other = random.integers(world.symbols, size=(count, world.length))
    rows = [np.full(count, world.symbols), other[:, 0]]
    for t in range(1, world.length):
        successor = rule[np.arange(count), rows[-1]]
        rows.append(np.where(follow[:, t], successor, other[:, t]))
    return np.stack(rows, axis=1).astype(np.int32)


def best(tokens: np.ndarray, world: World = WORLD) -> np.ndarray:
    """Nats of every symbol to the best possible reader, `[texts, length]`.

    That reader knows how texts are made and not their rules. For each symbol it holds a
    probability of each successor, and corrects it by Bayes' rule at every pair.
    """
    other = (1 - world.follow) / world.symbols
    hit, miss = np.log(world.follow + other), np.log(other)
    rows = np.arange(len(tokens))
    belief = np.zeros((len(tokens), world.symbols, world.symbols))  # logarithms
    found = [np.full(len(tokens), world.unknown)]
    for here, there in zip(tokens.T[1:-1], tokens.T[2:], strict=True):
        held = belief[rows, here]  # [texts, symbols]
        share = np.exp(held - held.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        found.append(-np.log(world.follow * share[rows, there] + other))
        belief[rows, here] += miss
        belief[rows, here, there] += hit - miss
    return np.stack(found, axis=1)


def config(chunk: int, lr: float = 1.0, world: World = WORLD) -> ttt.ModelConfig:
    """A block without attention whose MLP learns from every `chunk` symbols."""
    small = ttt.ModelConfig(
        vocab=world.symbols + 1,
        bos=world.symbols,
        d_model=32,
        layers=1,
        heads=1,
        d_ff=0,
        d_fast=64,
        fast_blocks=1,
        window=1,
        chunk=chunk,
        mixers=("none",),
        init_std=0.1,
    )
    return small.replace(lr=lr)


def as_learner(model: ttt.Transformer, chunk: int, lr: float) -> ttt.Transformer:
    """The same weights, learning from every `chunk` symbols at inner rate `lr`.

    >>> as_learner(model, 16, 1.0).config.chunk
    16
    """
    return dataclasses.replace(model, config=model.config.replace(chunk=chunk, lr=lr))


def read(model: ttt.Transformer, tokens: np.ndarray, rate: float = 1.0) -> np.ndarray:
    """Nats of every symbol while the model learns (or not), `[texts, length]`."""
    return np.asarray(_read(model, jnp.asarray(tokens), jnp.asarray(rate)), float)


@eqx.filter_jit
def _read(model, tokens, rate):
    one = lambda row: ttt.meta_loss(model, row, rate=rate)[1].nll
    return jax.vmap(one)(tokens)


def best_rate(model: ttt.Transformer, tokens: np.ndarray, rates) -> dict[float, float]:
    """Mean nats at each inner rate, the best rate first."""
    found = {rate: float(read(model, tokens, rate).mean()) for rate in rates}
    return dict(sorted(found.items(), key=lambda item: item[1]))


@dataclass(frozen=True)
class Snapshot:
    """A model after `step` outer steps.

    `learning`, `frozen [length]`: mean loss at each position of held-out texts, as the
    model is and with learning switched off.
    """

    step: int
    model: ttt.Transformer
    learning: np.ndarray
    frozen: np.ndarray


def look(step: int, model: ttt.Transformer, held_out: np.ndarray) -> Snapshot:
    """Read held-out texts with a model and with its frozen twin."""
    learning = read(model, held_out).mean(axis=0)
    frozen = read(ttt.without_learning(model), held_out).mean(axis=0)
    return Snapshot(step, model, learning, frozen)


def train(
    model: ttt.Transformer,
    held_out: np.ndarray,
    *,
    steps: int,
    keep: int = 10,
    batch: int = 16,
    peak: float = 5e-3,
    seed: int = 0,
    world: World = WORLD,
) -> Iterator[Snapshot]:
    """Train a model end to end, and look at it at the start and every `keep` steps.

    The loss is `ttt.meta_loss`, so a model that learns while it reads is trained to do
    so, and one that does not is trained plainly. Every batch holds new texts.
    """
    rate = optax.warmup_cosine_decay_schedule(0, peak, steps // 10, steps, peak / 50)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def outer_step(model, state, tokens):
        return ttt.meta_step(model, state, tokens, optimizer)[:2]

    yield look(0, model, held_out)
    for step in range(1, steps + 1):
        tokens = jnp.asarray(draw([seed, step], batch, world))
        model, state = outer_step(model, state, tokens)
        if step % keep == 0 or step == steps:
            yield look(step, model, held_out)


@dataclass(frozen=True)
class Progress:
    """Held-out loss over a training: `steps [n]`, the others `[n, length]`.

    `learning`: the model as it is. `frozen`: its twin, which does not learn.
    """

    steps: np.ndarray
    learning: np.ndarray
    frozen: np.ndarray


def progress(snapshots: list[Snapshot]) -> Progress:
    """The losses of snapshots, in order."""
    column = lambda name: np.stack([getattr(shot, name) for shot in snapshots])
    return Progress(column("step"), column("learning"), column("frozen"))


def saved(loss, floor, world: World = WORLD) -> float:
    """The share of what can be saved that a reader with mean `loss` does save.

    >>> saved(WORLD.unknown, 1.7), saved(1.7, 1.7)
    (0.0, 1.0)
    """
    return float((world.unknown - np.mean(loss)) / (world.unknown - np.mean(floor)))
