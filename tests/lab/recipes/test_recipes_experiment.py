"""What a recipe asks for: stages, schedules, and settings that change them."""

import dataclasses
import math

import pytest
from small_experiment import small_experiment

from lab.recipes import settings
from lab.recipes.experiment import RANGES, STAGE_RANGES, Experiment, Stage
from ttt_core import InnerConfig, ModelConfig
from ttt_core.config import RANGES as MODEL_RANGES


@pytest.fixture
def experiment(tmp_path):
    return small_experiment(tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lrr=1", "did you mean 'lr'"),
        ("model.windw=1", "did you mean 'model.window'"),
        ("extnd.lr=1", "did you mean 'extend.lr'"),
        ("extend.toknes=1", "did you mean 'extend.tokens'"),
        ("lr", "settings look like lr=2e-3"),
        ("lr=fast", "lr must be a value like 0.01"),
        ("lr=0", "`lr` must be > 0"),
        ("batch=0", "`batch` must be >= 1"),
        ("batch=1e999", "batch must be a value like 4"),
        ("remat=0", "`remat` must be >= 1"),
        ("accumulate=3", "`accumulate` must divide"),
        ("warmup=2", "`warmup` must be <= 1: got 2.0 .a share of .*from 0 to 1"),
        ("tokens=1e308", "`tokens` must be <= 1e.15: got 1e.308"),
        ("tokens=1e15", "steps, and at most 2,147,483,647 can be counted"),
        ("batch=1e9", "`batch` must be <= 1,048,576: got 1,000,000,000"),
        ("seed=-1", "`seed` must be >= 0: got -1"),
        ("seed=1e30", "`seed` must be <= 4,294,967,295: got 1e.30"),
        ("seed=" + "9" * 5000, "seed must be a value like 0 .int.: got '9999"),
        ("tokens=nan", "tokens must be a value like"),
        ("checks=1e18", "`checks` must be <= 1,000,000: got 1e.18"),
        ("gain_every=-1", "`gain_every` must be >= 0: got -1"),
        *((f"decay={text}", "`decay` must be") for text in ("nan", "inf", "-1")),
        *((f"clip={text}", "`clip` must be > 0") for text in ("nan", "0", "-1")),
        *((f"lr={text}", "`lr` must be") for text in ("nan", "inf", "-1", "1e9")),
        *((f"final_lr={text}", "`final_lr` must be") for text in ("nan", "inf", "-1")),
        *((f"inner_start={text}", "`inner_start` must") for text in ("nan", "-1")),
        *(
            (f"extend.rope_theta={text}", "`rope_theta` must")
            for text in ("nan", "inf", "0")
        ),
        *(
            (f"model.{name}={text}", f"`{name}` must be .*: got {text}.*; above 0 to ")
            for name in ("init_std", "expand")
            for text in ("nan", "inf", "-1", "0")
        ),
        ("model.window=2147483648", "`window` must be <= 131,072: got 2,147,483,648"),
        ("model.window=1e18", "`window` must be <= 131,072: got 1e.18"),
        ("model.d_model=1e10", "`d_model` must be <= 16,777,216: got 10,000,000,000"),
        ("model.layers=1e9", "`layers` must be <= 10,000"),
        ("method=plian", "did you mean 'plain'"),
        ("model.lr=0", "needs a model that learns"),
    ],
)
def test_settings_that_make_no_sense_are_refused(experiment, setting, message):
    with pytest.raises(ValueError, match=message):
        settings.override(experiment, (setting,))


def test_what_switches_something_off_is_no_mistake(experiment):
    wanted = ("decay=0", "clip=inf", "model.clip=inf", "checks=0", "model.d_ff=0")
    changed = settings.override(experiment, wanted)
    assert (changed.decay, changed.clip, changed.model.d_ff) == (0, math.inf, 0)


@pytest.mark.parametrize("config", [Experiment, Stage, ModelConfig, InnerConfig])
def test_every_number_of_a_configuration_has_a_range(config):
    """A new number without a range would accept anything, so the table names all."""
    tables = {Experiment: RANGES, Stage: STAGE_RANGES, ModelConfig: MODEL_RANGES}
    elsewhere = {"bos", "fast_blocks"}  # checked against other numbers
    elsewhere |= {"lr", "clip"} if config is InnerConfig else set()
    numbers = {
        field.name
        for field in dataclasses.fields(config)
        if field.type in (int, float, int | None, float | None)
    }
    assert numbers - elsewhere == set(tables.get(config, ()))


