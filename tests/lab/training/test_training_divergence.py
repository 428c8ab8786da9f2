"""A training that goes wrong stops, keeps what was good, and says what to try."""

import dataclasses

import jax
import numpy as np
import pytest
from small_experiment import small_experiment, write_texts

from lab import runs
from lab.training import divergence, held_out, resuming
from lab.training import loop as train
from lab.training.conduct import Conduct


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """One stage of 60 steps, 6 of them warm-up."""
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TTT_LAB_QUICK", "1")
    monkeypatch.setattr(held_out, "WATCH", {"tokens": 64, "length": 32})
    small = small_experiment(write_texts(tmp_path / "texts"))
    stage = dataclasses.replace(small.stages[0], tokens=60 * 4 * 32)
    return dataclasses.replace(small, stages=(stage,), checks=6, gain_every=0)


def lines(losses, start=0):
    return [
        {"step": start + i, "stage": "pretrain", "loss": loss}
        for i, loss in enumerate(losses)
    ]


def first_wrong(phase, losses):
    """The step at which something is said to be wrong, and what."""
    watch = divergence.Divergence(phase)
    found = ((line["step"], watch.see(line)) for line in lines(losses))
    return next(((step, said) for step, said in found if said), None)


def test_a_jump_that_stays_is_divergence_and_one_that_passes_is_not(experiment):
    (phase,) = experiment.phases
    steady = [3.0 + 0.01 * (i % 3) for i in range(20)]
    assert first_wrong(phase, steady + [4.5] * 9 + steady) is None
    step, said = first_wrong(phase, steady + [4.5] * 12)
    assert step == 29 and "jumped from 3.010 to 4.500" in said
    assert first_wrong(phase, steady + [3.9] * 20) is None  # less than one nat
    noisy = [3.0 + i % 3 for i in range(20)]  # median 4, steps of 1: up to 10
    assert first_wrong(phase, noisy + [9.9] * 12) is None
    assert first_wrong(phase, noisy + [10.1] * 12)[0] == 29


def test_a_loss_that_was_falling_fast_may_jump_too(experiment):
    (phase,) = experiment.phases
    falling = [6.0 - 0.1 * i for i in range(36)]  # down to 2.5, its median 4.25
    assert first_wrong(phase, falling + [5.2] * 12) is None  # 0.95 above the median
    assert first_wrong(phase, falling + [5.8] * 12)[0] == 45


def test_nothing_is_a_jump_during_the_warm_up(experiment):
    slow = dataclasses.replace(experiment.stages[0], warmup=0.5)
    (phase,) = dataclasses.replace(experiment, stages=(slow,)).phases
    assert first_wrong(phase, [3.0] * 15 + [9.0] * 14) is None
    assert first_wrong(phase, [3.0] * 31 + [9.0] * 10)[0] == 40


@pytest.mark.parametrize("name", divergence.FINITE)
def test_a_number_that_is_none_is_seen_at_once(experiment, name):
    (phase,) = experiment.phases
    watch = divergence.Divergence(phase)
    (line,) = lines([3.0])
    assert "is nan at step 0" in watch.see(line | {name: float("nan")})
    assert watch.since == 0


def test_a_resumed_watch_decides_as_one_that_was_never_stopped(experiment):
    (phase,) = experiment.phases
    told = lines([3.0] * 20 + [4.5] * 9)
    other = [line | {"stage": "other", "loss": 99.0} for line in told]
    resumed = divergence.Divergence(phase, [*other, *told])
    assert resumed.since == 20
    assert "has stayed above 4.000" in resumed.see(lines([4.5], 29)[0])


class _Noise:
    """Batches that turn to noise after some steps: what was learned is worth less."""

    def __init__(self, data, good: int):
        self.data, self.good, self.draw = data, good, np.random.default_rng(0)

    def __next__(self):
        batch, self.good = next(self.data), self.good - 1
        if self.good < 0:
            batch["tokens"] = self.draw.integers(0, 256, batch["tokens"].shape)
        return batch

    def get_state(self):
        return self.data.get_state()


def test_a_run_whose_loss_jumps_stops_and_keeps_what_was_good(
    experiment, tmp_path, monkeypatch
):
    run, open_data = tmp_path / "run", train.open_data
    monkeypatch.setattr(train, "open_data", lambda *a: _Noise(open_data(*a), 35))
    with pytest.raises(FloatingPointError) as stopped:
        train.train(experiment, run, Conduct(checkpoint_every=0))
    said = str(stopped.value)
    assert "the loss jumped" in said and "up to step 44: training diverged" in said
    assert "good checkpoint is that of step 34, the best that of step 30" in said
    assert "--set pretrain.lr=0.005" in said and "--set model.lr=0.5" in said
    assert len(runs.read_metrics(run / "metrics.jsonl")) == 45
    with resuming.Checkpoints(run) as found:
        assert (found.newest, found.best) == (34, 30)


def test_a_run_whose_weights_blow_up_stops_and_keeps_good_ones(
    experiment, tmp_path, monkeypatch
):
    stages = (dataclasses.replace(experiment.stages[0], warmup=0.0),)
    wild = dataclasses.replace(experiment, stages=stages)
    monkeypatch.setattr(train, "make_schedule", lambda stage: lambda step: np.inf)
    with pytest.raises(
        FloatingPointError, match="the update norm is (nan|inf) at step"
    ):
        train.train(wild, tmp_path / "run", Conduct(checkpoint_every=0))
    with resuming.Checkpoints(tmp_path / "run") as found:
        if found.newest:
            at = found.restore(*train.beginning(wild, found.newest))
            leaves = jax.tree.leaves(at.model)
            assert all(np.isfinite(a).all() for a in leaves if hasattr(a, "dtype"))
