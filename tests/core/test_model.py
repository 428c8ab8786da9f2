"""The model as a whole: any share of fast blocks, any pattern, either precision."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import MINI, all_finite, build, meta, meta_grad, text, with_bos

import ttt_core as ttt
from ttt_core.model import compute_logits, token_nll


SHARES = {
    "none": {"layers": 4, "fast_blocks": 0},
    "one": {"layers": 4, "fast_blocks": 1},
    "half": {"layers": 4, "fast_blocks": 2},
    "all": {"layers": 4, "fast_blocks": 4},
    "all, no slow MLP": {"layers": 2, "fast_blocks": 2, "d_ff": 0},
    "no mixers (toy)": {"mixers": ("none",), "d_ff": 0, "fast_blocks": 3, "chunk": 1},
    "hybrid": {"layers": 5, "fast_blocks": 2, "mixers": ("window", "window", "full")},
    "convolutions": {
        "layers": 4,
        "fast_blocks": 2,
        "mixers": ("window", "full"),
        "qkv_taps": 3,
    },
    "as pretrained": {
        "layers": 4,
        "fast_blocks": 2,
        "mixers": ("window", "unplaced"),
        "post_norm": False,
        "qkv_bias": True,
        "head_width": 6,
        "rope_factors": (1.0, 2.0, 8.0),
    },
    "untied, bare": {
        "tied": False,
        "qk_norm": False,
        "post_norm": False,
        "kv_heads": 1,
    },
}


QUICK = ("all", "hybrid")
SLOW = [pytest.param(s, marks=pytest.mark.slow) for s in SHARES if s not in QUICK]


@pytest.mark.parametrize("share", SHARES)
def test_any_share_of_fast_blocks_reads_as_it_trains(share):
    """In float64: eighteen inner steps amplify what is rounded, form by form."""
    with jax.enable_x64(True):
        model, tokens = build(**SHARES[share]), text(18)
        loss, aux = meta(model, with_bos(model, tokens))
        state, report = ttt.read(model, ttt.init_state(model), tokens)
        assert report.nll.dtype == jnp.float64
        np.testing.assert_allclose(report.nll, aux.nll, rtol=0, atol=1e-9)
        n, blocks = 18 // model.config.chunk, model.config.fast_blocks
        assert report.drift.shape == aux.drift.shape == (n, blocks)
        assert bool(jnp.all(report.learned)) == model.config.learns
        assert bool(jnp.isfinite(loss)) and all_finite(state)


@pytest.mark.parametrize("share", [*QUICK, *SLOW])
def test_every_weight_of_any_share_has_a_meta_gradient(share):
    model = build(**SHARES[share])
    _, grads = meta_grad(model, with_bos(model, text(18)))
    assert all_finite(grads)
    assert all(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(grads))


def test_fast_blocks_looped_over_are_fast_blocks_scanned(monkeypatch):
    """In float64; the loop is what small models train with, the scan what large ones
    do."""

    def gradient(model, looped):
        monkeypatch.setattr("ttt_core.stacks.LOOPED", looped)
        loss = lambda model: ttt.meta_loss(model, with_bos(model, text(14)))[0]
        return eqx.filter_jit(eqx.filter_value_and_grad(loss))(model)

    with jax.enable_x64(True):
        model = build(layers=3, fast_blocks=2)
        loop, scan = gradient(model, 2), gradient(model, 0)
        same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        jax.tree.map(same, loop, scan)


def test_all_blocks_fast_leaves_embedding_and_norm_outside_the_stacks():
    model = build(layers=4, fast_blocks=4)
    assert model.slow_stacks == () and len(model.fast_stacks) == 1


def test_learning_lowers_the_loss_of_a_text_that_repeats(nano):
    tokens = np.tile(text(16, vocab=256), 12)
    loss, _ = meta(nano, with_bos(nano, tokens))
    without, _ = meta(ttt.without_learning(nano), with_bos(nano, tokens))
    assert float(loss) < float(without) - 0.3


def test_an_untrained_model_knows_nothing():
    config = ttt.preset("nano").replace(init_std=1e-3)
    model = build(config)
    loss, _ = meta(model, with_bos(model, text(40, vocab=256)))
    np.testing.assert_allclose(loss, np.log(config.vocab), atol=0.05)


def test_in_bfloat16_fast_weights_and_losses_stay_in_float32():
    paper = ttt.preset("125m").replace(
        vocab=64, bos=63, d_model=32, layers=4, heads=2, kv_heads=2, fast_blocks=1
    )
    paper = paper.replace(d_ff=48, d_fast=48, window=16, chunk=8, init_std=0.2)
    model, tokens = build(paper), text(28, vocab=63)
    (loss, aux), grads = meta_grad(model, with_bos(model, tokens))
    state, report = ttt.read(model, ttt.init_state(model), tokens)
    leaves = jax.tree.leaves((state.fast, loss, aux.nll, report.nll, grads))
    assert all(leaf.dtype == jnp.float32 for leaf in leaves) and all_finite(leaves)
    assert state.mixers.fast_blocks[0][0].keys.dtype == jnp.bfloat16
    np.testing.assert_allclose(report.nll, aux.nll, rtol=0, atol=0.15)
    exact, _ = meta(
        build(paper.replace(compute_dtype="float32")), with_bos(model, tokens)
    )
    np.testing.assert_allclose(loss, exact, rtol=0.02)


def test_a_float64_model_runs_in_float64_throughout():
    with jax.enable_x64(True):
        model, tokens = build(rule="block-rates"), text(9)
        loss, aux = meta(model, with_bos(model, tokens))
        state, report = ttt.read(model, ttt.init_state(model), tokens)
        leaves = jax.tree.leaves((loss, aux, state, report))
        floats = [a for a in leaves if jnp.issubdtype(a.dtype, jnp.floating)]
        assert floats and all(leaf.dtype == jnp.float64 for leaf in floats)


def test_nll_is_the_logits_cross_entropy(getkey):
    model = build()
    hidden = jax.random.normal(getkey(), (5, MINI.d_model))
    targets = jnp.arange(5)
    logits = jax.nn.log_softmax(compute_logits(model, hidden))
    expected = -logits[jnp.arange(5), targets]
    np.testing.assert_allclose(token_nll(model, hidden, targets), expected, rtol=1e-5)
