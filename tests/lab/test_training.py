"""The trainer: it learns, it resumes to the bit, it refuses what makes no sense."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from small_experiment import small_experiment, write_texts

import ttt_core as ttt
from lab import devices, held_out, resuming, runs, settings, train


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(held_out, "CARD", {"count": 2, "length": 64})
    return small_experiment(write_texts(tmp_path / "texts"))


def losses(folder) -> list[float]:
    return [line["loss"] for line in runs.read_metrics(folder / "metrics.jsonl")]


@pytest.mark.slow
def test_training_lowers_the_loss(experiment, tmp_path):
    longer = in_every_stage(experiment, tokens=40 * 4 * 32)
    train.train(longer, run=tmp_path / "run")
    found = losses(tmp_path / "run")
    assert np.mean(found[-5:]) < np.mean(found[:5]) - 0.5


def test_a_run_folder_belongs_to_one_experiment(experiment, tmp_path):
    run = tmp_path / "run"
    train.train(experiment, run=run, until="pretrain")
    assert len(losses(run)) == 4
    other = settings.override(experiment, ("lr=1e-3", "clip=2"))
    with pytest.raises(ValueError, match=r"other settings \(clip, pretrain.lr\)"):
        train.train(other, run=run)
    # A stage that has not begun may still be changed, and then the run goes on.
    later = settings.override(experiment, ("extend.lr=1e-3",))
    train.train(later, run=run)
    assert len(losses(run)) == 7
    with pytest.raises(ValueError, match=r"other settings \(extend.lr\)"):
        train.train(experiment, run=run)


def test_a_run_goes_on_where_it_was_begun_or_says_so(experiment, tmp_path):
    run = tmp_path / "run"
    train.train(experiment, run=run, until="pretrain")
    before = json.loads((run / "devices.json").read_text())
    assert before["devices"] == 2  # the tests have two CPU devices
    (run / "devices.json").write_text(json.dumps(before | {"devices": 3}))
    with pytest.raises(ValueError, match="begun on 3 cpu device.*--elastic"):
        train.train(experiment, run=run)
    said = []
    train.train(experiment, run=run, until="pretrain", say=said.append, elastic=True)
    assert "may differ" in said[0]
    (run / "devices.json").write_text(json.dumps(before | {"cores": 77}))
    train.train(experiment, run=run, until="pretrain", say=said.append)
    assert "on 77 core" in said[1]


def test_a_diverging_run_stops_and_says_what_to_try(experiment, tmp_path):
    wild = in_every_stage(experiment, lr=float("inf"), warmup=0.0)
    with pytest.raises(FloatingPointError, match="Try half the outer rate"):
        train.train(wild, run=tmp_path / "run")


def test_the_best_checkpoint_is_kept_beside_the_newest(experiment, tmp_path):
    run = tmp_path / "run"
    with resuming.Checkpoints(run) as found:
        assert (found.newest, found.best) == (0, None)
        for step, loss in enumerate((3.0, 1.0, None, 2.0, 4.0), start=1):
            array = jax.numpy.full(3, step, jax.numpy.float32)
            found.save(step, array, array, {"next_index": step}, loss)
        assert (found.newest, found.best) == (5, 2)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["2", "4", "5"]
    with resuming.Checkpoints(run) as found:
        at = found.restore(jax.numpy.zeros(3), jax.numpy.zeros(3))
    assert (at.step, at.data, float(at.model[0])) == (5, {"next_index": 5}, 5.0)


@pytest.mark.slow
def test_sharing_the_batch_among_devices_changes_nothing(experiment):
    phase = experiment.phases[0]
    assert devices.data_mesh(phase).size == 2  # the tests have two CPU devices
    optimizer = train.make_optimizer(experiment, phase.stage)
    model = phase.model.build(key=jax.random.key(0))
    tokens = np.random.default_rng(0).integers(0, 256, (4, 33)).astype(np.int32)
    loss, _, grads = ttt.meta_gradient(model, jax.numpy.asarray(tokens), rate=0.1)
    init = optimizer.init(jax.tree.map(lambda x: x, grads))
    step = devices.compile_step(phase, optimizer)
    _, _, measured = step(model, init, tokens, 0.1)
    np.testing.assert_allclose(measured["loss"], loss, rtol=1e-5)
    norm = ttt.global_norm(grads)
    np.testing.assert_allclose(measured["grad_norm"], norm, rtol=1e-5)


def in_every_stage(experiment, **changes):
    stages = tuple(dataclasses.replace(s, **changes) for s in experiment.stages)
    return dataclasses.replace(experiment, stages=stages)


def test_a_metrics_file_that_was_cut_off_is_continued(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}\n{"step": 2}\n{"st')
    metrics = runs.Metrics(path, 2)
    metrics.write({"step": 2})
    assert [line["step"] for line in runs.read_metrics(path)] == [0, 1, 2]
