"""Attention mixers: what they share, what they keep, where they end.

That pieces equal the whole, and the banded form the plain one, stands with the
invariants (number 4).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import plain
import pytest
from minis import MINI, build, meta, text, with_bos

from ttt_core.mixers import window as window_file
from ttt_core.mixers.attention import attend
from ttt_core.mixers.full import build_full, causal_attention, grow, self_attention
from ttt_core.mixers.window import (
    build_window,
    query_block,
    windowed_attention,
)
from ttt_core.scale.fused import fused_attention


def qkv(seq, heads=4, kv_heads=2, width=8, keys=None):
    random = np.random.default_rng(seq)
    rows = seq if keys is None else keys
    shapes = (seq, heads, width), (rows, kv_heads, width), (rows, kv_heads, width)
    return [jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_grouped_heads_are_repeated_heads(kv_heads):
    q, k, v = (a.swapaxes(0, 1) for a in qkv(6, 4, kv_heads))
    mask = jnp.tril(jnp.ones((6, 6), bool))
    repeated = [jnp.repeat(a, 4 // kv_heads, axis=0) for a in (k, v)]
    np.testing.assert_allclose(
        attend(q, k, v, mask), attend(q, *repeated, mask), atol=1e-6
    )


@pytest.mark.parametrize("window", [1, 5, 16, 40])
def test_the_fused_call_is_the_banded_form(window):
    q, k, v = qkv(40)
    state = jnp.zeros((window, 2, 8))
    keys, values = (jnp.concatenate([state, a]) for a in (k, v))
    count = jnp.asarray(0, jnp.int32)
    fused = fused_attention(q, k, v, window=window, theta=100.0, kernel="xla")
    banded = jax.jit(functools.partial(windowed_attention, theta=100.0))
    np.testing.assert_allclose(banded(q, keys, values, count), fused, atol=2e-6)


def test_blocks_one_by_one_are_blocks_at_once(monkeypatch):
    q, keys, values = qkv(90, keys=130)
    count = jnp.asarray(33, jnp.int32)
    attention = lambda: windowed_attention(q, keys, values, count, theta=100.0)
    at_once = jax.jit(attention)()
    one_by_one = functools.partial(window_file.map_blocks, limit=0)
    monkeypatch.setattr(window_file, "map_blocks", one_by_one)
    np.testing.assert_allclose(jax.jit(lambda: attention())(), at_once, atol=1e-6)


def test_full_attention_by_blocks_is_full_attention():
    with jax.enable_x64(True):
        q, keys, values = (a.astype(jnp.float64) for a in qkv(45))
        position = jnp.arange(45, dtype=jnp.int32)
        expected = plain.attention(*map(np.asarray, (q, keys, values)), None, 100.0)
        q, keys = (plain.rotate(np.asarray(a), np.arange(45), 100.0) for a in (q, keys))
        keys, values = (jnp.asarray(a).swapaxes(0, 1) for a in (keys, values))
        for block in (512, 45, 16):
            y = causal_attention(jnp.asarray(q), keys, values, position, block=block)
            np.testing.assert_allclose(y, expected, atol=1e-12)
        for block, parts in ((512, 8), (16, 1), (4, 8), (4, 3), (15, 3)):
            y = self_attention(jnp.asarray(q), keys, values, block=block, parts=parts)
            np.testing.assert_allclose(y, expected, atol=1e-12)


def test_a_window_keeps_its_last_keys_and_counts_them(getkey):
    mixer = build_window(MINI, key=getkey())
    x = jax.random.normal(getkey(), (9, MINI.d_model))
    _, k, v, _ = mixer.projections(x)
    _, state = mixer(x[:4], mixer.init_state(0, x.dtype))
    assert int(state.count) == 4 and state.keys.shape[0] == MINI.window
    _, state = mixer(x[4:], state)
    assert int(state.count) == MINI.window
    np.testing.assert_allclose(state.keys, k[-MINI.window :], atol=1e-6)
    np.testing.assert_allclose(state.values, v[-MINI.window :], atol=1e-6)


def test_a_grown_buffer_goes_on_as_before(getkey):
    mixer = build_full(MINI, key=getkey())
    x = jax.random.normal(getkey(), (12, MINI.d_model))
    _, small = mixer(x[:8], mixer.init_state(8, x.dtype))
    _, large = mixer(x[:8], mixer.init_state(32, x.dtype))
    grown = grow(small, 32)
    np.testing.assert_array_equal(mixer(x[8:], grown)[0], mixer(x[8:], large)[0])
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), small)
    assert grow(stacked, 32).keys.shape == (3, *large.keys.shape)


def test_query_blocks_are_half_a_window_within_limits():
    assert [query_block(w) for w in (1, 32, 128, 8192)] == [16, 16, 64, 512]


@pytest.mark.parametrize("taps", [0, 1, 4])
def test_nothing_reaches_further_than_the_configuration_says(taps):
    """Bits beyond the reach are the same bits; at the reach they are not."""
    with jax.enable_x64(True):
        model = build(qkv_taps=taps, lr=0.0)
        tokens, reach = with_bos(model, text(40)), model.config.reach
        assert reach == 3 * (5 + max(0, taps - 1))
        other = tokens.at[1].add(1)
        (_, one), (_, two) = meta(model, tokens), meta(model, other)
        differs = np.flatnonzero(np.asarray(one.nll != two.nll))
        assert differs[-1] == 1 + reach


def test_filters_start_as_nothing_and_gains_as_asked(getkey):
    key = getkey()
    plain_one = build_window(MINI, key=key)
    filtered = build_window(MINI.replace(qkv_taps=4, qk_gain=2.5), key=key)
    x = jax.random.normal(getkey(), (7, MINI.d_model))
    q, k, v, _ = plain_one.projections(x)
    twice = filtered.projections(x)
    for a, b in zip((2.5 * q, 2.5 * k, v), twice[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert [one.kernel.shape[0] for one in filtered.projections.filters] == [4] * 3
