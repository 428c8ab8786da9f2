"""Fast weights as a bare pytree: out, in, and measured."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import MINI, build, same_bits

import ttt_core as ttt
from ttt_core import fast


@pytest.fixture(scope="module")
def mini():
    return build()


def test_merge_is_the_inverse_of_split(mini):
    fast, slow = ttt.split(mini)
    assert same_bits(ttt.merge(fast, slow), mini)
    assert len(jax.tree.leaves(fast)) == 3
    assert len(jax.tree.leaves(slow)) == len(jax.tree.leaves(mini)) - 3
    assert all(leaf.shape[0] == MINI.fast_blocks for leaf in jax.tree.leaves(fast))


def test_other_weights_can_be_the_fast_ones(mini):
    where = lambda model: model.final_norm
    fast, slow = ttt.split(mini, where)
    assert same_bits(fast, mini.final_norm)
    assert same_bits(ttt.merge(fast, slow, where), mini)


def test_a_where_that_selects_nothing_is_refused(mini):
    with pytest.raises(ValueError, match="`where` selected no array.*fast_mlps"):
        ttt.split(mini, lambda model: model.head)


def test_a_model_without_fast_blocks_has_the_empty_tree():
    model = build(fast_blocks=0)
    fast, slow = ttt.split(model)
    assert fast == () and same_bits(ttt.merge(fast, slow), model)


def test_fast_weights_of_another_structure_are_refused(mini):
    _, slow = ttt.split(mini)
    with pytest.raises(ValueError, match="do not fit this model.*`split`"):
        ttt.merge({"gate": jnp.ones(3)}, slow)


def test_fast_weights_move_between_models(mini):
    other = build(seed=1)
    fast, _ = ttt.split(other)
    moved = ttt.merge(fast, ttt.split(mini)[1])
    assert same_bits(ttt.fast_mlps(moved), ttt.fast_mlps(other))
    assert same_bits(moved.embed, mini.embed)


def test_the_frozen_twin_has_the_same_weights_and_learns_nothing(mini):
    twin = ttt.without_learning(mini)
    assert same_bits(twin, mini)
    assert twin.config.inner.lr == 0 and not twin.config.learns
    assert twin.config.replace(lr=MINI.inner.lr) == mini.config


def test_drift_is_relative_and_per_block():
    with jax.enable_x64(True):
        origin = ttt.fast_mlps(build(fast_blocks=2))
        scale = jnp.asarray([0.0, 0.5]).reshape(2, 1, 1)
        moved = jax.tree.map(lambda w: w * (1 + scale), origin)
        np.testing.assert_allclose(ttt.drift(moved, origin), [0, 0.5], atol=1e-12)
        assert ttt.drift((), ()).shape == (0,)


def test_a_change_added_to_its_origin_is_where_it_led(mini):
    start = ttt.fast_mlps(mini)
    after = jax.tree.map(lambda w: w * 3, start)
    change = fast.subtract(after, start)
    half = fast.add(start, fast.scale(change, 0.5))
    for w, w0 in zip(*map(jax.tree.leaves, (half, start)), strict=True):
        np.testing.assert_allclose(w, 2 * w0, rtol=1e-6)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(half))


@pytest.mark.parametrize("rank", [1, 3])
def test_thin_factors_give_the_nearest_matrix_of_their_rank(rank, mini):
    tree = ttt.fast_mlps(mini)
    for whole, left, right in zip(
        *map(jax.tree.leaves, (tree, *fast.low_rank(tree, rank))), strict=True
    ):
        assert left.shape[-1] == right.shape[-2] == rank
        rest = np.linalg.svd(np.asarray(whole), compute_uv=False)[..., rank:]
        away = np.linalg.norm(np.asarray(whole - left @ right), axis=(1, 2))
        np.testing.assert_allclose(away, np.sqrt((rest**2).sum(-1)), rtol=1e-4)


def test_all_ranks_give_the_matrix_back(mini):
    tree = ttt.fast_mlps(mini)
    left, right = fast.low_rank(tree, 1000)
    for whole, a, b in zip(*map(jax.tree.leaves, (tree, left, right)), strict=True):
        np.testing.assert_allclose(a @ b, whole, atol=1e-5)
    with pytest.raises(ValueError, match="`rank` must be >= 1: got 0"):
        fast.low_rank(tree, 0)


def test_the_norm_is_differentiable_at_zero():
    zeros = {"a": jnp.zeros(3), "b": jnp.zeros((2, 2))}
    grads = eqx.filter_grad(ttt.global_norm)(zeros)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(grads))
    assert (
        float(ttt.global_norm({"a": jnp.asarray([3.0]), "b": jnp.asarray([4.0])})) == 5
    )
