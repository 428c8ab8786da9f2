"""A training seen from outside: from its files alone, whole or half written."""

import json
import subprocess
import sys

import numpy as np
import pytest

from lab import plots, runs
from lab.training import watching


@pytest.fixture(autouse=True)
def own_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))


def write(name, steps=20, speed=1000.0, gain=0.01):
    stage = {"name": "pretrain", "tokens": 100 * 50, "seq": 10, "batch": 5}
    about = {"name": "nano-e2e", "stages": [stage], "method": "meta", "model": {}}
    folder = runs.folder(name)
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text(json.dumps(about))
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(steps):
            line = {"step": step, "tokens": 50 * (step + 1), "loss": 5 - step / 10}
            line |= {"drift": 0.1, "tokens_per_s": speed if step else 1.0}
            if step % 10 == 0:
                line |= {"gain": gain}
                line |= {"held_out": 3.0, "held_out_frozen": 3.0 + gain}
            file.write(json.dumps(line) + "\n")
        file.write('{"step": 20, "los')
    return folder


def test_a_run_that_is_being_written_gives_the_steps_so_far():
    write("a")
    found = watching.curves("a")
    assert (found.steps, len(found.tokens)) == (100, 20)
    assert found.loss[0] == 5 and found.typical_speed == 1000
    assert np.isfinite(found.gain).sum() == 2
    assert found.held_out_gain[0] == pytest.approx(0.01)
    assert watching.outcome("a") is None and watching.names() == ["a"]


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_what_cannot_be_read_is_no_run(text):
    (write("a") / "experiment.json").write_text(text)
    assert watching.curves("a") is None and watching.curves("never") is None
    assert watching.expected_seconds(1000) > 0


def test_the_time_is_that_of_this_machine_once_it_has_trained():
    unknown = watching.expected_seconds(1_000_000)
    assert unknown == watching.COMPILING + 1_000_000 / watching.SPEED
    write("a", speed=2000.0)
    assert watching.expected_seconds(1_000_000) == watching.COMPILING + 500


def test_figures_show_what_there_is_and_keep_their_axis():
    write("a", steps=40)
    write("b", steps=0)
    run, begun = watching.curves("a"), watching.curves("b")
    for found, twin in ((run, None), (run, begun), (begun, None)):
        figures = (
            plots.outer_loss(found, twin),
            plots.gain_over_training(found),
            plots.drift_over_training(found),
        )
        assert all(figure.data for figure in figures)
    assert plots.gain_over_training(run).layout.xaxis.range == (0, 5000)
    lines = plots.outer_loss(run, run).data
    assert [line.name for line in lines[1::2]] == ["plain twin", "trained to learn"]
    low, high = plots.outer_loss(run).layout.yaxis.range
    assert low < run.loss.min() < high < run.loss.max()


def test_looking_needs_no_jax():
    code = (
        "import sys; from lab.training import watching; watching.curves('x');"
        "print(sorted({'jax', 'ttt_core', 'equinox'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr
