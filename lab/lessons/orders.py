"""Three gradients of one loop: which paths do we follow back from the outer loss?

    second   through everything: the paper's meta-gradient (equation 6)
    first    the inner gradient counts as a constant: the loss sees the adapted weights,
             but not that another start would have learned something else
    none     no inner loop at all: the loss of the weights as they are

`with_order` returns the model whose plain `ttt_core.meta_loss` has that gradient, so
that the three differ in one place and share all code. First order needs one
`stop_gradient` in the update rule.
"""

import dataclasses
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import ttt_core as ttt
from ttt_core.rules import AbstractRule
from ttt_core.shapes import Scalar


ORDERS = ("second", "first", "none")


class FirstOrder(AbstractRule):
    """A rule that steps by the same gradients and stops derivatives through them.

    `through`: the share of the derivative that passes; 1 would be second order again.
    """

    rule: AbstractRule
    through: Scalar = 0.0

    def init(self, fast):
        return self.rule.init(fast)

    def step(self, grads, rule_state, fast, lr):
        def stop(g):
            through = jnp.asarray(self.through, g.dtype)
            return through * g + jax.lax.stop_gradient((1 - through) * g)

        return self.rule.step(jax.tree.map(stop, grads), rule_state, fast, lr)


def with_order(model: ttt.Transformer, order: str) -> ttt.Transformer:
    """The same weights, in a model whose `meta_loss` has a gradient of that order.

    The losses of "second" and "first" are equal, bit for bit; the loss of "none" is the
    frozen twin's.

    **Raises** `ValueError` for a word that is not in `ORDERS`.
    """
    check_order(order)
    if order == "none":
        return ttt.without_learning(model)
    if order == "first":
        return dataclasses.replace(model, rule=FirstOrder(model.rule))
    return model


def check_order(order: str):
    """Check the name of an order.

    **Raises** `ValueError` for a word that is not in `ORDERS`.
    """
    if order not in ORDERS:
        raise ValueError(f"`order` must be one of {', '.join(ORDERS)}: got {order!r}.")


def gradient(model: ttt.Transformer, order: str, tokens, rate: Scalar = 1.0):
    """Loss and gradient of `meta_loss` on one sequence: `(loss, (fast, slow))`.

    The function is compiled once for each order.
    """
    rate = jnp.asarray(rate, model.final_norm.weight.dtype)
    return _gradient(model, order, tokens, rate)


@eqx.filter_jit
def _gradient(model, order, tokens, rate):
    def loss(model):
        return ttt.meta_loss(with_order(model, order), tokens, rate=rate)[0]

    value, grads = eqx.filter_value_and_grad(loss)(model)
    return value, ttt.split(grads)


@dataclass(frozen=True)
class Angles:
    """The two cheaper gradients against the true one, at each inner rate `[n]`.

    `cosine[order][part]` and `length[order][part]`: `part` is "fast" (W0) or "slow"
    (everything else); `length` is relative to the length of the second-order gradient.
    """

    rates: np.ndarray
    cosine: dict[str, dict[str, np.ndarray]]
    length: dict[str, dict[str, np.ndarray]]


def angles(model: ttt.Transformer, tokens, rates) -> Angles:
    """Compare the three gradients on one sequence while the inner rate is turned up."""
    rates = np.asarray(rates, float)
    rows = {order: [] for order in ORDERS}
    for rate in rates:
        for order in ORDERS:
            _, parts = gradient(model, order, tokens, rate)
            rows[order].append([_flat(part) for part in parts])

    def measure(order, how):
        pairs = list(zip(rows[order], rows["second"], strict=True))
        columns = ("fast", "slow")
        return {
            name: np.array([how(other[i], true[i]) for other, true in pairs])
            for i, name in enumerate(columns)
        }

    others = ORDERS[1:]
    return Angles(
        rates,
        {order: measure(order, cosine) for order in others},
        {order: measure(order, _relative_length) for order in others},
    )


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two vectors, 1 = the same direction."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _relative_length(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a) / np.linalg.norm(b))


def _flat(tree) -> np.ndarray:
    leaves = [np.asarray(a, np.float64).ravel() for a in jax.tree.leaves(tree)]
    return np.concatenate(leaves)


def central_difference(function, point, direction, steps) -> np.ndarray:
    """`(f(x + h d) - f(x - h d)) / 2h` for each `h`: the slope a gradient must predict.

    `point`, `direction`: trees of one shape. `function`: maps such a tree to a number.
    `steps`: the widths `h`.
    """

    def at(h):
        move = lambda p, d: p + jnp.asarray(h, p.dtype) * d
        return float(function(jax.tree.map(move, point, direction)))

    return np.array([(at(h) - at(-h)) / (2 * h) for h in steps])


def along(grads, direction) -> float:
    """The slope that a gradient predicts in a direction: their inner product."""
    products = jax.tree.map(lambda g, d: jnp.sum(g * d), grads, direction)
    return float(sum(jax.tree.leaves(products)))
