"""Analysis of the loop: orders of the gradient, the two-number world, rates, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ttt_core as ttt
from lab import quick
from lab.lessons import orders, rates, remat, two_kinds
from lab.plots import lessons as gradient_plots
from lab.plots import rates as rate_plots


SMALL = two_kinds.World(chunks=4)


@pytest.fixture(scope="module")
def world():
    return two_kinds.draw(jax.random.key(0), 32, SMALL)


@pytest.fixture(scope="module")
def mini():
    config = ttt.ModelConfig(
        vocab=17,
        bos=16,
        d_model=8,
        layers=2,
        heads=2,
        d_ff=12,
        fast_blocks=1,
        window=6,
        chunk=4,
        init_std=0.3,
    )
    return config.build(key=jax.random.key(0))


@pytest.mark.parametrize("order", orders.ORDERS)
def test_only_the_full_gradient_is_what_differences_measure(order):
    with jax.enable_x64(True):
        documents = two_kinds.draw(jax.random.key(0), 4, SMALL)
        start, d = jnp.array([-0.4, 0.9]), jnp.array([0.6, 0.8])
        f = lambda w: two_kinds.mean_loss(w, documents, 0.8)
        measured = orders.central_difference(f, start, d, [1e-2])[0]
        promised = orders.along(two_kinds.gradient(start, documents, 0.8, order), d)
        right = abs(promised - measured) < 1e-10 * abs(measured)
        assert right == (order == "second")


def test_first_order_has_the_full_loss_and_another_gradient(mini):
    tokens = jnp.asarray([16, *range(12)], jnp.int32)
    found = {o: orders.gradient(mini, o, tokens) for o in orders.ORDERS}
    assert found["first"][0] == found["second"][0] != found["none"][0]
    parts = [found[o][1][0] for o in ("first", "second")]
    first, second = (np.asarray(jax.tree.leaves(part)[0]) for part in parts)
    assert np.abs(first - second).max() > 1e-6


def test_an_unknown_order_is_refused(mini):
    with pytest.raises(ValueError, match="second, first, none"):
        orders.with_order(mini, "third")


def test_without_learning_all_orders_rest_at_one_point(world):
    rests = [two_kinds.resting_point(world, 0.0, order) for order in orders.ORDERS]
    np.testing.assert_allclose(rests[1:], [rests[0]] * 2, atol=1e-4)


def test_only_the_full_gradient_rests_where_the_loss_is_lowest(world):
    look = two_kinds.view(world, 1.0, (0.0, 0.0), size=15)
    at = {
        order: float(two_kinds.mean_loss(jnp.asarray(rest, jnp.float32), world, 1.0))
        for order, rest in look.rests.items()
    }
    assert at["second"] < min(at["first"], at["none"])
    assert at["second"] <= look.loss.min()
    assert len(gradient_plots.landscapes([look, look]).data) == 2 * (1 + 2 * 3)


def test_meta_training_finds_the_resting_points(world):
    found = two_kinds.meta_train(
        jax.random.key(1), rate=1.0, seeds=3, steps=60, world=SMALL, held_out=200
    )
    assert found.starts["second"].shape == (3, 2)
    assert found.by_chunk["none"].shape == (3, SMALL.chunks)
    np.testing.assert_allclose(
        found.starts["none"].mean(axis=0),
        two_kinds.resting_point(world, 1.0, "none"),
        atol=0.2,
    )
    gradient_plots.trained(found).to_json()


def test_memory_follows_the_law_of_remat():
    memory = remat.matrix_memory(chunks=16, choices=(None, 1, 4), width=128)
    copies = {n: size / memory.copy for n, size in memory.temporary.items()}
    assert copies[4] < copies[1] < copies[None]
    assert abs(copies[4] - (16 / 4 + 4)) < 8
    gradient_plots.memory(memory).to_json()


def test_a_sweep_over_rates_begins_at_the_frozen_twin(mini):
    tokens = np.arange(26) % 16
    found = rates.sweep(mini, tokens, [0.0, 1.0])
    assert found.loss.shape == found.drift.shape == (2, 6)
    np.testing.assert_allclose(found.gain[0], 0, atol=1e-5)
    np.testing.assert_allclose(found.gain[:, 0], 0, atol=1e-5)
    assert found.drift[0].max() == 0 < found.drift[1].min()
    mean, half = found.mean_gain()
    assert mean.shape == half.shape == (2,)
    for draw in (rate_plots.gain_by_rate, rate_plots.gain_by_chunk):
        draw(found).to_json()


def test_quick_mode_is_asked_for_by_one_variable(monkeypatch):
    monkeypatch.delenv("TTT_LAB_QUICK", raising=False)
    assert quick.quick(64, 4) == 64
    monkeypatch.setenv("TTT_LAB_QUICK", "1")
    assert quick.quick(64, 4) == 4
