"""Texts with rules of their own: the best reader, blindness, a training in small."""

import jax
import numpy as np
import pytest

from lab.lessons import own_rules
from lab.plots import own_rules as plots


SMALL = own_rules.World(symbols=4, follow=0.8, length=24)


@pytest.fixture(scope="module")
def texts():
    return own_rules.draw(3, 6, SMALL)


@pytest.fixture(scope="module")
def model():
    return own_rules.config(4, 1.0, SMALL).build(key=jax.random.key(0))


def test_texts_follow_their_own_rules_as_often_as_said():
    world = own_rules.World(symbols=8, follow=0.9, length=400)
    rows = own_rules.draw(0, 40, world)
    assert (rows[:, 0] == 8).all() and rows[:, 1:].max() == 7
    shares = []
    for row in rows[:, 1:]:
        counts = np.zeros((8, 8))
        np.add.at(counts, (row[:-1], row[1:]), 1)
        shares.append(counts.max(axis=1).sum() / counts.sum())
    assert abs(np.mean(shares) - (0.9 + 0.1 / 8)) < 0.01
    assert not np.array_equal(rows[0], rows[1])


def test_the_best_reader_is_bayes_rule_written_out():
    """Against a sum over all rules of three symbols, which are few enough to list."""
    world = own_rules.World(symbols=3, follow=0.7, length=6)
    rows = own_rules.draw(5, 4, world)
    rules = np.stack(np.meshgrid(*[range(3)] * 3), axis=-1).reshape(-1, 3)
    for row, nats in zip(rows[:, 1:], own_rules.best(rows, world), strict=True):
        weight = np.full(len(rules), 1 / len(rules))
        expected = [np.log(3)]
        for here, there in zip(row[:-1], row[1:], strict=True):
            likely = 0.7 * (rules[:, here] == there) + 0.1
            expected.append(-np.log(weight @ likely))
            weight = weight * likely / (weight @ likely)
        np.testing.assert_allclose(nats, expected, rtol=1e-12)


def test_without_learning_only_the_symbol_before_counts(model, texts):
    frozen = own_rules.as_learner(model, 4, 0.0)
    other = texts.copy()
    other[:, 3] = (other[:, 3] + 1) % 4
    same = own_rules.read(frozen, other) == own_rules.read(frozen, texts)
    assert same[:, 4:].all() and not same[:, 2:4].all()
    learning = own_rules.read(model, other) == own_rules.read(model, texts)
    assert not learning[:, 4:].all()


def test_the_first_chunk_is_read_as_the_frozen_twin_reads_it(model, texts):
    shot = own_rules.look(0, model, texts)
    np.testing.assert_allclose(shot.learning[:4], shot.frozen[:4], atol=1e-6)
    assert np.abs(shot.learning[4:] - shot.frozen[4:]).max() > 1e-3


def test_meta_training_makes_a_start_that_learns_better(model, texts):
    many = own_rules.draw(9, 32, SMALL)
    shots = list(own_rules.train(model, many, steps=60, keep=25, world=SMALL))
    found = own_rules.progress(shots)
    assert found.steps.tolist() == [0, 25, 50, 60]
    assert found.learning.shape == found.frozen.shape == (4, SMALL.length)
    floor = own_rules.best(many, SMALL)
    before, after = (
        own_rules.saved(found.learning[i], floor, SMALL) for i in (0, len(shots) - 1)
    )
    assert before + 0.1 < after < 1
    levels = {"best": floor.mean()}
    assert len(plots.over_training(found, levels, until=100).data) == 3
    curves = {"b16": found.learning[-1], "best": floor.mean(axis=0)}
    assert len(plots.by_position(curves, title="").data[0].y) == SMALL.length // 4


def test_rates_are_tried_and_the_best_comes_first(model, texts):
    tried = own_rules.best_rate(model, texts, (0.0, 0.5, 50.0))
    assert len(tried) == 3 and list(tried.values()) == sorted(tried.values())
