"""The trainer: it learns, it resumes to the bit, it refuses what makes no sense."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, runs, training_session
from lab.experiment import Experiment
from lab.recipes import RECIPES


WORDS = "the quick brown fox jumps over the lazy dog and reads a book of words "


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "texts"
    folder.mkdir()
    for i in range(4):
        (folder / f"{i}.txt").write_text(WORDS * 30)
    model = ttt.preset("nano").replace(d_model=16, layers=2, window=16, chunk=8)
    return Experiment(
        name="small",
        model=model.replace(d_ff=16, d_fast=16),
        tokenizer="bytes",
        corpus=str(folder),
        tokens=6 * 4 * 64,
        seq=64,
        batch=4,
        accumulate=2,
        lr=1e-2,
    )


def losses(folder) -> list[float]:
    return [line["loss"] for line in runs.read_metrics(folder / "metrics.jsonl")]


def same(a, b) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def test_a_killed_run_goes_on_to_the_same_numbers(experiment, tmp_path, monkeypatch):
    from lab import train

    whole = train.train(experiment, run=tmp_path / "whole", report=quiet)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY_S", 0.0)

    class Killed(Exception):
        pass

    def kill_at_3(line, _):
        if line["step"] == 3:
            raise Killed

    with pytest.raises(Killed):
        train.train(experiment, run=tmp_path / "cut", report=kill_at_3)
    resumed = train.train(experiment, run=tmp_path / "cut", report=quiet)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "cut")) == experiment.steps
    assert same(resumed, whole)


@pytest.mark.slow
def test_training_lowers_the_loss(experiment, tmp_path):
    from lab import train

    longer = dataclasses.replace(experiment, tokens=30 * 4 * 64)
    train.train(longer, run=tmp_path / "run", report=quiet)
    found = losses(tmp_path / "run")
    assert np.mean(found[-5:]) < np.mean(found[:5]) - 0.5


def test_a_run_folder_belongs_to_one_experiment(experiment, tmp_path):
    from lab import train

    train.train(experiment, run=tmp_path / "run", report=quiet)
    other = dataclasses.replace(experiment, lr=1e-3)
    with pytest.raises(ValueError, match=r"other settings \(lr\)"):
        train.train(other, run=tmp_path / "run", report=quiet)


def test_a_diverging_run_stops_and_says_what_to_try(experiment, tmp_path, monkeypatch):
    from lab import train

    wild = dataclasses.replace(experiment, lr=float("inf"), warmup=0.0)
    with pytest.raises(FloatingPointError, match="Try half the outer rate"):
        train.train(wild, run=tmp_path / "run", report=quiet)


@pytest.mark.slow
def test_sharing_the_batch_among_devices_changes_nothing(experiment, tmp_path):
    from lab import train

    assert train.data_mesh(experiment).size == 2  # the tests have two CPU devices
    odd = dataclasses.replace(experiment, batch=3, accumulate=1)
    assert train.data_mesh(odd).size == 1
    optimizer = train.make_optimizer(experiment)
    model = experiment.model.build(key=jax.random.key(0))
    tokens = np.random.default_rng(0).integers(0, 256, (4, 65)).astype(np.int32)
    loss, _, grads = ttt.meta_gradient(model, jax.numpy.asarray(tokens), rate=0.1)
    init = optimizer.init(jax.tree.map(lambda x: x, grads))
    step = train.compile_step(experiment, optimizer)
    _, _, measured = step(model, init, tokens, 0.1)
    np.testing.assert_allclose(measured["loss"], loss, rtol=1e-5)
    norm = ttt.global_norm(grads)
    np.testing.assert_allclose(measured["grad_norm"], norm, rtol=1e-5)


def test_a_recipe_runs_to_a_model_with_a_card(experiment, tmp_path, monkeypatch):
    class Recipe:
        SIZES = ("nano",)

        @staticmethod
        def experiment(size):
            return dataclasses.replace(experiment, corpus="sotu", tokens=2 * 4 * 64)

    monkeypatch.setitem(RECIPES, "small", Recipe)
    monkeypatch.setattr(training_session, "HELD_OUT", {"count": 2, "length": 64})
    monkeypatch.setattr(checkpoints, "PUBLISHED", tmp_path / "published")
    path = training_session.run_recipe(
        "small", size="nano", overrides=("lr=2e-2", "model.lr=0.5"), publish=True
    )
    card = json.loads(path.read_text())
    assert path == tmp_path / "published" / "small.json"
    assert card["tokens_seen"] == 512
    assert card["experiment"]["lr"] == 2e-2
    assert {"command", "commit", "seed", "data_hash"} <= set(card)
    assert {"loss_learning", "loss_frozen"} <= set(card["held_out"])
    assert checkpoints.load("small").config.inner.lr == 0.5


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lrr=1", "did you mean 'lr'"),
        ("model.windw=1", "did you mean 'window'"),
        ("lr", "settings look like lr=2e-3"),
        ("lr=fast", "takes a value like 0.01"),
        ("batch=0", "`batch` must be >= 1"),
        ("accumulate=3", "`accumulate` must divide"),
        ("warmup=2", "a share of the steps"),
    ],
)
def test_settings_that_make_no_sense_are_refused(experiment, setting, message):
    with pytest.raises(ValueError, match=message):
        training_session.override(experiment, (setting,))


def test_settings_reach_the_experiment_and_the_model(experiment):
    settings = ("tokens=1e6", "remat=4", "model.window=32", "model.clip=0.5")
    changed = training_session.override(experiment, settings)
    assert (changed.tokens, changed.remat) == (1_000_000, 4)
    assert changed.model.window == 32
    assert changed.model.inner.clip == 0.5


def test_the_inner_rate_warms_up_from_a_tenth(experiment):
    longer = dataclasses.replace(experiment, tokens=100 * 4 * 64)
    assert longer.inner_rate(0) == pytest.approx(0.19)
    assert longer.inner_rate(9) == pytest.approx(1.0)
    assert longer.inner_rate(99) == 1.0


def test_every_recipe_builds_at_every_size():
    for recipe in RECIPES.values():
        assert recipe.QUESTION and recipe.COST and recipe.EXPECTED
        for size in recipe.SIZES:
            assert recipe.experiment(size).steps > 0


def test_a_metrics_file_that_was_cut_off_is_continued(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}\n{"step": 2}\n{"st')
    metrics = runs.Metrics(path, 2)
    metrics.write({"step": 2})
    assert [line["step"] for line in runs.read_metrics(path)] == [0, 1, 2]


def quiet(line, experiment):
    del line, experiment
