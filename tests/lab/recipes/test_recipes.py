"""Recipes: each builds at each size, and a run leaves models with cards."""

import dataclasses
import functools
import json
import math

import jax
import numpy as np
import pytest
from small_experiment import small_experiment, write_texts
from synthetic_readings import text_of

import ttt_core as ttt
from lab import checkpoints, runs
from lab.commands import naive
from lab.commands import train as training
from lab.commands.sweep import grid
from lab.commands.train import Choice, train
from lab.measure.nats import Readings
from lab.measure.texts import Passage
from lab.recipes import RECIPES, sizes
from lab.recipes.settings import make_experiment
from lab.training import held_out
from lab.training.cards import publish_model
from lab.training.conduct import Conduct


TRAINED = [name for name, recipe in RECIPES.items() if hasattr(recipe, "experiment")]
RECURRENT = ("tiny-mamba2", "tiny-gdn", "tiny-kvb")
FAMILY = ("tiny-e2e", "tiny-swa", "tiny-full", "tiny-hybrid", *RECURRENT)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe called `small`, of seconds."""
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TTT_LAB_QUICK", "1")  # the machine's peak is not measured
    monkeypatch.setattr(runs, "usable_cores", lambda: 1)
    monkeypatch.setattr(held_out, "CARD", {"count": 2, "length": 64})
    monkeypatch.setattr(checkpoints, "PUBLISHED", tmp_path / "published")
    experiment = small_experiment(write_texts(tmp_path / "texts"))

    class Small:
        SIZES = ("nano",)

        @staticmethod
        def experiment(size):
            return experiment

    monkeypatch.setitem(RECIPES, "small", Small)
    return "small"


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_what_it_is_and_builds_at_every_size(name):
    recipe = RECIPES[name]
    assert recipe.QUESTION and recipe.COST and recipe.EXPECTED
    for size in recipe.SIZES if name in TRAINED else ():
        experiment = recipe.experiment(size)
        assert experiment.steps > 0
        assert experiment.method == ("meta" if experiment.model.learns else "plain")
    assert name in TRAINED or recipe.points_at("tiny") == "tiny-swa"


@pytest.mark.parametrize("size", sizes.SIZES)
def test_systems_of_a_size_see_the_same_text_in_the_same_order(size):
    found = [RECIPES[name].experiment(size) for name in FAMILY]
    told = [
        [dataclasses.replace(stage, rope_theta=None) for stage in experiment.stages]
        for experiment in found
    ]
    if size == "tiny":  # each at its own peak rate
        told = [[dataclasses.replace(first, lr=1), *rest] for first, *rest in told]
    assert all(stages == told[0] for stages in told)
    assert len({experiment.seed for experiment in found}) == 1
    assert len({experiment.tokenizer for experiment in found}) == 1


def test_peak_rates_are_among_those_that_were_swept():
    peaks = {name: RECIPES[name].experiment("tiny").stages[0].lr for name in FAMILY}
    assert set(peaks.values()) <= {2e-3, 4e-3, 8e-3}
    assert peaks["tiny-e2e"] == peaks["tiny-swa"] == 4e-3


def test_the_recall_recipe_differs_in_its_text_alone():
    plain = RECIPES["tiny-e2e"].experiment("tiny")
    mixed = RECIPES["tiny-e2e-recall"].experiment("tiny")
    assert mixed.name == "tiny-e2e-recall" and mixed.model == plain.model
    for ours, theirs in zip(mixed.stages, plain.stages, strict=True):
        assert ours.corpus == "recall:eltec-eng?share=0.5&density=8"
        assert dataclasses.replace(ours, corpus=theirs.corpus) == theirs


@pytest.mark.parametrize("name", ("tiny-full", "tiny-hybrid", *RECURRENT))
def test_the_tiny_recipe_trains_the_tiny_preset(name):
    assert RECIPES[name].experiment("tiny").model == ttt.preset(name)


@pytest.mark.parametrize("size", ["tiny", "nano", "small", "125m"])
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_systems_of_a_size_weigh_what_the_window_alone_does(name, size):
    def weight(config):
        shapes = jax.eval_shape(lambda: config.build(key=jax.random.key(0)))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    window = sizes.experiment("swa", size, **sizes.rival(size, ("window",)))
    model = RECIPES[name].experiment(size).model
    assert abs(weight(model) / weight(window.model) - 1) < 0.03
    assert model.fast_blocks == (0 if size == "125m" else window.model.fast_blocks)


def test_the_papers_sizes_carry_the_papers_recipe():
    big = RECIPES["tiny-e2e"].experiment("760m")
    pretrain, extend = big.stages
    assert (pretrain.steps, pretrain.batch, pretrain.lr) == (29_000, 64, 1.25e-3)
    assert (extend.steps, extend.batch, extend.seq) == (725, 32, 32_768)
    assert extend.tokens / pretrain.tokens == pytest.approx(0.05, abs=1e-4)
    assert [p.inner_rate(0) < 0.2 for p in big.stages] == [True, False]
    full = RECIPES["tiny-full"].experiment("760m").phases[1].model
    assert (full.rope_theta, full.fast_blocks, full.d_ff) == (2e6, 0, 4096)


def test_a_recipe_runs_to_models_with_cards(recipe, tmp_path):
    choice = Choice("nano", ("lr=2e-2", "model.lr=0.5"))
    first = train(recipe, choice, Conduct(until="pretrain"))
    assert first.name == "small-pretrain.json"
    assert json.loads(first.read_text())["tokens_seen"] == 512
    path = train(recipe, choice, publish=True)
    card = json.loads(path.read_text())
    assert path == tmp_path / "published" / "small.json"
    assert card["tokens_seen"] == 896 and card["stage"] == "extend"
    assert card["experiment"]["stages"][0]["lr"] == 2e-2
    assert {"command", "commit", "seed", "data_hash"} <= set(card)
    assert (
        all(isinstance(commit, str) for commit in card["commits"]) and card["commits"]
    )
    assert {"loss_learning", "loss_frozen"} <= set(card["held_out"])
    loaded = checkpoints.load("small").config
    assert (loaded.inner.lr, loaded.rope_theta) == (0.5, 20_000.0)
    again = train(recipe, choice, publish=True)  # finished: nothing is trained again
    assert again.read_text() == path.read_text()


def test_a_plain_twin_is_trained_by_one_switch_and_naive_reads_with_it(
    recipe, tmp_path, monkeypatch
):
    path = train(recipe, Choice("nano", plain=True))
    assert path.name == "small-plain.json"
    assert checkpoints.load(path).config.inner.lr == 0
    monkeypatch.setattr(naive, "MOST_WIDENED", 0)
    card = naive.tune("small-naive", "small-plain", (0.3,), (1.0,))
    found = checkpoints.card(card)
    read = found["tuning"]["text"]
    assert (read["corpus"], read["split"]) == (str(tmp_path / "texts"), "train")
    assert found["held_out"]["text"] == f"{tmp_path / 'texts'}/val"  # not the same
    assert found["tuning"]["chosen"] == {"lr": 0.3, "clip": 1.0}
    inner = checkpoints.load(card).config.inner
    assert (inner.lr, inner.clip) == (0.3, 1.0)
    plain = json.loads(path.read_text())["held_out"]
    assert found["held_out"]["loss_frozen"] == plain["loss_frozen"]
    assert found["held_out"]["loss_learning"] != plain["loss_learning"]
    with pytest.raises(FileNotFoundError, match="small-plain, which is not published"):
        publish_model(card)
    publish_model(path)
    publish_model(card)
    assert checkpoints.load("small-naive").config.inner == inner
    with pytest.raises(FileNotFoundError, match="neither been trained here nor"):
        naive.tune("other", "unheard-of", (0.1,), (1.0,))


@pytest.mark.parametrize("best", [(0.3, 1.0), (20.0, 1.0), (0.3, 0.004)])
def test_a_search_goes_on_beyond_the_edges_of_its_grid(best, tmp_path, monkeypatch):
    """On a made-up loss with its least value at `best`."""
    rates, clips = (0.03, 0.3, 3.0), (0.1, 1.0, math.inf)
    passages = [Passage(name, 0, np.zeros(8, np.int32)) for name in "ab"]

    def read_all(readers, passages, **_):
        def loss(reader):
            if not reader.learning:
                return 9.0
            clip = math.log(min(reader.clip, 1e3) / best[1])
            return 3.0 + math.log(reader.lr / best[0]) ** 2 + clip**2 / 9

        rows = {name: [np.full(8, loss(r))] * 2 for name, r in readers.items()}
        return Readings(tuple(passages), rows)

    monkeypatch.setattr(naive, "read_all", read_all)
    text = text_of(Readings(tuple(passages), {}))
    search = naive._Search(tmp_path, "s", passages, text)
    found = search.along("lr", rates, 1.0)
    found = search.along("clip", clips, found.lr)
    assert abs(math.log(found.lr / best[0])) <= math.log(naive.WIDEN) / 2 + 1e-6
    assert abs(math.log(found.clip / best[1])) <= math.log(10) / 2 + 1e-6
    told = search.result()
    assert (told.best.lr, told.best.clip) == (found.lr, found.clip) and not told.edges
    tried = [trial.lr for trial in told.trials]
    assert min(tried) < found.lr < max(tried)


def not_again(*_, **__):
    raise AssertionError("what is done was done again")


def test_a_sweep_compares_rates_and_does_nothing_twice(recipe, capsys, monkeypatch):
    sweep = functools.partial(train, recipe, Choice("nano"), tokens=512)
    results = sweep(sweep=("lr=1e-2,1e-4",))
    rows = json.loads(results.read_text())
    assert set(rows) == {"lr=1e-2", "lr=1e-4"}
    assert "best" in capsys.readouterr().out
    monkeypatch.setattr(training, "train_experiment", not_again)
    sweep(sweep=("lr=1e-2,1e-4",))
    assert json.loads(results.read_text()) == rows
    assert "best" in capsys.readouterr().out
    assert results.parent == runs.folder("small-sweep")


def test_a_grid_has_every_combination():
    assert grid(("lr=1,2", "model.lr=3")) == [
        ("lr=1", "model.lr=3"),
        ("lr=2", "model.lr=3"),
    ]
    with pytest.raises(ValueError, match="a sweep looks like"):
        grid(("lr",))


def test_naive_has_nothing_to_set(tmp_path):
    with pytest.raises(ValueError, match="nothing to set"):
        train("tiny-naive", Choice(plain=True))
    with pytest.raises(ValueError, match="nothing to set"):
        train("tiny-naive", conduct=Conduct(until="pretrain"))
    with pytest.raises(ValueError, match="train those"):
        make_experiment("tiny-naive")
