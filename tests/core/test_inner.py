"""The equation by itself: learning two numbers, no Transformer in sight."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import all_finite, same_bits

import ttt_core as ttt
from ttt_core.inner import clip_by_norm
from ttt_core.rules import RULES


pytestmark = pytest.mark.bits  # also compiled as people compile: `make slow`


def regression(fast, chunk, states):
    """Mean squared error of a line; `states` counts the chunks."""
    error = jnp.sum(fast["w"] * chunk.inputs, axis=-1) - chunk.targets
    weight = chunk.mask.astype(error.dtype)
    return jnp.sum(weight * error**2) / 4, (error**2, states + 1)


def chunks(n, slope=(2.0, -1.0)):
    inputs = np.random.default_rng(0).normal(size=(n, 4, 2)).astype(np.float32)
    targets = jnp.asarray(inputs @ np.asarray(slope, np.float32))
    return ttt.Chunk(jnp.asarray(inputs), targets, jnp.ones((n, 4), bool))


def learner(rule):
    fast = {"w": jnp.asarray([[0.1, 0.2]])}  # one fast block of two numbers
    return ttt.Learner(fast, rule.init(fast), jnp.asarray(0))


def step(rule="sgd", lr=0.1, clip=jnp.inf):
    rule = RULES[rule](1)
    start = learner(rule)
    knobs = {"rule": rule, "lr": lr, "clip": clip, "origin": start.fast}
    bound = functools.partial(ttt.inner_step, loss=regression, **knobs)
    return start, bound


def first(chunk):
    return jax.tree.map(lambda leaf: leaf[0], chunk)


def test_a_step_is_the_equation():
    start, bound = step(lr=0.1, clip=0.5)
    chunk = first(chunks(1))
    after, report = bound(start, chunk)
    w, x, y = (
        np.asarray(a, float) for a in (start.fast["w"], chunk.inputs, chunk.targets)
    )
    gradient = ((x @ w[0] - y)[:, None] * x).sum(0) * 2 / 4
    norm = np.linalg.norm(gradient)
    moved = 0.1 * gradient * min(1, 0.5 / norm)
    np.testing.assert_allclose(after.fast["w"][0], w[0] - moved, rtol=1e-6)
    np.testing.assert_allclose(report.grad_norm, norm, rtol=1e-6)
    np.testing.assert_allclose(report.update_norm, np.linalg.norm(moved), rtol=1e-5)
    np.testing.assert_allclose(report.loss, np.mean((x @ w[0] - y) ** 2), rtol=1e-6)
    drift = np.linalg.norm(moved) / np.linalg.norm(w)
    np.testing.assert_allclose(report.drift, [drift], rtol=1e-5)
    assert bool(report.learned) and not bool(report.refused) and int(after.states) == 1


@pytest.mark.parametrize("rule", RULES)
def test_adapting_on_a_repeated_chunk_lowers_its_loss(rule):
    start, bound = step(rule, lr=0.1)
    again = jax.tree.map(lambda leaf: jnp.repeat(leaf, 12, axis=0), chunks(1))
    _, reports = jax.jit(functools.partial(ttt.adapt, step=bound))(start, again)
    assert float(reports.loss[-1]) < 0.7 * float(reports.loss[0])
    assert bool(jnp.all(reports.learned)) and reports.drift.shape == (12, 1)


@pytest.mark.parametrize("remat", [None, 1, 2, 3, 9])
def test_adapt_is_the_loop_of_its_step_however_it_remembers(remat):
    start, bound = step()
    many = chunks(5)
    end, reports = ttt.adapt(start, many, bound, remat=remat)
    state, losses = start, []
    for i in range(5):
        state, report = bound(state, jax.tree.map(lambda leaf, i=i: leaf[i], many))
        losses.append(report.loss)
    np.testing.assert_allclose(end.fast["w"], state.fast["w"], rtol=1e-6)
    np.testing.assert_allclose(reports.loss, losses, rtol=1e-5)
    assert int(end.states) == 5 and reports.nll.shape == (5, 4)


def test_no_chunks_change_nothing():
    start, bound = step()
    end, reports = ttt.adapt(start, chunks(0), bound, remat=2)
    assert same_bits(end, start) and reports.loss.shape == (0,)


@pytest.mark.parametrize("lr", [np.inf, -np.inf, np.nan, 3e38])
def test_a_step_that_is_not_finite_is_refused(lr):
    start, bound = step("momentum", lr=lr)
    chunk = first(chunks(1, slope=(900.0, 900.0)))
    after, report = bound(start, chunk)
    assert bool(report.refused) and not bool(report.learned)
    assert same_bits((after.fast, after.rule_state), (start.fast, start.rule_state))
    assert int(after.states) == 1 and float(report.update_norm) == 0


@pytest.mark.parametrize("spoilt", ["inputs", "targets"])
def test_a_chunk_with_a_nan_is_refused_and_the_next_one_learned_from(spoilt):
    start, bound = step("adam")
    many = chunks(3)
    many = eqx.tree_at(
        lambda c: getattr(c, spoilt), many, replace_fn=lambda a: a.at[1].set(jnp.nan)
    )
    end, reports = ttt.adapt(start, many, bound)
    assert list(reports.refused) == [False, True, False]
    assert list(reports.learned) == [True, False, True]
    assert all_finite(end) and float(reports.drift[0, 0]) == float(reports.drift[1, 0])


@pytest.mark.parametrize("lr", [np.inf, np.nan, 3e38])
def test_a_refused_step_leaves_outer_gradients_finite(lr):
    start, bound = step(lr=lr)
    many = chunks(3, slope=(900.0, 900.0))

    def outer(fast):
        begin = ttt.Learner(fast, (), jnp.asarray(0))
        _, reports = ttt.adapt(begin, many, bound, remat=1)
        return jnp.sum(reports.nll)

    grads = jax.grad(outer)(start.fast)
    assert all_finite(grads) and float(jnp.abs(grads["w"]).max()) > 0


def test_clipping_shortens_what_is_longer_and_nothing_else():
    tree = {"a": jnp.asarray([3.0, 0.0]), "b": jnp.asarray([[4.0]])}
    clipped = clip_by_norm(tree, 1.0)
    np.testing.assert_allclose(clipped["a"], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped["b"], [[0.8]], rtol=1e-6)
    for clip in (5.0, 100.0, jnp.inf):
        assert same_bits(clip_by_norm(tree, clip), tree)
    zeros = jax.tree.map(jnp.zeros_like, tree)
    slope = jax.jacobian(lambda t: clip_by_norm(t, 1.0))(zeros)
    assert all_finite(slope)
