"""Inner update rules: how a chunk's (already clipped) gradient changes fast weights.

A rule is a Module with two methods:

    init(fast)                                   -> rule_state
    step(grads, rule_state, fast, lr)            -> (fast, rule_state)

The paper's is `SGD`: `W <- W - lr * g` (equation 5; the authors' code clips the
gradient to a global norm first, see `ttt_core.inner.clip_by_norm`). Arrays that a rule
holds are slow weights and are meta-trained with the rest (`BlockRates`). Optax supplies
the classical ones.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from ttt_core.shapes import PyTree, Scalar


class AbstractRule(eqx.Module):
    """The interface of an inner update rule, with the types of every rule."""

    @abc.abstractmethod
    def init(self, fast: PyTree) -> PyTree:
        """The rule's state before the first chunk."""

    @abc.abstractmethod
    def step(
        self, grads: PyTree, rule_state: PyTree, fast: PyTree, lr: Scalar
    ) -> tuple[PyTree, PyTree]:
        """New fast weights and rule state; `grads` has the shapes of `fast`."""


class SGD(AbstractRule):
    """The paper's rule: `W <- W - lr * g`."""

    def init(self, fast):
        del fast
        return ()

    def step(self, grads, rule_state, fast, lr):
        return _descend(fast, grads, lr), rule_state


class BlockRates(AbstractRule):
    """`W_l <- W_l - lr * exp(log_rate_l) * g_l`: a meta-trained rate for each block."""

    log_rate: Float[Array, " fast_blocks"]

    def init(self, fast):
        del fast
        return ()

    def step(self, grads, rule_state, fast, lr):
        def scale(g):
            factor = jnp.exp(self.log_rate).astype(g.dtype)
            return g * factor.reshape(-1, *[1] * (g.ndim - 1))  # [fast_blocks, 1, 1]

        return _descend(fast, jax.tree.map(scale, grads), lr), rule_state


class Optax(AbstractRule):
    """Any Optax transformation whose updates are to be multiplied by the inner rate."""

    transform: optax.GradientTransformation = eqx.field(static=True)

    def init(self, fast):
        return self.transform.init(fast)

    def step(self, grads, rule_state, fast, lr):
        with jax.numpy_dtype_promotion("standard"):
            direction, rule_state = self.transform.update(grads, rule_state, fast)
        return _descend(fast, direction, lr), rule_state


def _descend(fast: PyTree, direction: PyTree, lr: Scalar) -> PyTree:
    return jax.tree.map(
        lambda w, d: w - jnp.asarray(lr, w.dtype) * d.astype(w.dtype), fast, direction
    )


RULES = {
    "sgd": lambda fast_blocks: SGD(),
    "block-rates": lambda fast_blocks: BlockRates(jnp.zeros(fast_blocks)),
    "momentum": lambda fast_blocks: Optax(optax.trace(decay=0.9)),
    "normalised": lambda fast_blocks: Optax(optax.normalize_by_update_norm()),
    "adam": lambda fast_blocks: Optax(optax.scale_by_adam(b1=0.9, b2=0.95)),
}
