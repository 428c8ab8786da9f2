"""The outer loss: ragged ends, masks, rematerialisation, errors, training."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from minis import MINI, all_finite, build, largest, meta, meta_grad, text, with_bos

import ttt_core as ttt


@pytest.fixture(scope="module")
def mini():
    return build()


SLOW = [pytest.param(n, marks=pytest.mark.slow) for n in (1, 3)]


@pytest.mark.parametrize("remat", [2, *SLOW])
def test_every_remat_gives_the_same_loss_and_gradient(remat):
    with jax.enable_x64(True):
        model = build(layers=2)
        tokens = with_bos(model, text(22))  # five chunks and a ragged tail
        (loss, aux), grads = meta_grad(model, tokens, remat=None)
        (other, report), others = meta_grad(model, tokens, remat=remat)
        np.testing.assert_allclose(other, loss, rtol=0, atol=1e-12)
        np.testing.assert_allclose(report.nll, aux.nll, rtol=0, atol=1e-12)
        assert largest(jax.tree.map(jnp.subtract, grads, others)) < 1e-11


@pytest.mark.parametrize("seq", [1, 3, 4, 5, 9])
def test_the_loss_weighs_chunks_by_their_length(mini, seq):
    loss, aux = meta(mini, with_bos(mini, text(seq)))
    np.testing.assert_allclose(loss, jnp.mean(aux.nll), rtol=1e-6)
    assert aux.nll.shape == (seq,) and aux.loss.shape == (seq // MINI.chunk,)


def test_a_text_shorter_than_a_chunk_is_read_by_full_attention_too():
    model = build(mixers=("full",))
    tokens = with_bos(model, text(3))
    loss, aux = meta(model, tokens)
    _, longer = meta(model, with_bos(model, text(4)))
    np.testing.assert_allclose(aux.nll, longer.nll[:3], rtol=0, atol=1e-5)
    assert aux.loss.shape == (0,)


def test_a_model_without_fast_blocks_may_be_recomputed():
    model = build(fast_blocks=0)
    tokens = with_bos(model, text(14))
    loss, _ = meta(model, tokens)
    np.testing.assert_allclose(meta(model, tokens, remat=2)[0], loss, rtol=1e-6)


def test_masked_targets_do_not_count_but_have_values(mini):
    tokens, mask = with_bos(mini, text(10)), np.ones(10, bool)
    mask[[1, 2, 8, 9]] = False  # half of a chunk, and the whole tail
    loss, aux = meta(mini, tokens, mask)
    means = [aux.nll[np.array([0, 3])].mean(), aux.nll[4:8].mean()]
    np.testing.assert_allclose(loss, np.mean(means), rtol=1e-6)
    np.testing.assert_allclose(aux.loss, means, rtol=1e-6)
    assert all_finite(aux.nll) and aux.nll.shape == (10,)


def test_rate_is_a_factor_on_the_inner_rate():
    model = build(lr=0.5)
    tokens = with_bos(model, text(12))
    half = meta(model, tokens, rate=1.0)
    np.testing.assert_allclose(meta(build(lr=1.0), tokens, rate=0.5)[0], half[0])
    assert float(meta(model, tokens, rate=0.0)[0]) != float(half[0])


def test_an_infinite_rate_is_refused_and_its_gradients_are_finite(mini):
    tokens = with_bos(mini, text(20))
    for rate in (np.inf, np.nan):
        (loss, aux), grads = meta_grad(mini, tokens, rate=rate)
        assert bool(jnp.all(aux.refused)) and not bool(jnp.any(aux.learned))
        assert all_finite(grads) and largest(grads) > 0
        without, _ = meta(mini, tokens, rate=0.0)
        np.testing.assert_allclose(loss, without, rtol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "arguments", "sentence"),
    [
        ([16], {}, "at least 2 tokens .*got 1; is the document empty"),
        ([16, 17], {}, "token id 17 is outside of the vocabulary, 0 to 16"),
        ([16, -1], {}, "token id -1 is outside"),
        ([16, 1, 2], {"mask": [True]}, r"must be \[2\].*got \[1\]"),
        ([16, 1, 2], {"remat": 0}, "`remat` .* >= 1: got 0; use None"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(mini, tokens, arguments, sentence):
    if "mask" in arguments:
        arguments = {"mask": jnp.asarray(arguments["mask"])}
    with pytest.raises(ValueError, match=sentence):
        ttt.meta_loss(mini, jnp.asarray(tokens), **arguments)


def test_a_constant_text_may_be_closed_over_by_a_jitted_loss(mini):
    tokens = with_bos(mini, text(5))
    loss, _ = jax.jit(lambda rate: ttt.meta_loss(mini, tokens, rate=rate))(1.0)
    np.testing.assert_allclose(loss, meta(mini, tokens)[0], rtol=1e-6)


@pytest.mark.slow
def test_parts_of_a_batch_add_up_to_the_batch(mini):
    tokens = jnp.stack([with_bos(mini, text(8, seed=seed)) for seed in range(4)])
    gradient = eqx.filter_jit(ttt.meta_gradient)
    loss, reports, grads = gradient(mini, tokens)
    other, same, others = gradient(mini, tokens, accumulate=2)
    np.testing.assert_allclose(other, loss, rtol=1e-6)
    np.testing.assert_allclose(same.nll, reports.nll, rtol=0, atol=1e-5)
    assert largest(jax.tree.map(jnp.subtract, grads, others)) < 1e-5
    assert reports.nll.shape == (4, 8)
    singles = [meta(mini, row)[0] for row in tokens]
    np.testing.assert_allclose(loss, np.mean(singles), rtol=1e-6)
    with pytest.raises(ValueError, match="accumulate=3 with 4 sequences"):
        ttt.meta_gradient(mini, tokens, accumulate=3)


def test_masks_of_a_batch_go_with_their_sequences(mini):
    tokens = jnp.stack([with_bos(mini, text(8, seed=seed)) for seed in range(2)])
    mask = np.ones((2, 8), bool)
    mask[0, 1:3], mask[1, 4:] = False, False
    gradient = eqx.filter_jit(ttt.meta_gradient)
    loss, reports, grads = gradient(mini, tokens, mask=jnp.asarray(mask), accumulate=2)
    pairs = [meta_grad(mini, *row) for row in zip(tokens, mask, strict=True)]
    np.testing.assert_allclose(loss, np.mean([p[0][0] for p in pairs]), rtol=1e-6)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, pairs[0][1], pairs[1][1])
    assert largest(jax.tree.map(jnp.subtract, grads, mean)) < 1e-5
    assert abs(float(loss) - float(meta(mini, tokens[0])[0])) > 1e-3
    with pytest.raises(ValueError, match="got 1 rows with 2 sequences"):
        ttt.meta_gradient(mini, tokens, mask=jnp.asarray(mask[:1]))


def test_a_step_of_plain_descent_is_the_gradient(mini):
    """`apply_gradient`: what is added to the weights is what it says was added."""
    optimizer, grads = optax.sgd(0.5), jax.tree.map(jnp.ones_like, mini)
    opt_state = optimizer.init(eqx.filter(mini, eqx.is_inexact_array))
    model, _, updates = ttt.apply_gradient(mini, opt_state, grads, optimizer)
    np.testing.assert_array_equal(updates.embed, jnp.full_like(mini.embed, -0.5))
    np.testing.assert_array_equal(model.embed, mini.embed - 0.5)


def test_outer_steps_lower_the_loss(mini):
    optimizer = optax.adam(3e-3)
    tokens = jnp.stack([with_bos(mini, text(16, seed=seed)) for seed in range(2)])
    model, losses = mini, []
    opt_state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))
    step = eqx.filter_jit(ttt.meta_step)
    for _ in range(8):
        model, opt_state, loss, _ = step(model, opt_state, tokens, optimizer)
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.1
    assert jax.tree.structure(model) == jax.tree.structure(mini)
