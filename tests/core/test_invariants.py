"""The nine invariants of the design, each under its number.

Those that hold exactly in real arithmetic are tested in float64, where the same code
must run at full width; those about bits are tested on bits.
"""

import functools

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import minis
import numpy as np
import plain
import pytest
from hypothesis import given, settings
from minis import build, meta, meta_grad, same_bits, text, with_bos

import ttt_core as ttt
from ttt_core import chunks, inner, stream
from ttt_core.mixers.full import build_full
from ttt_core.mixers.kv_binding import build_kv_binding
from ttt_core.mixers.window import (
    build_window,
    windowed_attention,
    windowed_attention_reference,
)
from ttt_core.rules import RULES


pytestmark = pytest.mark.bits  # also compiled as people compile: `make slow`


few = settings(max_examples=8, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def mini():
    return build()


# 1. One reading, three ways.


def test_read_and_read_chunk_and_meta_loss_agree_in_float64():
    """1: over a whole document, ragged tail included, to 1e-9."""
    with jax.enable_x64(True):
        model, tokens = build(), text(67)
        state, report = ttt.read(model, ttt.init_state(model), tokens)
        loss, aux = meta(model, with_bos(model, tokens))
        by_chunk, reports = minis.read_by_chunks(model, tokens[:64])

        assert report.nll.dtype == aux.nll.dtype == loss.dtype == jnp.float64
        np.testing.assert_allclose(report.nll, aux.nll, rtol=0, atol=1e-9)
        one_by_one = np.concatenate([r.nll for r in reports])
        np.testing.assert_allclose(report.nll[:64], one_by_one, rtol=0, atol=1e-9)
        np.testing.assert_allclose(report.drift, aux.drift, rtol=0, atol=1e-9)
        assert same_bits(state.fast, by_chunk.fast)
        assert bool(jnp.all(report.learned)) and len(report.loss) == 16


def test_read_and_read_chunk_and_meta_loss_agree_in_float32(nano):
    """1: over 16 chunks, to 1e-5 nats."""
    tokens = text(256, vocab=256)
    _, report = ttt.read(nano, ttt.init_state(nano), tokens)
    _, reports = minis.read_by_chunks(nano, tokens)
    loss, aux = meta(nano, with_bos(nano, tokens))
    one_by_one = np.concatenate([r.nll for r in reports])
    assert report.nll.dtype == jnp.float32
    np.testing.assert_allclose(report.nll, aux.nll, rtol=0, atol=1e-5)
    np.testing.assert_allclose(report.nll, one_by_one, rtol=0, atol=1e-5)
    np.testing.assert_allclose(jnp.mean(report.nll), loss, rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 30), max_size=6))
def test_no_way_of_cutting_a_document_changes_a_bit_of_the_fast_weights(cuts):
    """1: fast weights, mixer states and the open chunk are those of one call."""
    model, tokens = _shared_mini(), text(30)
    whole, expected = _whole_reading()
    state, nll = ttt.init_state(model), []
    for piece in np.split(tokens, sorted(cuts)):
        state, report = ttt.read(model, state, piece)
        assert report.nll.shape == piece.shape
        nll.append(report.nll)
    assert same_bits(state, whole)
    np.testing.assert_allclose(np.concatenate(nll), expected, rtol=0, atol=1e-5)


later = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("mixer", "rule"),
    [
        *(("window", "sgd"), ("full", "adam"), later("window", "block-rates")),
        *(later(name, "momentum") for name in ("mamba2", "gated_delta", "kv_binding")),
        *(later("none", name) for name in ("normalised", "tilted", "anchored")),
        *(later("window", name) for name in ("muon", "factored", "tilted")),
    ],
)
def test_many_chunks_in_a_call_are_the_chunks_one_by_one(mixer, rule, monkeypatch):
    """1: bit for bit, reports included, whatever is learned and what is refused."""
    monkeypatch.setattr(stream, "AT_ONCE", 12)  # three chunks
    model, tokens = build(mixers=(mixer,), rule=rule, lr=0.1, tied=False), text(47)
    model = eqx.tree_at(lambda m: m.embed, model, model.embed.at[3].set(jnp.nan))
    tokens = np.where(tokens == 3, 4, tokens)
    tokens[21] = 3  # a chunk that is not finite: its step is refused
    start = ttt.init_state(model, capacity=64)
    whole, report = ttt.read(model, start, tokens)

    state, reports = start, []
    for row in tokens[:44].reshape(-1, 4):
        state, found = ttt.read_chunk(model, state, row)
        reports.append(found)
    one_by_one = jax.tree.map(lambda *rows: np.stack(rows), *reports)
    flat = lambda report: eqx.tree_at(lambda r: r.nll, report, report.nll.ravel()[:44])
    assert same_bits(flat(report), flat(one_by_one))
    assert bool(report.refused[5]) and bool(report.learned[4])
    state, _ = ttt.read(model, state, tokens[44:])
    assert same_bits(state, whole)
    cut = start
    for piece in np.split(tokens, [1, 14, 15, 41]):
        cut, _ = ttt.read(model, cut, piece)
    assert same_bits(cut, whole)


@functools.cache
def _shared_mini():
    return build()


@functools.cache
def _whole_reading():
    model = _shared_mini()
    state, report = ttt.read(model, ttt.init_state(model), text(30))
    return state, np.asarray(report.nll)


# 2. Stopping and going on.


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_a_state_that_was_on_disk_goes_on_bit_for_bit(rule):
    """2: as plain arrays, with an open chunk and the rule's own state."""
    model, tokens = build(rule=rule, lr=0.1), text(30)
    state, _ = ttt.read(model, ttt.init_state(model), tokens[:14])
    leaves, shape = jax.tree.flatten(state)
    stored = [np.asarray(leaf).tobytes() for leaf in leaves]
    back = [
        jnp.asarray(np.frombuffer(raw, leaf.dtype).reshape(leaf.shape))
        for raw, leaf in zip(stored, leaves, strict=True)
    ]
    resumed, again = ttt.read(model, jax.tree.unflatten(shape, back), tokens[14:])
    straight, report = ttt.read(model, state, tokens[14:])
    assert same_bits(resumed, straight) and same_bits(again, report)


# 3. Without learning, an ordinary Transformer.


@pytest.mark.parametrize(
    "changes",
    [{}, {"kv_heads": 1, "qk_norm": False, "heads": 4}, {"qkv_taps": 3, "kv_heads": 1}],
)
def test_without_learning_it_is_the_plain_transformer(changes):
    """3: whether frozen or read at rate 0."""
    with jax.enable_x64(True):
        model = build(**changes, post_norm=not changes, tied=not changes)
        tokens = with_bos(model, text(23))
        expected = plain.token_nll(model, np.asarray(tokens), model.config.window)
        frozen = ttt.without_learning(model)
        _, aux = meta(frozen, tokens)
        _, at_zero = meta(model, tokens, rate=0.0)
        _, read = ttt.read(frozen, ttt.init_state(frozen), tokens[1:])
        for report in (aux, at_zero, read):
            np.testing.assert_allclose(report.nll, expected, rtol=0, atol=1e-9)
            assert not np.any(report.learned) and not np.any(report.drift)
            assert not np.any(report.update_norm)


def test_one_chunk_shows_no_effect_of_learning(mini):
    """3: every token is scored before it is learned from."""
    tokens = with_bos(mini, text(minis.MINI.chunk))
    loss, aux = meta(mini, tokens, rate=1.0)
    none, without = meta(mini, tokens, rate=0.0)
    assert same_bits((loss, aux.nll), (none, without.nll))
    assert bool(aux.learned[0]) and not bool(without.learned[0])


# 4. The same attention in every form.


