"""A walk holds what was read, and reading again knows weights and nothing else."""

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab.analysis import walk


@pytest.fixture(scope="module")
def ids(nano):
    return np.random.default_rng(0).integers(0, 200, 6 * nano.config.chunk + 3)


@pytest.fixture(scope="module")
def found(nano, ids):
    return walk.take(nano, ids, times=(2, 4))


def test_a_walk_costs_what_reading_costs(nano, ids, found):
    _, report = ttt.read(nano, ttt.init_state(nano), ids[: found.ids.size])
    np.testing.assert_array_equal(found.learning.ravel(), report.nll)
    twin = ttt.without_learning(nano)
    _, report = ttt.read(twin, ttt.init_state(twin), ids[: found.ids.size])
    np.testing.assert_array_equal(found.frozen.ravel(), report.nll)
    assert found.gain.shape == (6, nano.config.chunk)


def test_weights_of_a_time_are_those_after_so_many_chunks(nano, ids, found):
    assert sorted(found.weights) == [0, 2, 4, 6]
    state, _ = ttt.read(nano, ttt.init_state(nano), ids[: 4 * nano.config.chunk])
    jax.tree.map(np.testing.assert_array_equal, found.weights[4], state.fast)


def test_rows_are_chunks_with_the_token_before(nano, ids, found):
    chunk = nano.config.chunk
    assert found.rows[0, 0] == nano.config.bos
    np.testing.assert_array_equal(found.rows[1], ids[chunk - 1 : 2 * chunk])


def test_reading_again_knows_the_weights_and_an_empty_window(nano, found):
    twin = ttt.without_learning(ttt.merge(found.weights[4], ttt.split(nano)[1]))
    nats = walk.reread(nano, found.weights[4], found.rows)
    for row, got in zip(found.rows, nats, strict=True):
        _, report = ttt.meta_loss(twin, jax.numpy.asarray(row))
        np.testing.assert_allclose(got, report.nll, rtol=2e-5, atol=2e-5)
    before = walk.reread(nano, found.weights[0], found.rows)
    assert np.abs(nats - before).max() > 1e-3


def test_the_first_chunk_read_again_with_w0_costs_what_it_did(nano, found):
    nats = walk.reread(nano, found.weights[0], found.rows[:1])
    np.testing.assert_allclose(nats[0], found.learning[0], rtol=2e-5, atol=2e-5)


def test_a_shuffled_text_has_the_same_tokens(ids):
    other = walk.shuffled(ids)
    assert (other != ids).any()
    np.testing.assert_array_equal(np.sort(other), np.sort(ids))


def test_times_are_spread_over_the_text():
    assert walk.spread(0, 128, 5) == [0, 32, 64, 96, 128]
    assert walk.spread(3, 5, 100) == [3, 4, 5]


@pytest.mark.parametrize(
    "many, times, sentence",
    [(0.5, (), "two chunks of"), (4, (9,), "from 0 to 4: got 0 to 9")],
)
def test_what_cannot_be_looked_at_is_said(nano, ids, many, times, sentence):
    with pytest.raises(ValueError, match=sentence):
        walk.take(nano, ids[: int(many * nano.config.chunk)], times=times)


def test_a_model_that_never_learns_is_refused(nano, ids):
    with pytest.raises(ValueError, match="does not learn while reading"):
        walk.take(ttt.without_learning(nano), ids)
