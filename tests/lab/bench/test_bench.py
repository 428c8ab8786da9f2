"""Benchmarks: what they measure on a model small enough to check."""

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import plots, results
from lab.bench import reading, speed
from lab.bench.remat import measure_remat
from lab.bench.training import measure_training
from lab.commands.bench import show_everything
from lab.training.machine import measure_peak


@pytest.fixture(scope="module")
def model():
    config = ttt.preset("nano").replace(d_model=16, layers=2, window=16, chunk=8)
    return config.replace(d_ff=16, d_fast=16).build(key=jax.random.key(0))


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


@pytest.fixture(scope="module")
def costs(model):
    """Costs of a learner, of full attention, and of one that has both mixers."""
    mixers = {"full": ("full",), "hybrid": ("window", "full")}
    models = {"learner": model} | {
        name: model.config.replace(lr=0.0, mixers=kinds).build(key=jax.random.key(0))
        for name, kinds in mixers.items()
    }
    told = []
    found = reading.measure_reading(
        models, contexts=(600, 1100), repeats=1, report=lambda *at: told.append(at)
    )
    return found, models, told


def test_reading_is_timed_at_each_context_by_pieces_that_suit(costs):
    found, _, told = costs
    assert [cost.system for cost in found] == ["learner", "full", "hybrid"]
    assert [cost.piece for cost in found] == [8, 512, 16]
    assert found[0].positions.tolist() == [512, 600, 1096]
    assert found[1].positions.tolist() == [512, 512, 1024], "whole pieces"
    for cost in found:
        assert (cost.reading > 0).all() and (cost.writing > 0).all()
        assert cost.compile_seconds > 0 and cost.flatness > 0
    assert told[-1] == ("hybrid", 1100) and ("learner", 512) in told


def test_a_learners_words_bear_their_share_of_its_steps(costs):
    (learner, full, _), *_ = costs
    assert (learner.writing > learner.reading).all() and learner.learns
    assert not full.learns


def test_a_prompt_costs_the_mean_of_what_its_tokens_cost(costs):
    (cost, *_), *_ = costs
    at, each = cost.positions, cost.reading
    parts = (each[0] + each[1]) / 2 * (at[1] - at[0])
    assert cost.prompt[0] == each[0]
    assert cost.prompt[1] == pytest.approx((at[0] * each[0] + parts) / at[1])


def test_only_full_attention_remembers_more_and_more(costs):
    (learner, full, hybrid), models, _ = costs
    state = ttt.init_state(models["learner"])
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert set(learner.state_bytes) == {held}
    config = models["full"].config
    keys_and_values = 2 * config.kv_heads * config.head_dim * 4
    tokens = full.positions[2] - full.positions[1]
    grown = config.layers * tokens * keys_and_values
    assert full.state_bytes[2] - full.state_bytes[1] == grown
    tokens = hybrid.positions[2] - hybrid.positions[1]
    assert hybrid.state_bytes[2] - hybrid.state_bytes[1] == tokens * keys_and_values


def test_a_jump_leaves_the_state_that_reading_leaves(costs):
    """But for what is in the buffers."""
    _, models, _ = costs
    tokens = np.arange(48) % 250
    start = ttt.init_state(models["hybrid"], capacity=64)
    read, _ = ttt.read(models["hybrid"], start, tokens)
    part, _ = ttt.read(models["hybrid"], start, tokens[:32])
    jumped = reading._roomy(reading._jump(part, 48), 16)
    assert jax.tree.map(np.shape, jumped) == jax.tree.map(np.shape, read)
    buffers = lambda s: [
        leaf
        for leaf in jax.tree.leaves(s.mixers, is_leaf=reading._is_full)
        if reading._is_full(leaf)
    ]
    for ours, theirs in zip(buffers(jumped), buffers(read), strict=True):
        assert np.array_equal(ours.count, theirs.count)
        assert (np.abs(ours.keys[..., :48, :]) > 0).all() and ours.keys.std() > 0.5
    assert int(jumped.position) == int(read.position)


def test_contexts_within_the_first_windows_are_refused(model):
    with pytest.raises(ValueError, match="a context of more than 32 tokens"):
        reading.measure_reading({"learner": model}, contexts=(32,))
    with pytest.raises(ValueError, match="`repeats` must be >= 1: got 0"):
        reading.measure_reading({"learner": model}, contexts=(64,), repeats=0)


def test_full_attention_has_no_window_to_be_filled():
    config = ttt.preset("nano").replace(mixers=("full",), window=8192, fast_blocks=0)
    model = config.build(key=jax.random.key(0))
    (cost,) = reading.measure_reading({"full": model}, contexts=(1024,), repeats=1)
    assert list(cost.positions) == [512, 1024]


@pytest.mark.slow
def test_rematerialisation_takes_less_memory(model):
    found = measure_remat(model, seq=256, choices=(None, 1))
    assert 0 < found[1] < found[None]


def fast(what, ms, share):
    return speed.Speed(what, "chunk", ms, 64e3 / ms, 100.0, share)


def test_speeds_of_now_and_before_stand_side_by_side(capsys):
    earlier = speed.SpeedBench("m", 2, 5, 100.0, (fast("a", 8.0, 0.1),), 30.0)
    rows = fast("a", 4.0, 0.3), fast("new", 500.0, 0.02)
    result = speed.SpeedBench("m", 2, 5, 120.0, rows, 10.0).beside(earlier)
    assert result.pairs() == [(rows[0], earlier.rows[0]), (rows[1], None)]
    assert results.open_result(results.to_json(result), speed.SpeedBench) == result

    show_everything(result)
    said = capsys.readouterr().out
    assert "x 2.00" in said and "30.0%" in said and "(100 before)" in said
    assert "first step: 10.0 s (30.0 s before)" in said
    shares = plots.result_figures("bench-all", result)["shares"]
    assert {bar.name: list(bar.x) for bar in shares.data} == {
        "now": [30.0, 2.0],
        "before": [10.0, None],
    }
    show_everything(earlier)
    assert "before" not in capsys.readouterr().out


@pytest.mark.slow
def test_everything_is_timed_in_turns(model):
    told = []
    report = lambda *at: told.append(at)
    knobs = {"seq": 32, "batch": 2, "repeats": 1, "report": report}
    peak, rows, first = speed.measure_speed(model, **knobs)
    names = [row.what for row in rows]
    assert told[0] == (names[0], 0) and told[-1] == ("training step", 2)
    assert len(set(names)) == len(names) and first > 0
    for row in rows:
        assert 0 < row.share_of_peak < 1 and row.ms > 0, row
        per_unit = row.mflop * 1e6 / (row.ms / 1e3)
        assert per_unit / peak == pytest.approx(row.share_of_peak)
    by = {row.what: row for row in rows}
    assert by["chunk"].mflop == by["chunk in a text"].mflop
    assert by["chunk"].mflop > by["chunk, twin"].mflop


def test_speeds_need_a_learner_and_a_turn(model):
    with pytest.raises(ValueError, match="`repeats` must be >= 1: got 0"):
        speed.measure_speed(model, repeats=0)
    with pytest.raises(ValueError, match="never learns.*such as tiny-e2e"):
        speed.measure_speed(ttt.without_learning(model))