def test_a_window_as_long_as_the_sequence_is_full_attention():
    """4: the same weights read through the other mixer."""
    with jax.enable_x64(True):
        windowed, full = build(window=24), build(mixers=("full",))
        full = jax.tree.unflatten(jax.tree.structure(full), jax.tree.leaves(windowed))
        tokens = with_bos(windowed, text(23))
        (loss, aux), (other, report) = meta(windowed, tokens), meta(full, tokens)
        np.testing.assert_allclose(aux.nll, report.nll, rtol=0, atol=1e-9)
        np.testing.assert_allclose(loss, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("taps", [0, 3])
@pytest.mark.parametrize("builder", [build_window, build_full, build_kv_binding])
@pytest.mark.parametrize(
    "lengths", [(1,) * 7, (3, 11, 1), (20, 2), (6, 6, 6), (1, 30, 5)]
)
def test_a_mixer_in_pieces_is_the_mixer_on_the_whole(builder, lengths, taps, getkey):
    """4: chunks, single tokens, pieces longer than the window."""
    with jax.enable_x64(True):
        mixer = builder(minis.MINI.replace(qkv_taps=taps, expand=1.0), key=getkey())
        mixer = jax.tree.map(lambda leaf: leaf + 0.1, mixer)  # no filter is nothing
        x = jax.random.normal(getkey(), (sum(lengths), minis.MINI.d_model))
        call = eqx.filter_jit(lambda mixer, x, state: mixer(x, state))
        whole, none = call(mixer, x, None)
        state, parts = mixer.init_state(40, x.dtype), []
        for piece in jnp.split(x, np.cumsum(lengths)[:-1]):
            y, state = call(mixer, piece, state)
            parts.append(y)
        assert none is None
        np.testing.assert_allclose(jnp.concatenate(parts), whole, rtol=0, atol=1e-12)


@few
@given(
    window=st.integers(1, 70),
    seq=st.integers(1, 120),
    fill=st.floats(0, 1),
    heads=st.sampled_from([(2, 2), (4, 2), (3, 1)]),
)
def test_the_banded_form_is_the_plain_form(window, seq, fill, heads):
    """4: for any window, length, filling of the state and grouping of heads."""
    count = jnp.asarray(round(fill * window), jnp.int32)
    with jax.enable_x64(True):
        q, keys, values = _qkv(seq, window + seq, *heads)
        fast = jax.jit(functools.partial(windowed_attention, theta=100.0))
        slow = jax.jit(functools.partial(windowed_attention_reference, theta=100.0))
        y, z = fast(q, keys, values, count), slow(q, keys, values, count)
        np.testing.assert_allclose(y, z, rtol=0, atol=1e-12)


def test_the_plain_form_is_the_one_in_numpy():
    """4: loops over queries, absolute positions."""
    with jax.enable_x64(True):
        q, keys, values = _qkv(30, 37, heads=4, kv_heads=2)
        empty = jnp.asarray(0, jnp.int32)
        y = windowed_attention_reference(q, keys, values, empty, theta=100.0)
        parts = [np.asarray(a) for a in (q, keys[7:], values[7:])]
        expected = plain.attention(*parts, 7, 100.0)
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


def _qkv(queries, keys, heads, kv_heads, width=4):
    random = np.random.default_rng(queries * keys)
    shapes = (queries, heads, width), (keys, kv_heads, width), (keys, kv_heads, width)
    return [jnp.asarray(random.normal(size=shape)) for shape in shapes]


# 5. The meta-gradient.


@pytest.mark.parametrize("clip", [0.3, pytest.param(100.0, marks=pytest.mark.slow)])
def test_the_meta_gradient_is_the_slope_of_the_loss(clip):
    """5: central differences along random directions through the whole model."""
    assert _slope_error(clip=clip) < 1e-7


@pytest.mark.slow
@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_meta_gradient_of_every_rule_is_the_slope(rule):
    """5: rates, decays and tilts of a rule are trained like everything else."""
    assert _slope_error(step=3e-6, rule=rule, fast_blocks=2) < 1e-7


def test_a_gradient_stopped_before_the_inner_step_is_caught(monkeypatch):
    """5: the first-order shortcut must fail this test."""
    honest = inner.clip_by_norm
    cut = lambda grads, clip: honest(jax.lax.stop_gradient(grads), clip)
    monkeypatch.setattr(inner, "clip_by_norm", cut)
    assert _slope_error(clip=0.3) > 1e-4


def test_a_gradient_stopped_at_the_carried_keys_is_caught(monkeypatch):
    """5: keys and values of earlier chunks are part of the path."""
    honest = chunks.run_fast
    cut = lambda model, x, states: honest(model, x, jax.lax.stop_gradient(states))
    monkeypatch.setattr(chunks, "run_fast", cut)
    assert _slope_error(clip=0.3) > 1e-4


def _slope_error(step=1e-5, **changes):
    """Largest relative difference of gradient and slope, over three directions."""
    with jax.enable_x64(True):
        model = build(layers=2, **{"fast_blocks": 1, **changes})
        tokens = with_bos(model, text(14))  # three chunks and a ragged tail
        mask = jnp.arange(14) != 5
        loss = lambda model: ttt.meta_loss(model, tokens, mask, 0.7, 2)[0]
        grads = eqx.filter_jit(eqx.filter_grad(loss))(model)
        value, errors = eqx.filter_jit(loss), []
        for seed in range(3):
            way = _direction(model, seed)
            coarse, fine = (_slope(value, model, way, h) for h in (step, step / 2))
            slope = (4 * fine - coarse) / 3  # Richardson: some directions bend a lot
            products = jax.tree.map(lambda g, d: jnp.sum(g * d), grads, way)
            along = float(sum(jax.tree.leaves(products)))
            errors.append(abs(slope - along) / abs(slope))
        return max(errors)


def _slope(value, model, way, step):
    """Central difference of `value` along `way`."""
    ahead, behind = (
        jax.tree.map(lambda w, d, s=sign: w + s * step * d, model, way)
        for sign in (1, -1)
    )
    return float(value(ahead) - value(behind)) / (2 * step)


def _direction(model, seed):
    """A random unit vector in the space of all the model's weights."""
    random = np.random.default_rng(seed)
    way = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape)), model)
    norm = ttt.global_norm(way)
    return jax.tree.map(lambda leaf: leaf / norm, way)


