"""Plans: counted like the real thing, close to what XLA asks for, nothing allocated."""

import time

import command_line
import jax
import numpy as np
import optax
import pytest
from small_experiment import small_experiment

import ttt_core as ttt
from lab.commands.plan import duration, time_needed
from lab.recipes.experiment import Experiment, Stage
from lab.training import accelerators, devices, machine, plan


def phase_of(config, **stage):
    method = "meta" if config.learns else "plain"
    fields = {"tokens": 1, "seq": 128, "batch": 4, "lr": 1e-3} | stage
    stages = (Stage("pretrain", "sotu", **fields),)
    return Experiment("planned", config, "bytes", stages, method=method).phases[0]


def planned(phase, **knobs):
    return plan.plan_run([(phase, optax.adam(1e-3))], **({"devices": 1} | knobs))[0]


def test_parameters_are_those_of_the_model():
    model = ttt.preset("nano").build(key=jax.random.key(0))
    fast, _ = ttt.split(model)
    found = planned(phase_of(ttt.preset("nano")))
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    assert found.parameters == count(model)
    assert found.embedding == model.embed.size
    assert found.fast_parameters == count(fast)
    assert found.fast_bytes == 4 * count(fast)
    assert found.memory["parameters"] == 4 * count(model)
    assert found.memory["optimiser"] == 2 * 4 * count(model) + 4  # and a counter
    assert found.memory["gradient"] == 4 * count(model)
    assert found.total == sum(found.memory.values())


@pytest.mark.filterwarnings("ignore:Some donated buffers")
@pytest.mark.parametrize("remat", [None, 2])
@pytest.mark.parametrize("lr", [1.0, 0.0])
def test_memory_is_close_to_what_xla_asks_for(remat, lr):
    """Within a factor of two, and as XLA counts it for one device."""
    config = ttt.preset("nano").replace(d_model=64, d_ff=128, d_fast=128, lr=lr)
    phase = phase_of(config, seq=256, batch=2, remat=remat)
    optimizer, mesh = optax.adam(1e-3), devices.make_mesh(1)
    step = devices.compile_step(phase, optimizer, mesh)
    begun = devices.begin(phase, optimizer, mesh, seed=0)
    arguments = step.arrange(*begun, np.zeros((2, 257), np.int32), 1.0)
    memory = step.program.lower(*arguments).compile().compiled.memory_analysis()
    asked = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    assert 0.5 < planned(phase).total / asked < 2


def test_the_paper_sizes_are_planned_without_being_allocated():
    phase = phase_of(ttt.preset("3b"), seq=4096, batch=128, remat=1)
    before = sum(array.nbytes for array in jax.live_arrays())
    found = planned(phase, devices=64, cut=1)
    assert sum(array.nbytes for array in jax.live_arrays()) < before + 2**20
    assert found.parameters == pytest.approx(2.898e9, rel=1e-3)  # paper, table 3
    assert found.fast_parameters == pytest.approx(346.0e6, rel=1e-3)
    assert found.fast_bytes == 4 * found.fast_parameters
    assert (found.mesh, found.share) == ((64, 1), 2)
    # remat=1 keeps the learner before each of the four chunks, of each sequence
    assert found.memory["kept fast weights"] == 2 * 4 * found.fast_bytes


def test_the_model_axis_cuts_weights_and_whatever_else_has_hidden_axes():
    phase = phase_of(ttt.preset("nano").replace(vocab=256, bos=0), batch=2)
    whole, cut = planned(phase), planned(phase, devices=2, cut=2)
    assert cut.mesh == (1, 2)
    for part in ("parameters", "optimiser", "gradient", "kept fast weights"):
        assert 0.5 <= cut.memory[part] / whole.memory[part] < 0.53, part
    assert 0.5 < cut.memory["kept activations"] / whole.memory["kept activations"] < 1


