"""Each recurrent mixer against its plain form, and against the published layer.

`golden/make.py` says where the arrays come from.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ttt_core.layers import MLP, RMSNorm
from ttt_core.mixers import binding, gated_delta, kv_binding, mamba2
from ttt_core.mixers.convolution import ShortConvolution, build_convolution


GOLDEN = Path(__file__).parent / "golden"


def golden(name):
    """`(weights, everything else)` of a file of published arrays."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {key: jnp.asarray(file[key]) for key in file.files}
    weights = {
        k.removeprefix("weight."): a for k, a in arrays.items() if "weight." in k
    }
    return weights, arrays


def draw(seed, *shapes):
    random = np.random.default_rng(seed)
    return [jnp.asarray(random.normal(size=shape)) for shape in shapes]


def filters(kernel, bias, widths):
    """Parts of one published convolution, `[channels, 1, taps]`."""
    cuts = np.cumsum(widths)[:-1]
    kernels = jnp.split(kernel[:, 0].T, cuts, axis=1)
    biases = [None] * len(widths) if bias is None else jnp.split(bias, cuts)
    return tuple(ShortConvolution(*pair) for pair in zip(kernels, biases, strict=True))


@pytest.mark.parametrize("seq", [1, 5, 8, 29])
@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_mamba2_by_chunks_is_its_recurrence(seq, chunk):
    with jax.enable_x64(True):
        shapes = (seq, 3, 4), (seq, 3), (seq, 5), (seq, 5), (5, 3, 4)
        values, decay, keys, queries, memory = draw(seq, *shapes)
        tokens = (values, -jnp.abs(decay), keys, queries, memory)
        fast = jax.jit(functools.partial(mamba2.chunked, chunk=chunk))(*tokens)
        slow = jax.jit(mamba2.recurrent)(*tokens)
        for a, b in zip(fast, slow, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seq", [1, 5, 8, 29])
@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_gated_delta_by_chunks_is_its_recurrence(seq, chunk):
    with jax.enable_x64(True):
        tokens = _delta_tokens(seq)
        fast = jax.jit(functools.partial(gated_delta.chunked, chunk=chunk))(*tokens)
        slow = jax.jit(gated_delta.recurrent)(*tokens)
        for a, b in zip(fast, slow, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def _delta_tokens(seq):
    shapes = (seq, 3, 4), (seq, 3, 4), (seq, 3, 5), (seq, 3), (seq, 3), (3, 4, 5)
    queries, keys, values, decay, beta, memory = draw(seq, *shapes)
    keys = gated_delta.to_unit_length(keys)
    return queries, keys, values, -jnp.abs(decay), jax.nn.sigmoid(beta), memory


@pytest.mark.parametrize("mixer", [mamba2, gated_delta])
def test_chunked_forms_are_exact_in_float32_over_many_chunks(mixer):
    """Strong and weak decay, 300 tokens: 1e-5 of the largest answer."""
    if mixer is mamba2:
        shapes = (300, 3, 4), (300, 3), (300, 5), (300, 5), (5, 3, 4)
        values, decay, keys, queries, memory = draw(0, *shapes)
        tokens = (values, -jnp.abs(decay), keys, queries, memory)
    else:
        tokens = _delta_tokens(300)
    tokens = [a.astype(jnp.float32) for a in tokens]
    fast, _ = jax.jit(mixer.chunked)(*tokens)
    slow, _ = jax.jit(mixer.recurrent)(*tokens)
    scale = float(jnp.max(jnp.abs(slow)))
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-5 * scale)


def test_repeated_keys_do_not_upset_the_triangular_system():
    """Sixty-four times the same key: products of the system's powers would explode."""
    with jax.enable_x64(True):
        queries, keys, values, _, _, memory = _delta_tokens(64)
        keys = jnp.broadcast_to(keys[:1], keys.shape)
        ones, none = jnp.ones((64, 3)), jnp.zeros((64, 3))
        tokens = [queries, keys, values, none, 0.99 * ones, memory]
    tokens = [jnp.asarray(a, jnp.float32) for a in tokens]
    fast, _ = jax.jit(gated_delta.chunked)(*tokens)
    slow, _ = jax.jit(gated_delta.recurrent)(*tokens)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-5)