def test_a_setting_with_two_values_is_refused(experiment):
    with pytest.raises(ValueError, match="lr is set twice: lr=1e-3 and lr=2e-3; leave"):
        settings.override(experiment, ("lr=1e-3", "seed=3", "lr=2e-3"))
    settings.override(experiment, ("lr=1e-3", "lr=1e-3", "extend.lr=2e-3"))


def test_settings_reach_experiment_model_and_stages(experiment):
    wanted = ("extend.lr=1e-3", "lr=2e-2", "remat=none", "extend.rope_theta=1e5")
    wanted += ("tokens=1e6", "seed=3", "model.window=32", "model.clip=0.5")
    changed = settings.override(experiment, (*wanted, "extend.corpus=moby-dick"))
    pretrain, extend = changed.stages
    assert (pretrain.lr, extend.lr) == (2e-2, 1e-3)
    assert (pretrain.remat, extend.remat) == (None, None)
    assert (pretrain.rope_theta, extend.rope_theta) == (None, 1e5)
    assert (pretrain.tokens, extend.tokens) == (1_000_000, 1_000_000)
    assert extend.corpus == "moby-dick" and pretrain.corpus != "moby-dick"
    assert (changed.seed, changed.model.window) == (3, 32)
    assert changed.model.inner.clip == 0.5


def test_stages_follow_each_other(experiment):
    first, second = experiment.phases
    assert (first.start, first.end, second.start, second.end) == (0, 4, 4, 7)
    assert experiment.steps == 7 and experiment.tokens == 4 * 128 + 3 * 128
    assert (first.tokens_at(3), second.tokens_at(6)) == (512, 896)
    assert first.model.rope_theta == experiment.model.rope_theta
    assert second.model.rope_theta == 20_000.0
    assert first.seed != second.seed
    names = [phase.checkpoint_name for phase in experiment.phases]
    assert names == ["small-pretrain", "small"]


def test_a_rotary_base_lasts_until_the_next_one(experiment):
    last = dataclasses.replace(experiment.stages[1], name="more", rope_theta=None)
    longer = dataclasses.replace(experiment, stages=(*experiment.stages, last))
    thetas = [phase.model.rope_theta for phase in longer.phases]
    assert thetas == [10_000.0, 20_000.0, 20_000.0]


def test_the_inner_rate_warms_up_from_a_tenth():
    stage = Stage("a", "sotu", tokens=100 * 64, seq=64, batch=1, lr=1.0)
    assert stage.inner_rate(0) == pytest.approx(0.19)
    assert stage.inner_rate(9) == pytest.approx(1.0)
    assert stage.inner_rate(99) == 1.0
    assert dataclasses.replace(stage, inner_start=1.0).inner_rate(0) == 1.0


def test_the_plain_twin_differs_in_the_inner_rate_alone(experiment):
    twin = experiment.plain()
    assert twin.name == "small-plain" and twin.stages == experiment.stages
    for ours, theirs in zip(experiment.phases, twin.phases, strict=True):
        assert theirs.model == ours.model.replace(lr=0.0)
        assert theirs.seed == ours.seed
    assert twin.plain() is twin


def test_held_out_loss_is_measured_at_steps_that_the_experiment_decides(experiment):
    first, second = experiment.phases
    assert [step.is_checked for step in first.steps_from(0)] == [False, True] * 2
    assert [step.index for step in second.steps_from(5)] == [5, 6]
    assert [step.is_checked for step in second.steps_from(5)] == [True, True]
    assert [step.is_last for step in second.steps_from(5)] == [False, True]
    never = dataclasses.replace(experiment, checks=0)
    assert not any(step.is_checked for step in never.phases[0].steps_from(0))


def test_the_frozen_twin_reads_at_steps_that_the_experiment_decides(experiment):
    second = experiment.phases[1]
    assert [step.is_compared for step in second.steps_from(4)] == [True, False, True]
    for silent in (dataclasses.replace(experiment, gain_every=0), experiment.plain()):
        assert not any(step.is_compared for step in silent.phases[1].steps_from(4))


def test_stages_have_names_of_their_own(experiment):
    with pytest.raises(ValueError, match="names of their own"):
        dataclasses.replace(experiment, stages=experiment.stages[:1] * 2)