# 6. Documents of a batch.


def test_a_documents_fast_weights_ignore_its_neighbours(mini):
    """6: neither in training nor in a batch of streams."""
    a, b, c = (text(20, seed=seed) for seed in range(3))
    read = eqx.filter_jit(jax.vmap(functools.partial(ttt.meta_loss, mini)))
    batch = lambda *texts: jnp.stack([with_bos(mini, tokens) for tokens in texts])
    with_b, with_c = read(batch(a, b)), read(batch(a, c))
    first = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
    assert same_bits(first(with_b), first(with_c))
    assert not same_bits(with_b, with_c)
    loss, aux = meta(mini, with_bos(mini, a))
    np.testing.assert_allclose(with_b[1].nll[0], aux.nll, rtol=0, atol=1e-5)

    alone = ttt.init_state(mini)
    streams = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), alone)
    step = jax.vmap(functools.partial(ttt.read_chunk, mini))
    beside = lambda x: step(streams, jnp.stack([a[:4], x[:4]]))[0].fast
    assert same_bits(first(beside(b)), first(beside(c)))
    expected, _ = ttt.read_chunk(mini, alone, a[:4])
    difference = jax.tree.map(jnp.subtract, first(beside(b)), expected.fast)
    assert minis.largest(difference) < 1e-6


# 7. A chunk in which nothing counts.


