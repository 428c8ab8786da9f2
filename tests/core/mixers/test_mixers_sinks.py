"""A window with sinks: full attention while a text is short, StreamingLLM's beyond."""

import equinox as eqx
import jax
import jax.numpy as jnp
import minis
import numpy as np
import pytest
from minis import MINI

import ttt_core as ttt
from lab.training.flops import count_flops
from ttt_core.mixers.sinks import build_sinks, sinks_reference
from ttt_core.mixers.window import build_window


SIZES = dict(window=6, sinks=3, heads=4, kv_heads=2, rope_theta=100.0)
CONFIG = MINI.replace(mixers=("sinks",), **SIZES)


@eqx.filter_jit
def call(mixer, x, state=None):
    return mixer(x, state)


@pytest.fixture(scope="module")
def mixer():
    return build_sinks(CONFIG.replace(init_std=0.6), key=jax.random.key(1))


def inputs(length):
    values = np.random.default_rng(0).normal(size=(length, MINI.d_model))
    return jnp.asarray(values, float)


@pytest.mark.parametrize("length", [1, 5, 6, 9, 40])
def test_the_banded_form_is_the_plain_one(mixer, length):
    x = inputs(length)
    q, k, v, _ = mixer.projections(x)
    plain = sinks_reference(q, k, v, window=6, sinks=3, theta=100.0)
    y, _ = call(mixer, x)
    np.testing.assert_allclose(y, mixer.projections.merge_heads(plain), atol=2e-6)


def test_a_text_no_longer_than_the_window_meets_full_attention(mixer):
    x = inputs(6)
    near = build_window(CONFIG, key=jax.random.key(0))
    near = eqx.tree_at(lambda m: m.projections, near, mixer.projections)
    np.testing.assert_allclose(call(mixer, x)[0], call(near, x)[0], atol=1e-6)


def test_first_tokens_are_seen_from_anywhere_and_those_after_them_are_not(mixer):
    """One layer: token 30 sees 0, 1, 2 and the six up to itself."""
    x = inputs(31)
    moved = jax.vmap(lambda t: call(mixer, x.at[t].add(1.0))[0][30])(jnp.arange(31))
    still = np.asarray(call(mixer, x)[0][30])[None]
    changed = np.abs(np.asarray(moved) - still).max(axis=1) > 1e-6
    assert changed.tolist() == [True] * 3 + [False] * 22 + [True] * 6


def test_a_sink_is_no_farther_than_just_before_the_window(mixer):
    """Positions never exceed window + sinks, so a long stream is like a short one."""
    x = inputs(12)
    repeated = jnp.concatenate([x[:3], jnp.tile(x[3:9], (5, 1))])
    y, _ = call(mixer, repeated)
    np.testing.assert_allclose(y[-6:], y[-12:-6], atol=1e-6)


def test_a_stream_costs_the_same_at_any_length(mixer):
    state, x = mixer.init_state(0, jnp.float32), inputs(4)
    _, later = call(mixer, x, state)
    sizes = lambda tree: [leaf.shape for leaf in jax.tree.leaves(tree)]
    for _ in range(5):
        _, later = call(mixer, x, later)
    assert sizes(later) == sizes(state)
    assert int(later.first.seen) == 6 + 3


def test_a_model_with_sinks_streams_as_it_is_trained():
    model = minis.build(CONFIG)
    ids = minis.text(27)
    _, report = ttt.read(model, ttt.init_state(model), ids)
    _, whole = minis.meta(model, minis.with_bos(model, ids))
    np.testing.assert_allclose(report.nll, whole.nll, atol=3e-5)


def test_sinks_cost_what_they_add():
    window = count_flops(CONFIG.replace(mixers=("window",), lr=0.0), 40, "plain")
    sinks = count_flops(CONFIG.replace(lr=0.0), 40, "plain")
    gone = sum(max(0, 40 - 6 - j) for j in range(3))
    assert sinks.forward - window.forward == pytest.approx(3 * 4 * 8 * gone / 40)


def test_no_sinks_is_a_window():
    with pytest.raises(ValueError, match="`sinks` must be >= 1: got 0"):
        CONFIG.replace(sinks=0)
