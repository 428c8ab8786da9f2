"""Inner update rules: how a chunk's (already clipped) gradient changes fast weights.

A rule is a Module with two methods:

    init(fast)                                   -> rule_state
    step(grads, rule_state, fast, lr)            -> (fast, rule_state)

The paper's is `SGD`: `W <- W - lr * g` (equation 5; the authors' code clips the
gradient to a global norm first, see `ttt_core.inner.clip_by_norm`). Arrays that a rule
holds are slow weights and are meta-trained with the rest (`BlockRates`). Optax supplies
the classical ones.

A rule may also descend another objective than the mean over a chunk's tokens, so that
each token has a rate of its own (`Tilted`).
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

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

    @property
    def is_plain(self) -> bool:
        """Whether the objective is the paper's, the mean over a chunk's tokens."""
        return True

    def objective(
        self, nll: Float[Array, " chunk"], mask: Bool[Array, " chunk"]
    ) -> Float[Array, ""]:
        """What is descended on a chunk: the mean over its unmasked tokens."""
        return masked_mean(nll, mask)


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


class Tilted(SGD):
    """The paper's rule with a rate for each token, by how surprising it was.

    What is descended is `log(mean_t exp(tilt * nll_t)) / tilt` (tilted losses, Li and
    others, 2021), whose gradient is that of the mean with token `t` counted as
    `exp(tilt * nll_t)`, all as 1 on average. `tilt` is meta-trained; at 0, where it
    starts, the rule is the paper's.
    """

    tilt: Float[Array, ""]

    @property
    def is_plain(self):
        return False

    def objective(self, nll, mask):
        mean = masked_mean(nll, mask)
        above = jnp.where(mask, nll - mean, 0)
        tilt = self.tilt.astype(nll.dtype)
        is_small = jnp.abs(tilt) < 1e-3  # where a quotient of two zeros would be
        safe = jnp.where(is_small, 1, tilt)
        spread = masked_mean(jnp.exp(safe * above), mask)
        rest = jnp.log(jnp.where(jnp.any(mask), spread, 1)) / safe
        return mean + jnp.where(
            is_small, tilt * masked_mean(above * above, mask) / 2, rest
        )


class Muon(AbstractRule):
    """Muon (Jordan and others, 2024): a step of the same size in every direction.

    The gradient's momentum is made orthogonal: all its singular values become about 1
    (`orthogonalise`), so what few tokens said is written as firmly as what all did. A
    matrix `[in, out]` moves by `lr * sqrt(max(1, out / in))`; what is no matrix moves
    by its normalised gradient.
    """

    decay: float = eqx.field(static=True, default=0.9)

    def init(self, fast):
        return jax.tree.map(jnp.zeros_like, fast)

    def step(self, grads, rule_state, fast, lr):
        gather = lambda m, g: jnp.asarray(self.decay, m.dtype) * m + g.astype(m.dtype)
        momentum = jax.tree.map(gather, rule_state, grads)
        ahead = jax.tree.map(gather, momentum, grads)  # Nesterov's
        return _descend(fast, jax.tree.map(orthogonalise, ahead), lr), momentum


class Anchored(AbstractRule):
    """`W <- W - lr * g - lr * decay * (W - W0)`: what is not said again is forgotten.

    `log_decay [fast_blocks]` is meta-trained, from 0.01 on.
    """

    log_decay: Float[Array, " fast_blocks"]

    def init(self, fast):
        return fast

    def step(self, grads, rule_state, fast, lr):
        def pulled(g, w, origin):
            decay = jnp.exp(self.log_decay).astype(g.dtype)
            decay = decay.reshape(-1, *[1] * (g.ndim - 1))  # [fast_blocks, 1, 1]
            return g + decay * (w - origin).astype(g.dtype)

        pull = jax.tree.map(pulled, grads, fast, rule_state)
        return _descend(fast, pull, lr), rule_state


class Optax(AbstractRule):
    """Any Optax transformation whose updates are to be multiplied by the inner rate."""

    transform: optax.GradientTransformation = eqx.field(static=True)

    def init(self, fast):
        return self.transform.init(fast)

    def step(self, grads, rule_state, fast, lr):
        with jax.numpy_dtype_promotion("standard"):
            direction, rule_state = self.transform.update(grads, rule_state, fast)
        return _descend(fast, direction, lr), rule_state


def masked_mean(
    nll: Float[Array, "*n chunk"], mask: Bool[Array, "*n chunk"]
) -> Float[Array, "*n"]:
    """Mean over the unmasked tokens of the last axis, 0 where all are masked."""
    count = jnp.sum(mask, axis=-1).astype(nll.dtype)
    return jnp.sum(jnp.where(mask, nll, 0), axis=-1) / jnp.maximum(count, 1)


def _descend(fast: PyTree, direction: PyTree, lr: Scalar) -> PyTree:
    return jax.tree.map(
        lambda w, d: w - jnp.asarray(lr, w.dtype) * d.astype(w.dtype), fast, direction
    )


def orthogonalise(
    grad: Float[Array, "*n rows columns"], steps: int = 5
) -> Float[Array, "*n rows columns"]:
    """The nearest matrix with all singular values about 1, times its shape's factor.

    Newton and Schulz's iteration with Muon's coefficients, which bring each singular
    value into 0.7 to 1.2 in five steps and are products only, so that gradients pass
    through them. Zero stays zero.
    """
    dims = (-2, -1) if grad.ndim >= 3 else tuple(range(1, grad.ndim))
    length = jnp.sqrt(jnp.sum(grad * grad, dims, keepdims=True) + _TINY)
    x = grad / length
    if grad.ndim < 3:
        return x
    rows, columns = grad.shape[-2:]
    x = x.mT if rows > columns else x
    for _ in range(steps):
        gram = x @ x.mT  # [*n, small, small]
        x = _MUON[0] * x + (_MUON[1] * gram + _MUON[2] * gram @ gram) @ x
    x = x.mT if rows > columns else x
    return x * max(1.0, columns / rows) ** 0.5


_MUON = (3.4445, -4.7750, 2.0315)
_TINY = 1e-20  # under a root, whose gradient must exist at zero


RULES = {
    "sgd": lambda fast_blocks: SGD(),
    "block-rates": lambda fast_blocks: BlockRates(jnp.zeros(fast_blocks)),
    "momentum": lambda fast_blocks: Optax(optax.trace(decay=0.9)),
    "tilted": lambda fast_blocks: Tilted(jnp.zeros(())),
    "anchored": lambda fast_blocks: Anchored(jnp.full(fast_blocks, math.log(0.01))),
    "muon": lambda fast_blocks: Muon(),
    "factored": lambda fast_blocks: Optax(
        optax.scale_by_factored_rms(factored=True, decay_rate=0.8)
    ),
    "normalised": lambda fast_blocks: Optax(optax.normalize_by_update_norm()),
    "adam": lambda fast_blocks: Optax(optax.scale_by_adam(b1=0.9, b2=0.95)),
}
