"""The trainer: it learns, it resumes to the bit, it refuses what makes no sense."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from data.zarr_stores import write
from small_experiment import small_experiment, write_texts

import ttt_core as ttt
from lab import checkpoints, runs
from lab.commands.train import train_experiment
from lab.recipes import settings
from lab.training import devices, held_out, machine, resuming
from lab.training import loop as train
from lab.training.conduct import Conduct
from lab.training.flops import train_flops_per_token


PRETRAIN = Conduct(until="pretrain")


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TTT_LAB_QUICK", "1")  # the machine's peak is not measured
    monkeypatch.setattr(held_out, "CARD", {"count": 2, "length": 64})
    return small_experiment(write_texts(tmp_path / "texts"))


def losses(folder) -> list[float]:
    return [line["loss"] for line in runs.read_metrics(folder / "metrics.jsonl")]


@pytest.mark.slow
def test_training_lowers_the_loss(experiment, tmp_path):
    longer = in_every_stage(experiment, tokens=40 * 4 * 32)
    train.train(longer, tmp_path / "run")
    found = losses(tmp_path / "run")
    assert np.mean(found[-5:]) < np.mean(found[:5]) - 0.5


def test_a_run_folder_belongs_to_one_experiment(experiment, tmp_path):
    run = tmp_path / "run"
    train.train(experiment, run, PRETRAIN)
    assert len(losses(run)) == 4
    other = settings.override(experiment, ("lr=1e-3", "clip=2"))
    with pytest.raises(ValueError, match=r"other settings \(clip, pretrain.lr\)"):
        train.train(other, run)
    # A stage that has not begun may still be changed, and then the run goes on.
    later = settings.override(experiment, ("extend.lr=1e-3",))
    train.train(later, run)
    assert len(losses(run)) == 7
    with pytest.raises(ValueError, match=r"other settings \(extend.lr\)"):
        train.train(experiment, run)


def test_a_run_goes_on_where_it_was_begun_or_says_so(experiment, tmp_path):
    run = tmp_path / "run"
    train.train(experiment, run, PRETRAIN)
    before = json.loads((run / "devices.json").read_text())
    assert before["devices"] == 2  # the tests have two CPU devices
    (run / "devices.json").write_text(json.dumps(before | {"cores": 77}))
    assert "on 77 core" in resuming.claim_devices(run)
    (run / "devices.json").write_text(json.dumps(before | {"devices": 3}))
    with pytest.raises(ValueError, match="started on 3 cpu device.*--elastic"):
        train.train(experiment, run)
    said = []
    train.train(experiment, run, PRETRAIN, say=said.append)
    assert said == [], "what is done can be looked at anywhere"
    train.train(experiment, run, Conduct(elastic=True), say=said.append)
    assert "may differ" in said[0]


@pytest.mark.parametrize("name", ["cut", "state"])  # "state": in older runs
def test_a_run_goes_on_with_weights_cut_as_they_were(tmp_path, name):
    resuming.claim_devices(tmp_path, cut=2)
    path = tmp_path / "devices.json"
    then = json.loads(path.read_text())
    path.write_text(json.dumps(then | {name: then.pop("cut")}))
    assert resuming.claim_devices(tmp_path, cut=2) is None
    with pytest.raises(ValueError, match=r"\(weights cut in 2\) on .*--elastic"):
        resuming.claim_devices(tmp_path)
    assert "may differ" in resuming.claim_devices(tmp_path, elastic=True)


def test_the_command_tells_what_it_trains_and_that_nothing_is_left(
    experiment, tmp_path, capsys
):
    run = tmp_path / "run"
    card = train_experiment(experiment, run)
    said = capsys.readouterr().out
    assert "extend step 7/7  loss " in said and "tokens/s  held out" in said
    assert "nothing left" not in said
    assert train_experiment(experiment, run) == card
    said = capsys.readouterr().out
    assert "nothing left to train" in said and "loss" not in said


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


def in_every_stage(experiment, **changes):
    stages = tuple(dataclasses.replace(s, **changes) for s in experiment.stages)
    return dataclasses.replace(experiment, stages=stages)


def read(model, tokens, mask=None, *, rate=1.0):
    """Loss of each sequence, and the nats of every token."""
    mask = np.ones_like(tokens[:, 1:], bool) if mask is None else mask
    one = lambda tokens, mask: ttt.meta_loss(model, tokens, mask, rate)
    losses, reports = jax.jit(jax.vmap(one))(tokens, mask)
    return np.asarray(losses), np.asarray(reports.nll)


def hashed(model) -> str:
    return checkpoints.model_hash(devices.gather(model))


def test_the_frozen_twin_reads_along_and_changes_nothing(experiment, tmp_path):
    found = {}
    for every in (1, 0):
        watched = dataclasses.replace(experiment, gain_every=every)
        run = tmp_path / f"every {every}"
        model = train.train(watched, run, PRETRAIN)
        lines = runs.read_metrics(run / "metrics.jsonl")
        found[every] = [line["loss"] for line in lines], hashed(model)
        assert ["gain" in line for line in lines] == [every == 1] * 4
        if every:
            first = lines[0]
    assert found[0] == found[1]
    phase = experiment.phases[0]
    model = phase.model.build(key=jax.random.key(0))
    tokens = next(train.open_data(phase))["tokens"]
    twin = ttt.without_learning(model)
    frozen = held_out.losses(twin, tokens).mean()
    np.testing.assert_allclose(first["frozen"], frozen, rtol=1e-6)
    assert first["gain"] == first["frozen"] - first["loss"]
    # the inner rate of the first step, a factor, is what the gain was measured at
    learning, _ = read(model, tokens, rate=first["inner_rate"])
    np.testing.assert_allclose(first["loss"], np.mean(learning), rtol=1e-5)


def test_a_share_of_the_measured_peak_is_told(experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_QUICK", "0")
    monkeypatch.setattr(machine, "measure_peak", lambda: 1e9)
    train.train(experiment, tmp_path / "run", PRETRAIN)
    phase = experiment.phases[0]
    flops = train_flops_per_token(phase.model, phase.seq, "meta")
    for line in runs.read_metrics(tmp_path / "run" / "metrics.jsonl"):
        share = line["tokens_per_s"] * flops / 1e9
        assert line["peak_share"] == pytest.approx(share)


def test_a_tracker_mirrors_every_line(experiment, tmp_path):
    pytest.importorskip("tensorboardX")
    run = tmp_path / "run"
    train.train(experiment, run, Conduct(until="pretrain", track="tensorboard"))
    assert list((run / "tensorboard").iterdir())
    with pytest.raises(ValueError, match="did you mean 'trackio'"):
        train.train(experiment, run, Conduct(track="trackoi"))


def test_answers_of_a_recall_mixture_are_counted_apart(experiment, tmp_path):
    corpus = f"recall:{experiment.stages[0].corpus}?share=1&density=12&nearest=16"
    stage = {"corpus": corpus, "seq": 768, "batch": 2, "tokens": 768 * 2, "lr": 1e-9}
    mixed = in_every_stage(experiment, **stage)
    train.train(mixed, tmp_path / "run", PRETRAIN)
    (line,) = runs.read_metrics(tmp_path / "run" / "metrics.jsonl")
    phase = mixed.phases[0]
    batch = next(train.open_data(phase))
    assert batch["answers"].any()
    model, rate = phase.model.build(key=jax.random.key(0)), line["inner_rate"]
    _, nll = read(model, batch["tokens"], rate=rate)
    far = batch["distances"] > 2 * 15
    np.testing.assert_allclose(line["answers"], nll[batch["answers"]].mean(), rtol=1e-5)
    np.testing.assert_allclose(line["answers_far"], nll[far].mean(), rtol=1e-5)
    assert 0 < far.sum() <= batch["answers"].sum()


def test_targets_that_nobody_can_predict_do_not_count(experiment, tmp_path):
    draw = np.random.default_rng(0)
    for split in ("train", "val"):
        tokens = draw.integers(0, 256, 2000)
        tokens[::3] = 256
        write(tmp_path / "store", split, tokens)
    stored = in_every_stage(experiment, corpus=f"zarr:{tmp_path / 'store'}")
    train.train(stored, tmp_path / "run", PRETRAIN)
    line = runs.read_metrics(tmp_path / "run" / "metrics.jsonl")[0]
    phase = stored.phases[0]
    batch = next(train.open_data(phase))
    model = phase.model.build(key=jax.random.key(0))
    masked, unmasked = (
        read(model, batch["tokens"], mask, rate=line["inner_rate"])[0].mean()
        for mask in (batch["mask"], np.ones_like(batch["mask"]))
    )
    np.testing.assert_allclose(line["loss"], masked, rtol=1e-5)
    assert abs(unmasked - masked) > 1e-2
    frozen = held_out.losses(ttt.without_learning(model), batch["tokens"]).mean()
    np.testing.assert_allclose(line["frozen"], frozen, rtol=1e-6)


def test_a_text_that_is_not_there_is_missed_before_the_first_step(
    experiment, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    extend = dataclasses.replace(experiment.stages[1], corpus="zarr:llama3-books3")
    stages = (experiment.stages[0], extend)
    absent = dataclasses.replace(experiment, stages=stages)
    with pytest.raises(FileNotFoundError, match="gcloud storage cp -r gs://llama3-boo"):
        train.train(absent, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_that_is_not_the_models_is_refused(experiment, tmp_path):
    other = dataclasses.replace(experiment, tokenizer="bpe-4k")
    with pytest.raises(ValueError, match="4096 entries .* 257; set model.vocab=4096"):
        train.train(other, tmp_path / "run")


def test_a_metrics_file_that_was_cut_off_is_continued(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}\n{"step": 2}\n{"st')
    metrics = runs.Metrics(path, 2)
    metrics.write({"step": 2})
    assert [line["step"] for line in runs.read_metrics(path)] == [0, 1, 2]


def test_a_damaged_line_of_a_metrics_file_takes_only_itself_away(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0}\n\xff{"st\n[1]\n{"loss": 1}\n{"step": 1}\n')
    assert [line["step"] for line in runs.read_metrics(path)] == [0, 1]
