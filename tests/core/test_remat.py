"""What the backward pass keeps: products, but neither logits nor long scores."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import build

import ttt_core as ttt
from ttt_core.remat import keep_all, keep_inputs, keep_products


def mlp(x, gate, up, down):
    return jnp.sum(((jax.nn.silu(x @ gate) * (x @ up)) @ down) ** 2)


@pytest.fixture
def weights():
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = [(7, 4), (4, 6), (4, 6), (6, 4)]
    return [jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]


def kept_shapes(function, *arguments):
    """Shapes of what is kept beside the arguments themselves."""
    pullback = jax.eval_shape(lambda *a: jax.vjp(function, *a)[1], *arguments)
    shapes = [leaf.shape for leaf in jax.tree.leaves(pullback)]
    for leaf in jax.tree.leaves(arguments):
        if leaf.shape in shapes:
            shapes.remove(leaf.shape)
    return sorted(shape for shape in shapes if shape)


@pytest.mark.parametrize("keep", [keep_products, keep_inputs])
def test_gradients_do_not_depend_on_what_is_kept(weights, keep):
    plain = jax.grad(mlp, argnums=(0, 1, 2, 3))(*weights)
    other = jax.grad(keep(mlp), argnums=(0, 1, 2, 3))(*weights)
    for a, b in zip(plain, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_products_are_kept_and_nothing_else(weights):
    assert kept_shapes(keep_products(mlp), *weights) == [(7, 4), (7, 6), (7, 6)]
    assert kept_shapes(keep_inputs(mlp), *weights) == []
    assert len(kept_shapes(keep_all(mlp), *weights)) > 3


def test_logits_are_not_kept(weights):
    x, gate, *_ = weights
    logits = lambda x, head: jnp.sum(jax.nn.logsumexp(x @ head, axis=-1))
    assert kept_shapes(keep_products(logits), x, gate) == [(7, 6)]
    assert kept_shapes(keep_products(logits, vocab=6), x, gate) == []


def test_scores_over_many_keys_are_not_kept():
    def attention(q, k):
        return jnp.sum(jax.nn.softmax(jnp.einsum("hqd,hkd->hqk", q, k)) ** 2)

    draw = lambda *shape: jax.random.normal(jax.random.key(0), shape)
    few = kept_shapes(keep_products(attention), draw(2, 4, 8), draw(2, 6, 8))
    assert few == [(2, 4, 6)]
    many = kept_shapes(keep_products(attention), draw(2, 32, 4), draw(2, 64, 4))
    assert many == []


def test_no_chunk_keeps_its_logits(vocab=61):
    """Of a whole meta-gradient: nothing that is kept has an axis of the vocabulary."""
    model = build(vocab=vocab)
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    tokens = jnp.arange(4 * model.config.chunk + 1) % vocab

    def loss(arrays):
        return ttt.meta_loss(eqx.combine(arrays, static), tokens)[0]

    shapes = kept_shapes(loss, arrays)
    weights = {leaf.shape for leaf in jax.tree.leaves(arrays)}
    turned = {shape[::-1] for shape in weights}
    assert shapes
    assert not [s for s in shapes if vocab in s and s not in weights | turned]
