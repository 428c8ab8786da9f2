"""One layer by hand: outer products, tables of bytes, what a step is worth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lab.lessons import by_hand
from lab.plots import by_hand as plots
from lab.plots import rates as rate_plots


TEXT = "abracadabra, said the cat, and the cat sat on the mat. " * 40


@pytest.fixture(scope="module")
def start():
    return by_hand.table(["the quick brown fox jumps over the lazy dog. " * 20])


def test_crosstalk_in_a_matrix_follows_its_law():
    found = by_hand.capacity(jax.random.key(0), (1, 16, 32), width=32, draws=64)
    np.testing.assert_allclose(found.once, [0, 15 / 32, 31 / 32], atol=0.05)
    assert found.one_by_one[0] < 1e-9
    assert (found.one_by_one[1:] < found.once[1:]).all()
    assert len(plots.capacity(found).data) == 3


def test_the_table_by_counting_is_where_descent_would_end():
    text = 20 * TEXT
    table = by_hand.table([text])
    x, y = by_hand.pairs_of(by_hand.as_bytes(text), len(text.encode()) - 1)
    grads = jax.grad(by_hand.loss)(table, x[0], y[0])
    assert float(jnp.abs(grads).max()) < 1e-3  # smoothing keeps it from zero
    moved = table + 0.1 * jax.random.normal(jax.random.key(0), table.shape)
    assert by_hand.loss(table, x[0], y[0]) < by_hand.loss(moved, x[0], y[0])


def test_a_chunk_is_scored_before_it_is_learned_from(start):
    ids = by_hand.as_bytes(TEXT)
    found = by_hand.sweep(start, ids, [0.0, 10.0], chunk=64)
    np.testing.assert_allclose(found.gain[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(found.gain[0], 0, atol=1e-6)
    assert found.gain[1, 1:].mean() > 0.1 and found.drift[0].max() == 0
    rate_plots.gain_by_rate(found, naive=True).to_json()


def test_one_step_saves_more_on_its_own_chunk_than_on_the_next(start):
    found = by_hand.one_step(start, by_hand.as_bytes(TEXT), [3.0, 30.0], chunk=64)
    assert (found.taught > found.after).all() and found.taught[1] > found.taught[0]
    assert len(plots.one_step(found).data) == 2
