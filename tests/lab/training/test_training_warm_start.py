"""A training that starts from another model, and changes its fast weights only."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from small_experiment import small_experiment, write_texts

from lab import checkpoints
from lab.recipes.experiment import Experiment
from lab.training import loop
from lab.training.cards import write_snapshot
from lab.training.conduct import Conduct
from ttt_core.warm_start import trained_parts


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of runs, with a model `base` that has no fast weights."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTT_LAB_RUNS", str(folder))
        texts = write_texts(folder / "texts")
        base = small_experiment(texts)
        plain = base.model.replace(fast_blocks=0, post_norm=False, lr=0.0)
        base = dataclasses.replace(
            base, name="base", model=plain, method="plain", stages=base.stages[:1]
        )
        _train(base, folder)
        yield folder


def _train(experiment: Experiment, folder, conduct=Conduct(), run=None):
    place = folder / (run or experiment.name)
    keep = lambda phase, model: write_snapshot(phase, model, place)
    return loop.train(experiment, place, conduct, stage_done=keep)


@pytest.fixture(scope="module")
def warm(runs) -> Experiment:
    asked = small_experiment(runs / "texts")
    model = asked.model.replace(fast_blocks=1, post_norm=False, d_fast=12)
    stages = tuple(dataclasses.replace(s, rope_theta=None) for s in asked.stages)
    changes = dict(name="warm", start="base", trained="fast", stages=stages)
    return dataclasses.replace(asked, model=model, **changes)


@pytest.fixture(scope="module")
def trained(runs, warm):
    return _train(warm, runs)


def test_all_but_the_fast_part_is_the_model_it_started_from(warm, trained):
    began = checkpoints.start_from("base", warm.model)
    mask = jax.tree.leaves(trained_parts(trained, "fast"))
    pairs = zip(jax.tree.leaves(began), jax.tree.leaves(trained), mask, strict=True)
    changed = [is_fast for *_, is_fast in pairs]
    assert any(changed) and not all(changed)
    for before, after, is_fast in zip(
        jax.tree.leaves(began), jax.tree.leaves(trained), mask, strict=True
    ):
        assert np.array_equal(before, after) == (not is_fast)


def test_its_file_holds_what_was_trained_and_names_the_rest(runs, trained):
    card = checkpoints.card("warm")
    assert card["start"]["name"] == "base"
    loaded, mask = checkpoints.load("warm"), trained_parts(trained, "fast")
    rounded = jax.tree.map(
        lambda a, is_fast: a.astype("float16").astype(a.dtype) if is_fast else a,
        trained,
        mask,
    )
    assert checkpoints.model_hash(loaded) == checkpoints.model_hash(rounded)
    sizes = [(runs / n / f"{n}.safetensors").stat().st_size for n in ("warm", "base")]
    assert sizes[0] < sizes[1] / 6


def test_a_stopped_warm_start_goes_on_to_the_same_bits(runs, warm, trained):
    _train(warm, runs, Conduct(until="pretrain"), run="stopped")
    again = _train(warm, runs, run="stopped")
    assert checkpoints.model_hash(again) == checkpoints.model_hash(trained)


def test_another_start_than_the_cards_is_refused(runs, trained):
    path = runs / "warm" / "warm.json"
    card = json.loads(path.read_text())
    card["start"]["sha256"] = "f" * 64
    other = runs / "warm" / "other.json"
    other.write_text(json.dumps(card | {"weights": "warm"}))
    with pytest.raises(ValueError, match="this model begins from ffffffffffff"):
        checkpoints.load(other)


def test_a_start_of_another_shape_is_refused(runs, warm):
    with pytest.raises(ValueError, match="base cannot become this model: d_model"):
        checkpoints.start_from("base", warm.model.replace(d_model=32))


def test_parts_are_checked(warm):
    with pytest.raises(ValueError, match="trained"):
        dataclasses.replace(warm, trained="slow")