def test_mamba2_is_the_published_layer():
    w, arrays = golden("mamba2")
    widths = (16, 6, 6)
    z, x, b, c, dt = jnp.split(w["in_proj.weight"].T, np.cumsum([16, *widths]), axis=1)
    layer = mamba2.Mamba2(
        w_x=x,
        w_z=z,
        w_b=b,
        w_c=c,
        w_dt=dt,
        w_out=w["out_proj.weight"].T,
        convolutions=filters(w["conv1d.weight"], w["conv1d.bias"], widths),
        decay_log=w["A_log"],
        dt_bias=w["dt_bias"],
        skip=w["D"],
        norm=RMSNorm(w["norm.weight"], 1e-5),
    )
    _expect(layer, arrays)


def test_gated_delta_is_the_published_layer():
    w, arrays = golden("gated_delta")
    by_head = w["in_proj_qkvz.weight"].T.reshape(8, 2, -1)
    parts = jnp.split(by_head, np.cumsum([6, 6, 4]), axis=2)
    q, k, v, z = (part.reshape(8, -1) for part in parts)
    gates = w["in_proj_ba.weight"].T.reshape(8, 2, 2)
    layer = gated_delta.GatedDelta(
        wq=q,
        wk=k,
        wv=v,
        wg=z,
        w_beta=gates[:, :, 0],
        w_dt=gates[:, :, 1],
        wo=w["out_proj.weight"].T,
        convolutions=filters(w["conv1d.weight"], None, (12, 12, 8)),
        decay_log=w["A_log"],
        dt_bias=w["dt_bias"],
        norm=RMSNorm(w["norm.weight"], 1e-6),
    )
    _expect(layer, arrays)


