"""A model that was trained without fast weights gets some, and is itself at first."""

import functools

import equinox as eqx
import jax
import minis
import numpy as np
import optax
import pytest
from minis import MINI, same_bits

import ttt_core as ttt
from ttt_core.model import unstack
from ttt_core.warm_start import restack, trained_parts


PLAIN = dict(fast_blocks=0, post_norm=False, layers=4)
KEY = jax.random.key(7)
WAYS = [{}, {"d_fast": 5}, {"in_place": True}]


@pytest.fixture(scope="module")
def full():
    return minis.build(mixers=("full",), lr=0.5, clip=2.0, **PLAIN)


def nats(model, ids):
    _, report = ttt.read(model, ttt.init_state(model), ids)
    return np.asarray(report.nll)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_is_itself_until_it_has_learned(full, way):
    ids = minis.text(4)
    learner = ttt.with_fast_weights(full, fast_blocks=2, chunk=4, key=KEY, **way)
    np.testing.assert_allclose(nats(learner, ids), nats(full, ids), atol=2e-6)
    twin = ttt.without_learning(learner)
    ids = minis.text(40)
    np.testing.assert_allclose(nats(twin, ids), nats(full, ids), atol=5e-6)


@pytest.mark.parametrize("way", WAYS)
def test_it_learns_and_can_be_trained_to(full, way):
    sizes = dict(fast_blocks=2, chunk=4, window=6, sinks=2)
    learner = ttt.with_fast_weights(full, key=KEY, **sizes, **way)
    state, report = ttt.read(learner, ttt.init_state(learner), minis.text(32))
    assert np.all(report.learned) and np.all(np.isfinite(report.nll))
    moved = ttt.drift(state.fast, ttt.split(learner)[0])
    assert np.all(np.asarray(moved) > 0)
    row = minis.with_bos(learner, minis.text(32))
    _, grads = minis.meta_grad(learner, row)
    assert minis.all_finite(grads)
    assert minis.largest(grads.fast_mlps.down) > 0


@pytest.mark.parametrize("sinks, name", [(0, "window"), (2, "sinks")])
def test_a_window_sees_all_of_a_short_text(full, sinks, name):
    learner = ttt.with_fast_weights(
        full, fast_blocks=1, chunk=4, window=6, sinks=sinks, key=KEY
    )
    assert learner.config.mixers == (name,)
    assert learner.config.window == 6
    twin, ids = ttt.without_learning(learner), minis.text(30)
    np.testing.assert_allclose(nats(twin, ids)[:6], nats(full, ids)[:6], atol=5e-6)
    assert np.abs(nats(twin, ids)[12:] - nats(full, ids)[12:]).max() > 1e-3


def test_the_configuration_builds_the_same_tree(full):
    for way in WAYS:
        learner = ttt.with_fast_weights(full, fast_blocks=2, chunk=4, key=KEY, **way)
        built = learner.config.build(key=KEY)
        assert jax.tree.structure(built) == jax.tree.structure(learner)
        shapes = [leaf.shape for leaf in jax.tree.leaves(learner)]
        assert shapes == [leaf.shape for leaf in jax.tree.leaves(built)]


def test_rate_and_clip_are_the_models_own_unless_given(full):
    make = lambda **more: ttt.with_fast_weights(
        full, fast_blocks=1, chunk=4, key=KEY, **more
    )
    assert make().config.inner == full.config.inner
    assert make(lr=0.03, clip=1.0).config.inner.lr == 0.03


def test_stacks_are_taken_apart_and_put_together():
    model = minis.build(mixers=("full", "window"), **PLAIN)
    blocks = [block for block, _ in unstack(model)]
    assert same_bits(restack(blocks, model.config.kinds), model.slow_stacks)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"sinks": 2}, "sinks=2 and no window"),
        ({"in_place": True, "d_fast": 3}, "leave it out"),
        ({"fast_blocks": 9}, "`fast_blocks` must be from 0 to layers"),
        ({"window": 2}, "`chunk` must not exceed `window`"),
    ],
)
def test_what_does_not_fit_is_said(full, changes, sentence):
    given = {"fast_blocks": 1, "chunk": 4, "key": KEY} | changes
    with pytest.raises(ValueError, match=sentence):
        ttt.with_fast_weights(full, **given)


def test_models_that_cannot_be_warm_started_are_named():
    make = lambda model, **more: ttt.with_fast_weights(
        model, fast_blocks=1, chunk=4, key=KEY, **more
    )
    with pytest.raises(ValueError, match="1 fast blocks already"):
        make(minis.build())
    recurrent = minis.build(mixers=("mamba2", "window"), state_dim=6, **PLAIN)
    with pytest.raises(ValueError, match="cannot replace mamba2"):
        make(recurrent, window=6)
    alone = minis.build(d_ff=0, **PLAIN)
    with pytest.raises(ValueError, match="`in_place` needs"):
        make(alone, in_place=True)


def test_the_paper_sizes_are_untouched():
    assert MINI.sinks == 4 and not MINI.in_place


def test_a_part_of_the_gradient_is_that_part_of_the_whole(full):
    learner = ttt.with_fast_weights(full, fast_blocks=2, chunk=4, window=6, key=KEY)
    rows = np.stack([minis.with_bos(learner, minis.text(16, seed=i)) for i in (1, 2)])
    mask = trained_parts(learner, "fast")
    gradient = lambda trained: eqx.filter_jit(ttt.meta_gradient)(
        learner, jax.numpy.asarray(rows), trained=trained
    )
    loss, _, whole = gradient(None)
    same, _, part = gradient(mask)
    np.testing.assert_allclose(same, loss, rtol=1e-6)
    kept = eqx.filter(whole, mask)
    assert jax.tree.structure(part) == jax.tree.structure(kept)
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
    jax.tree.map(near, part, kept)


def test_what_is_not_trained_stays(full):
    learner = ttt.with_fast_weights(full, fast_blocks=2, chunk=4, window=6, key=KEY)
    mask = trained_parts(learner, "fast")
    optimizer = optax.adamw(0.1, weight_decay=0.5)
    state = optimizer.init(eqx.filter(learner, mask))
    rows = minis.with_bos(learner, minis.text(16))[None]
    step = eqx.filter_jit(functools.partial(ttt.meta_gradient, trained=mask))
    _, _, grads = step(learner, rows)
    after, _, _ = ttt.apply_gradient(learner, state, grads, optimizer)
    changed, kept = eqx.partition(after, mask)
    assert same_bits(kept, eqx.partition(learner, mask)[1])
    assert minis.largest(changed.fast_mlps.down) > 0


def test_parts_that_do_not_exist_are_named(full):
    with pytest.raises(ValueError, match="one of all, fast: got 'slow'"):
        trained_parts(full, "slow")
    with pytest.raises(ValueError, match="no fast weights"):
        trained_parts(full, "fast")