def test_a_wholly_masked_chunk_teaches_nothing_and_harms_nothing(mini):
    """7: no movement, no NaN; the other chunks are as they would be."""
    tokens, chunk = with_bos(mini, text(20)), minis.MINI.chunk
    mask = np.ones(20, bool)
    mask[chunk : 2 * chunk] = False
    (loss, aux), grads = meta_grad(mini, tokens, mask)
    assert list(aux.learned) == [True, False, True, True, True]
    assert not np.any(aux.refused)
    assert float(aux.update_norm[1]) == 0 and same_bits(aux.drift[1], aux.drift[0])
    assert minis.all_finite(grads) and minis.all_finite(aux)
    counted = np.asarray(aux.nll)[mask]
    np.testing.assert_allclose(loss, counted.mean(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_masked_chunk_leaves_weights_and_rule_state_bit_for_bit(rule):
    """7: also under rules that would move by momentum alone."""
    model = build(rule=rule, lr=0.1)
    step = eqx.filter_jit(
        lambda model, learner, chunk: chunks.reading_step(
            model, chunks.chunk_loss(model), lr=0.1, clip=1.0
        )(learner, chunk)
    )
    x = 0.1 * jnp.ones((4, minis.MINI.d_model))
    make = lambda mask: ttt.Chunk(x, jnp.arange(4), jnp.full(4, mask))
    start = chunks.start_whole(model, jnp.arange(4), remat=None)[1]
    moved, report = step(model, start, make(True))
    assert bool(report.learned) and not same_bits(moved.fast, start.fast)
    after, report = step(model, moved, make(False))
    assert not bool(report.learned) and not bool(report.refused)
    assert same_bits((after.fast, after.rule_state), (moved.fast, moved.rule_state))
    assert not same_bits(after.states, moved.states)


def test_with_every_target_masked_loss_and_gradients_are_zero(mini):
    """7: the limit of it."""
    tokens = with_bos(mini, text(20))
    (loss, _), grads = meta_grad(mini, tokens, np.zeros(20, bool))
    assert float(loss) == 0 and minis.largest(grads) == 0


# 8. Decoding is reading.


def test_decoding_is_reading_token_by_token():
    """8: across chunk boundaries; the greedy choice is the most likely token."""
    with jax.enable_x64(True):
        model, prompt = build(), text(6)
        start = ttt.init_state(model)
        written, after = ttt.generate(
            model, start, prompt, 11, key=jax.random.key(0), temperature=0.0
        )
        read, _ = ttt.read(model, start, [*prompt, *map(int, written)])
        assert same_bits(after, read) and int(after.position) == 17
        state, _ = ttt.read(model, start, prompt)
        for token in np.asarray(written):
            likely = int(jnp.argmax(ttt.predict(model, state, [])[-1]))
            assert likely == token
            state, _ = ttt.read(model, state, [int(token)])


def test_single_tokens_score_as_the_whole_document_does():
    """8: teacher forced, learning on, to 1e-9 in float64."""
    with jax.enable_x64(True):
        model, tokens = build(), text(18)
        _, expected = ttt.read(model, ttt.init_state(model), tokens)
        state, nll = ttt.init_state(model), []
        for token in tokens:
            state, report = ttt.read(model, state, [int(token)])
            nll.append(report.nll[0])
        np.testing.assert_allclose(nll, expected.nll, rtol=0, atol=1e-9)


# 9. Reading without end.


@pytest.mark.parametrize("mixers", [("window",), ("none",)])
def test_what_a_reader_remembers_never_grows(mixers):
    """9: the memory; `ttt-lab bench read` measures the time."""
    model = build(mixers=mixers)
    start = ttt.init_state(model)
    state, _ = ttt.read(model, start, text(1000))
    shapes = lambda tree: [(a.shape, a.dtype) for a in jax.tree.leaves(tree)]
    assert shapes(state) == shapes(start)
    assert int(state.position) == 1000