def test_weights_are_cut_no_more_than_a_device_needs():
    phase = phase_of(ttt.preset("nano").replace(vocab=256, bos=0), batch=1)
    one, two = (planned(phase, devices=2, cut=n) for n in (1, 2))
    assert two.total < one.total
    assert planned(phase, devices=2).mesh == (1, 1)
    assert planned(phase, devices=2, limit=one.total).mesh == (1, 1)
    assert planned(phase, devices=2, limit=one.total - 1).mesh == (1, 2)
    assert planned(phase, devices=2, limit=1).mesh == (1, 2)  # the least there is


def test_fewer_sequences_at_once_take_less():
    at_once = planned(phase_of(ttt.preset("nano"), batch=4))
    in_turn = planned(phase_of(ttt.preset("nano"), batch=4, accumulate=4))
    assert (at_once.at_once, in_turn.at_once, in_turn.share) == (4, 1, 4)
    kept = "kept activations"
    assert at_once.memory[kept] == 4 * in_turn.memory[kept]
    assert in_turn.memory["gradient"] == 2 * at_once.memory["gradient"]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [({"devices": 0}, "--devices must be >= 1"), ({"cut": 3}, "`cut` must divide")],
)
def test_plans_that_make_no_sense_are_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        planned(phase_of(ttt.preset("nano")), **knobs)


def test_every_stage_is_planned_with_its_own_text_length(tmp_path):
    experiment = small_experiment(tmp_path)
    stages = [(phase, optax.adam(1e-3)) for phase in experiment.phases]
    found = plan.plan_run(stages, devices=2)
    assert [stage.seq for stage in found] == [32, 64]
    assert [stage.mesh for stage in found] == [(2, 1), (2, 1)]
    assert found[0].step_flops == found[0].flops.total * 128
    needed = max(stage.total for stage in found)
    cut = plan.plan_run(stages, devices=2, limit=needed - 1)
    assert [stage.mesh for stage in cut] == [(1, 2), (1, 2)], "one mesh for all stages"


@pytest.mark.parametrize("remat", [None, 1, 3])
@pytest.mark.parametrize("preset", ["nano", "tiny-full", "tiny-gdn"])
def test_the_least_memory_is_no_more_than_the_plan(preset, remat):
    """A refusal must be certain: the parts are parts of what the plan counts."""
    config = ttt.preset(preset).replace(chunk=32)
    phase = phase_of(config, seq=256, batch=4, accumulate=2, remat=remat)
    least, full = plan.least_memory(phase, 1), planned(phase)
    weights = sum(full.memory[name] for name in ("parameters", "optimiser", "gradient"))
    assert least["weights and optimiser"] == pytest.approx(weights, abs=4)
    assert least["fast weights"] <= full.memory["kept fast weights"]
    kept = full.memory["kept activations"]
    assert 0 < least["activations"] + least["windows"] < kept


IMPOSSIBLE = {
    "model.d_model=99960": "weights and optimiser alone would take",
    "batch=1e6": "lower batch",
    "seq=1e9": "lower batch or seq",
}


@pytest.mark.parametrize("setting", IMPOSSIBLE)
def test_what_cannot_fit_is_refused_with_both_numbers_before_it_is_built(
    setting, monkeypatch, capsys
):
    monkeypatch.setattr(plan, "memory", lambda: 16 * 2**30)
    unbuilt = lambda *_, **__: pytest.fail("the training began")
    monkeypatch.setattr("lab.training.loop.train", unbuilt)
    began = time.monotonic()
    assert command_line.run(monkeypatch, "train", "tiny-e2e", "--set", setting) == 1
    assert time.monotonic() - began < 2
    said = capsys.readouterr().err
    assert "would take at least" in said and "this machine has 16.0 GiB" in said
    assert IMPOSSIBLE[setting] in said


