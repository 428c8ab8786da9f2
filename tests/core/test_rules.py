"""Update rules behind one interface."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import build, meta_grad, same_bits, text, with_bos

import ttt_core as ttt
from ttt_core.rules import RULES, SGD, BlockRates, Optax


FAST = {"w": jnp.arange(6.0).reshape(2, 3), "v": jnp.ones((2, 1, 2))}
GRADS = jax.tree.map(lambda w: w + 1, FAST)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_keeps_shapes_and_dtypes_and_is_still_at_rate_zero(name):
    rule = RULES[name](2)
    state = rule.init(FAST)
    fast, after = rule.step(GRADS, state, FAST, 0.1)
    shape = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)
    assert shape((fast, after)) == shape((FAST, state))
    assert not same_bits(fast, FAST)
    still, _ = rule.step(GRADS, state, FAST, 0.0)
    assert same_bits(still, FAST)


def test_the_papers_rule_is_plain_descent():
    fast, state = SGD().step(GRADS, (), FAST, 0.5)
    np.testing.assert_allclose(fast["w"], FAST["w"] - 0.5 * GRADS["w"])
    assert state == ()


def test_block_rates_scale_each_block_by_its_own():
    rule = BlockRates(jnp.log(jnp.asarray([1.0, 3.0])))
    fast, _ = rule.step(GRADS, (), FAST, 0.5)
    np.testing.assert_allclose(fast["w"][0], FAST["w"][0] - 0.5 * GRADS["w"][0])
    moved = FAST["w"][1] - 1.5 * GRADS["w"][1]
    np.testing.assert_allclose(fast["w"][1], moved, rtol=1e-6)


def test_momentum_remembers():
    rule = RULES["momentum"](2)
    assert isinstance(rule, Optax)
    once, state = rule.step(GRADS, rule.init(FAST), FAST, 1.0)
    twice, _ = rule.step(GRADS, state, once, 1.0)
    np.testing.assert_allclose(once["w"] - twice["w"], 1.9 * GRADS["w"], rtol=1e-6)


def test_a_rules_own_arrays_are_meta_trained_slow_weights():
    model = build(rule="block-rates", fast_blocks=2)
    fast, slow = ttt.split(model)
    assert jax.tree.leaves(slow.rule)
    _, grads = meta_grad(model, with_bos(model, text(14)))
    assert np.all(np.abs(grads.rule.log_rate) > 0)