@pytest.mark.parametrize("way", ["chunked", "stepped"])
def test_gated_delta_rules_are_the_published_ones(way):
    _, arrays = golden("gated_delta")
    rule = {k.removeprefix("rule."): a for k, a in arrays.items() if "rule." in k}
    query, key = (gated_delta.to_unit_length(rule[n]) for n in ("query", "key"))
    form = {"chunked": gated_delta.chunked, "stepped": gated_delta.recurrent}[way]
    y, memory = jax.jit(form)(
        query * 6**-0.5,
        key,
        rule["value"],
        rule["g"],
        rule["beta"],
        rule["initial_state"],
    )
    np.testing.assert_allclose(y, rule[f"{way}.y"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(memory, rule[f"{way}.memory"], rtol=0, atol=1e-5)


def test_kv_binding_is_the_published_layer():
    w, arrays = golden("kv_binding")
    turned = lambda name: w[name].swapaxes(1, 2)
    affine = lambda name: kv_binding.Affine(w[name], w[f"{name}_bias"])
    layer = kv_binding.KVBinding(
        wq=w["wq"],
        wk=w["wk"],
        wv=w["wv"],
        wo=w["wo"],
        q_norm=RMSNorm(w["q_norm"], 1e-6),
        k_norm=RMSNorm(w["k_norm"], 1e-6),
        scale=jnp.stack([w["q_scale"], w["k_scale"]]),
        offset=jnp.stack([w["q_offset"], w["k_offset"]]),
        start=MLP(turned("w0"), turned("w2"), turned("w1")),
        rates=affine("rate"),
        kept=affine("momentum"),
        share=affine("share"),
        norm=RMSNorm(w["norm"], 1e-6),
        filters=(),
        bind_chunk=5,
        window=7,
        rope_theta=10_000.0,
        kernel="xla",
    )
    _expect(layer, arrays)


def _expect(layer, arrays):
    """Whole, and token by token: the published output, to 1e-5 of its largest."""
    x, expected = arrays["x"], arrays["y"]
    atol = 1e-5 * float(jnp.max(jnp.abs(expected)))
    whole, _ = jax.jit(lambda x: layer(x, None))(x)
    np.testing.assert_allclose(whole, expected, rtol=0, atol=atol)
    state = layer.init_state(0, x.dtype)
    step = jax.jit(layer.__call__)
    for token, y in zip(x, expected, strict=True):
        found, state = step(token[None], state)
        np.testing.assert_allclose(found[0], y, rtol=0, atol=atol)


def test_binding_by_hand_is_binding_by_automatic_differentiation():
    with jax.enable_x64(True):
        start, memory, pairs = _binding()
        learned = jax.jit(binding.bind)(memory, pairs, start)

        def agreement(mlp, which):
            said = binding.answer(mlp, pairs.keys)
            by_token = jnp.sum(said * pairs.values, axis=-1)
            return jnp.sum(pairs.rates[..., which] * by_token)

        for name, which in (("gate", 0), ("down", 1), ("up", 2)):
            slopes = jax.jit(jax.grad(agreement), static_argnums=1)(memory.mlp, which)
            kept = pairs.kept.mean(0)[:, None, None] * getattr(memory.momentum, name)
            expected = getattr(slopes, name) + kept
            found = getattr(learned.momentum, name)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_binding_keeps_the_norms_of_incoming_weights():
    start, memory, pairs = _binding(np.float32)
    learned = jax.jit(binding.bind)(memory, pairs, start)
    for name in ("gate", "up", "down"):
        first, now = getattr(start, name), getattr(learned.mlp, name)
        lengths = [jnp.linalg.norm(a, axis=1) for a in (first, now)]
        np.testing.assert_allclose(*lengths, rtol=1e-4)
        assert float(jnp.max(jnp.abs(now - getattr(memory.mlp, name)))) > 0.01


def test_what_was_bound_is_answered():
    """Keys that were learned are answered with their values, others are not."""
    start, memory, pairs = _binding(np.float32)
    keys = binding.to_length_one(pairs.keys)
    pairs = binding.Pairs(keys, pairs.values, jnp.ones((5, 2, 3)), pairs.kept)
    agreement = lambda mlp: jnp.mean(binding.answer(mlp, keys) * pairs.values)
    before = float(agreement(memory.mlp))
    for _ in range(5):
        memory = jax.jit(binding.bind)(memory, pairs, start)
    assert float(agreement(memory.mlp)) > before + 0.1


def _binding(dtype=np.float64, tokens=5, heads=2, width=4, hidden=6):
    into, back = (heads, width, hidden), (heads, hidden, width)
    shapes = [into, into, back] * 3 + [(tokens, heads, width)] * 2
    shapes += [(tokens, heads, 3), (tokens, heads)]
    arrays = [a.astype(dtype) for a in draw(3, *shapes)]
    start, now, momentum = (MLP(*arrays[i : i + 3]) for i in (0, 3, 6))
    keys, values, rates, kept = arrays[9:]
    pairs = binding.Pairs(keys, values, jnp.abs(rates), jax.nn.sigmoid(kept))
    return start, binding.Memory(now, momentum), pairs


@pytest.mark.parametrize("taps", [1, 2, 4])
def test_the_short_convolution_is_numpys(taps, getkey):
    layer = build_convolution(taps, 3, bias=True, key=getkey())
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    y, recent = layer(jnp.asarray(x), layer.init_recent(x.dtype))
    for channel in range(3):
        filtered = np.convolve(x[:, channel], np.asarray(layer.kernel)[::-1, channel])
        filtered = filtered[:9] + float(layer.bias[channel])
        expected = filtered / (1 + np.exp(-filtered))
        np.testing.assert_allclose(y[:, channel], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(recent, x[9 - (taps - 1) :])