def test_every_point_of_a_sweep_is_checked_first(monkeypatch, capsys):
    monkeypatch.setattr(plan, "memory", lambda: 16 * 2**30)
    unbuilt = lambda *_, **__: pytest.fail("the sweep began")
    monkeypatch.setattr("lab.training.loop.train", unbuilt)
    sweep = lambda *words: command_line.run(monkeypatch, "train", "tiny-e2e", *words)
    for words, sentence in (
        (["--sweep", "model.d_model=192,99960"], "would take at least"),
        (["--sweep", "lr=1e-3,nan"], "`lr` must be > 0: got nan"),
        (["--sweep", "lr=1e-3", "--tokens", "1e308"], "`tokens` must be <= 1e+15"),
        (
            ["--sweep", "lr=1e-3", "--tokens", "nan"],
            "must be a whole number: got nan",
        ),
    ):
        assert sweep(*words) == 1
        assert sentence in capsys.readouterr().err


def test_a_containers_limit_of_memory_counts(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("1048576\n")
    monkeypatch.setattr(machine, "LIMITS", (tmp_path / "memory.max", tmp_path / "no"))
    assert machine.memory() == 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory() > 2**28


def run(monkeypatch, *arguments) -> int:
    return command_line.run(monkeypatch, "plan", *arguments)


def test_the_command_prints_a_plan(monkeypatch, capsys):
    knobs = ("--devices", "2", "--memory", "0.001")
    assert run(monkeypatch, "tiny-e2e", "--size", "nano", *knobs) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "parameters",
        "fast weights of one sequence",
        "FLOPs per token",
        "data 2 x model 1",
        "memory per device",
        "do not fit into 0.001 GiB",
        "FLOPs in all",
        "on 2 x NVIDIA H100 SXM, at 30% of a peak of 494 TFLOP/s (float32)",
    ):
        assert words in said, words


def test_the_time_is_that_of_all_stages_at_a_share_of_the_peak(tmp_path):
    experiment = small_experiment(tmp_path)
    stages = [(phase, optax.adam(1e-3)) for phase in experiment.phases]
    plans = plan.plan_run(stages, devices=2)
    device = accelerators.Accelerator("toy", 2e-6, 1e-6, 1)  # a million a second
    flops = sum(p.steps * p.step_flops for p in plans)
    seconds = flops / (2 * 1e6 * 0.5)
    said = time_needed(experiment, plans, device, 0.5)
    assert said.startswith(
        f"7 steps, {flops:.3g} FLOPs: {duration(seconds)} on 2 x toy"
    )
    assert duration(90) == "1.5 minutes" and duration(3 * 86_400) == "3 days"


def test_progress_is_told_before_each_stage_of_each_cut(tmp_path):
    told, phase = [], phase_of(ttt.preset("nano").replace(vocab=256, bos=0), batch=1)
    report = lambda share, what: told.append((share, what))
    plan.plan_run([(phase, optax.adam(1e-3))], devices=2, limit=1, report=report)
    assert [share for share, _ in told] == [0, 0.5]
    assert told[1][1] == "pretrain, weights cut into 2"


@pytest.mark.parametrize("name", accelerators.KNOWN)
def test_a_device_is_known_by_its_peaks_and_memory(name):
    device = accelerators.find(name)
    assert device.peak("bfloat16") >= device.peak("float32") > 5e13
    assert 16 <= device.memory <= 192


def test_this_machine_is_measured(monkeypatch):
    monkeypatch.setattr(machine, "measure_peak", lambda: 2e12)
    monkeypatch.setattr(machine, "memory", lambda: 3 * 2**30)
    here = accelerators.find("this")
    assert (here.peak("float32"), here.memory) == (2e12, 3)
    with pytest.raises(ValueError, match="no device 'h10'; did you mean 'h100'"):
        accelerators.find("h10")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tiny-e2f"], "did you mean 'tiny-e2e'"),
        (["tiny-e2e", "--size", "nano", "--cut", "3"], "`cut` must divide"),
        (["tiny-e2e", "--size", "nano", "--devices", "0"], "--devices must be >= 1"),
    ],
)
def test_a_mistake_gets_a_sentence(arguments, sentence, monkeypatch, capsys):
    assert run(monkeypatch, *arguments) == 1
    assert sentence in capsys.readouterr().err
