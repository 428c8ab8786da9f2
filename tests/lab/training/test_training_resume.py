"""Killed at any moment, a run goes on to the very numbers of one never stopped."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_experiment import small_experiment, write_texts

from lab import runs


HERE = Path(__file__).parents[1]  # where small_experiment lies
# The child kills itself at the k-th file operation in its run folder: before it makes,
# opens, renames or removes anything there, checkpoints and metrics included.
CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from lab.training.conduct import Conduct
from lab.training.loop import train
from small_experiment import small_experiment
run, texts, fatal = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
seen = 0
def count(event, arguments):
    global seen
    if event in EVENTS and str(run) in str(arguments[0]):
        seen += 1
        if seen == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
def done(phase, model):
    from lab import checkpoints
    path = run / phase.checkpoint_name
    if not path.with_suffix(".json").exists():
        checkpoints.save(path, model, {{}})
if fatal:
    sys.addaudithook(count)
train(small_experiment(texts), run, Conduct(checkpoint_every=0), stage_done=done)
print("operations", seen)
"""


@pytest.fixture
def start(tmp_path):
    """A function that runs the child up to a file operation; returns its exit code."""
    texts = write_texts(tmp_path / "texts")
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(here=str(HERE)))
    environment = os.environ | {
        "TTT_LAB_DATA": str(tmp_path / "data"),
        "TTT_LAB_QUICK": "1",  # the machine's peak is not measured
    }

    def start(run: Path, fatal: int) -> subprocess.CompletedProcess:
        command = [sys.executable, str(script), str(run), str(texts), str(fatal)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return start


def numbers(run: Path) -> list[dict]:
    """Every metrics line without the clock, and the weights' hashes."""
    clock = ("seconds", "tokens_per_s")
    lines = runs.read_metrics(run / "metrics.jsonl")
    lines = [{k: v for k, v in line.items() if k not in clock} for line in lines]
    cards = sorted(run.glob("small*.json"))
    hashes = {card.stem: json.loads(card.read_text())["sha256"] for card in cards}
    return [*lines, hashes]


def check_kills(start, folder: Path, kills: int, seed: int):
    """Kill a run `kills` times at random file operations, then let it end."""
    whole, cut, draw = folder / "whole", folder / "cut", random.Random(seed)
    assert start(whole, 0).returncode == 0
    assert len(numbers(whole)) == 8 and len(numbers(whole)[-1]) == 2
    died = 0
    for _ in range(kills):
        ended = start(cut, draw.randrange(1, 260))
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        died += ended.returncode == -signal.SIGKILL
    ended = start(cut, 0)
    assert ended.returncode == 0, ended.stderr
    assert died
    assert numbers(cut) == numbers(whole)


def test_a_killed_run_goes_on_to_the_same_numbers(start, tmp_path):
    check_kills(start, tmp_path, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_killed_often_it_still_does(start, tmp_path, seed):
    check_kills(start, tmp_path, kills=8, seed=100 + seed)


def test_the_small_experiment_has_two_stages(tmp_path):
    assert [s.steps for s in small_experiment(tmp_path).stages] == [4, 3]
