"""Evaluations and benchmarks: what they measure on a model small enough to check."""

import jax
import numpy as np
import pytest
from scipy import stats

import ttt_core as ttt
from lab.bench.reading import measure_reading
from lab.bench.remat import measure_remat
from lab.bench.training import measure_peak, measure_training
from lab.evals.gain import measure_gain, paired_interval


@pytest.fixture(scope="module")
def model():
    config = ttt.preset("nano").replace(d_model=16, layers=2, window=16, chunk=8)
    return config.replace(d_ff=16, d_fast=16).build(key=jax.random.key(0))


@pytest.fixture(scope="module")
def passages():
    return np.tile(np.arange(40, dtype=np.int32), (3, 4)) + np.arange(3)[:, None]


def test_learning_from_a_repeating_text_is_a_gain(model, passages):
    gain = measure_gain(model, passages, parts=4)
    assert gain.difference > 0
    assert gain.low < gain.difference < gain.high
    assert np.allclose(gain.frozen - gain.learning, gain.difference, atol=0.5)
    assert gain.by_position[-1] > gain.by_position[0]


def test_the_frozen_twin_gains_exactly_nothing(model, passages):
    gain = measure_gain(ttt.without_learning(model), passages)
    assert np.array_equal(gain.learning, gain.frozen)
    assert not gain.by_position.any()


def test_the_interval_is_students(model):
    differences = np.array([0.1, 0.2, 0.4, 0.15])
    mean, low, high = paired_interval(differences)
    known = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert np.allclose([mean, low, high], [differences.mean(), known.low, known.high])


def test_one_passage_has_no_interval(model, passages):
    with pytest.raises(ValueError, match="two passages or more"):
        measure_gain(model, passages[:1])


def test_training_is_timed_by_the_trainers_own_step(model):
    systems = {"meta": model.config, "plain": model.config.replace(lr=0.0)}
    told = []
    report = lambda *what: told.append(what)
    found = measure_training(systems, seqs=(32,), tokens=64, repeats=1, report=report)
    assert told == [("meta", 32), ("plain", 32)]
    meta, plain = found
    assert (meta.batch, meta.seq) == (2, 32)
    assert 1 < meta.flops_per_token / plain.flops_per_token < 3
    assert min(meta.temporary_bytes, meta.compile_seconds, meta.step_seconds) > 0
    rate = meta.flops_per_token * 64 / meta.step_seconds
    assert meta.share(2 * rate) == pytest.approx(0.5)


def test_the_peak_is_that_of_products():
    small = measure_peak(64, repeats=3)
    assert 1e6 < small < 1e14


def test_reading_is_timed_early_and_late(model):
    tokens = np.arange(400) % 250
    found = measure_reading(model, tokens, late=300, repeats=3)
    assert found.late_position == 296
    assert found.early.shape == found.late.shape == (3,)
    assert found.ratio > 0 and found.tokens_per_second > 0
    state = ttt.init_state(model)
    assert found.state_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    with pytest.raises(ValueError, match="a smaller --late"):
        measure_reading(model, tokens, late=500)


@pytest.mark.slow
def test_rematerialisation_takes_less_memory(model):
    found = measure_remat(model, seq=256, choices=(None, 1))
    assert 0 < found[1] < found[None]
