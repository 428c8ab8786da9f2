"""One inner step by the equation, plainly: an independent second computation.

    W <- W - eta * clip( grad_W  mean loss of the chunk )

A forward pass, `jax.grad`, and sums in float64 on the host. Nothing of `ttt_core.inner`
is used, so what agrees with this file is what the paper says (section 2.3, equation 5).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def plain_step(model) -> Callable:
    """A function that reads one chunk by the equation.

    It takes `(fast, rule_state, mixers, inputs [chunk], targets [chunk])` and returns
    `(numbers, fast, rule_state, mixers)`; `numbers` are the report's `loss` and
    `grad_norm`. A model that does not learn keeps its weights.
    """
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    import ttt_core as ttt
    from ttt_core.stream import run_blocks

    _, slow = ttt.split(model)

    def cost(fast, mixers, inputs, targets):
        logits, mixers = run_blocks(ttt.merge(fast, slow), mixers, inputs)
        chosen = jax.nn.log_softmax(logits)[jnp.arange(len(targets)), targets]
        return -jnp.mean(chosen), mixers

    gradient = eqx.filter_jit(jax.value_and_grad(cost, has_aux=True))
    inner = model.config.inner

    def step(fast, rule_state, mixers, inputs, targets):
        (loss, mixers), grads = gradient(fast, mixers, inputs, targets)
        length = norm(grads) if model.config.learns else 0.0
        if model.config.learns:
            factor = min(1.0, inner.clip / max(length, 1e-30))
            clipped = jax.tree.map(lambda g: g * jnp.asarray(factor, g.dtype), grads)
            fast, rule_state = _follow(model, clipped, rule_state, fast)
        said = {"loss": float(loss), "grad_norm": length}
        return said, fast, rule_state, mixers

    return step


def _follow(model, grads, rule_state, fast):
    """The inner rule's step: the paper's written out, any other by the rule itself."""
    import jax
    import jax.numpy as jnp

    lr = model.config.inner.lr
    if model.config.inner.rule != "sgd":
        return model.rule.step(grads, rule_state, fast, lr)
    return jax.tree.map(lambda w, g: w - jnp.asarray(lr, w.dtype) * g, fast, grads), ()


def moved(before, after, origin) -> dict[str, Any]:
    """How long a step was, and how far each fast block is from W0."""
    import jax

    rows = lambda tree: [np.asarray(a, np.float64) for a in jax.tree.leaves(tree)]
    norms = lambda tree: np.sqrt(
        sum((a**2).reshape(len(a), -1).sum(1) for a in rows(tree))
    )
    if not rows(origin):
        return {"update_norm": 0.0, "drift": np.zeros(0)}
    drift = norms(minus(after, origin)) / norms(origin)
    return {"update_norm": norm(minus(after, before)), "drift": drift}


def minus(a, b):
    """The difference of two trees, in float64."""
    import jax

    wide = lambda x: np.asarray(x, np.float64)
    return jax.tree.map(lambda x, y: wide(x) - wide(y), a, b)


def norm(tree) -> float:
    """Euclidean norm over all entries of a tree, in float64."""
    import jax

    leaves = [np.asarray(a, np.float64) for a in jax.tree.leaves(tree)]
    return math.sqrt(sum(float((a**2).sum()) for a in leaves))
