"""Update rules behind one interface."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import build, meta_grad, same_bits, text, with_bos

import ttt_core as ttt
from ttt_core.rules import (
    RULES,
    SGD,
    Anchored,
    BlockRates,
    Optax,
    Tilted,
    orthogonalise,
)


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


def test_a_tilted_objective_counts_surprising_tokens_more():
    nll, mask = (
        jnp.asarray([1.0, 3.0, 9.0, 2.0]),
        jnp.asarray([True, True, False, True]),
    )
    slope = jax.grad(Tilted(jnp.asarray(0.7)).objective)(nll, mask)
    share = np.exp(0.7 * np.asarray(nll)) * np.asarray(mask)
    np.testing.assert_allclose(slope, share / share.sum(), rtol=1e-5)
    assert float(Tilted(jnp.asarray(0.7)).objective(nll, ~mask & mask)) == 0


@pytest.mark.parametrize("tilt", [0.0, 5e-4, -5e-4])
def test_without_tilt_the_objective_is_the_papers(tilt):
    nll, mask = jnp.asarray([1.0, 3.0, 9.0, 2.0]), jnp.ones(4, bool)
    value, slope = jax.value_and_grad(Tilted(jnp.asarray(tilt)).objective)(nll, mask)
    np.testing.assert_allclose(value, 3.75, atol=4e-3 if tilt else 0)
    np.testing.assert_allclose(slope, 0.25, atol=1e-3 if tilt else 0)
    pull = jax.grad(lambda t: Tilted(t).objective(nll, mask))(jnp.asarray(tilt))
    np.testing.assert_allclose(pull, np.var(nll) / 2, rtol=1e-2)


def test_what_was_descended_is_not_reported_as_what_was_read():
    plain, tilted = build(lr=0.1), build(rule="tilted", lr=0.1)
    tilted = eqx.tree_at(lambda m: m.rule.tilt, tilted, jnp.asarray(2.0))
    reports = [
        ttt.read_chunk(one, ttt.init_state(one), text(4))[1] for one in (plain, tilted)
    ]
    np.testing.assert_allclose(reports[0].loss, reports[1].loss, rtol=1e-6)
    assert abs(float(reports[0].update_norm - reports[1].update_norm)) > 1e-4


@pytest.mark.parametrize("shape", [(2, 12, 30), (2, 30, 12)])
def test_muon_steps_as_far_in_every_direction(shape):
    grad = np.random.default_rng(0).normal(size=shape) * np.geomspace(1, 0.1, shape[-1])
    step = np.asarray(orthogonalise(jnp.asarray(grad, jnp.float32)))
    scale = max(1, shape[-1] / shape[-2]) ** 0.5
    values = np.linalg.svd(step / scale, compute_uv=False)
    assert values.min() > 0.5 and values.max() < 1.3
    u, _, vh = np.linalg.svd(grad, full_matrices=False)
    assert np.sum(step / scale * (u @ vh)) > 0.95 * np.linalg.norm(step / scale) * (
        np.linalg.norm(u @ vh)
    ), "the directions are the gradient's"


def test_muon_of_nothing_is_nothing_and_has_a_gradient():
    zero = jnp.zeros((1, 3, 4))
    assert np.all(np.asarray(orthogonalise(zero)) == 0)
    slope = jax.grad(lambda g: orthogonalise(g).sum())(zero)
    assert np.all(np.isfinite(slope))


def test_an_anchor_pulls_back_to_the_start():
    rule = Anchored(jnp.log(jnp.asarray([0.5, 0.1])))
    nothing = jax.tree.map(jnp.zeros_like, GRADS)
    origin = rule.init(FAST)
    away = jax.tree.map(lambda w: w + 1, FAST)
    fast, state = rule.step(nothing, origin, away, 0.5)
    np.testing.assert_allclose(fast["w"][0], FAST["w"][0] + 0.75, rtol=1e-6)
    np.testing.assert_allclose(fast["w"][1], FAST["w"][1] + 0.95, rtol=1e-6)
    assert same_bits(state, origin)


def test_a_rules_own_arrays_are_meta_trained_slow_weights():
    model = build(rule="block-rates", fast_blocks=2)
    fast, slow = ttt.split(model)
    assert jax.tree.leaves(slow.rule)
    _, grads = meta_grad(model, with_bos(model, text(14)))
    assert np.all(np.abs(grads.rule.log_rate) > 0)
