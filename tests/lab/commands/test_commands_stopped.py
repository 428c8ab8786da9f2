"""Evaluations that are stopped keep their scores and go on to the same numbers."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import command_line
import jax
import numpy as np
import pytest

from lab import checkpoints
from lab.measure import nats, parts
from lab.recipes.toy import model_config


WORDS = "the fog had come in from a river. And stayed".split()
COMMANDS = {
    "compare": ["learner", "plain", "--workers", "1"],
    "context": ["learner", "--contexts", "64", "256", "--region", "300"],
    "decompose": ["learner", "plain"],
    "tune-inner": ["plain", "--rates", "0.1", "0.3"],
    "recall": ["learner", "plain", "--facts", "3"],
    "attention": ["learner", "plain", "--length", "100"],
    "agreement": ["learner", "--length", "100"],
    "toy": ["b1", "none", "--length", "32", "--per-novel", "2"],
}
MODELS = ("learner", "plain", "b1", "none")
PASSAGES = ("compare", "context", "decompose", "tune-inner")


@pytest.fixture
def command(tmp_path, nano, monkeypatch):
    """A function of a verb: the arguments, with nano models and three documents."""
    command_line.use_folders(monkeypatch, tmp_path)
    corpus, random = tmp_path / "novels", np.random.default_rng(0)
    corpus.mkdir()
    for i in range(8):
        text = " ".join(random.choice(WORDS, 400))
        (corpus / f"novel{i}.txt").write_text(text, "utf-8")
    about = {"tokenizer": "bytes", "tokens_seen": 7, "experiment": {"seq": 128}}
    for name, changes in {"learner": {}, "plain": {"lr": 0.0}}.items():
        model = dataclasses.replace(nano, config=nano.config.replace(**changes))
        checkpoints.save(tmp_path / name, model, about)
    for name in ("b1", "none"):
        build = jax.jit(
            lambda key, name=name: model_config(name, "nano").build(key=key)
        )
        checkpoints.save(tmp_path / name, build(jax.random.key(1)), about)

    def arguments(verb: str) -> list[str]:
        named = {name: str(tmp_path / name) for name in MODELS}
        words = [named.get(word, word) for word in COMMANDS[verb]]
        workers = ["--workers", "1"] if verb in PASSAGES[1:] else []
        short = (
            ["--length", "256"]
            if verb in ("compare", "decompose", "tune-inner")
            else []
        )
        split = ["--split", "val" if verb == "toy" else "all"]
        return ["eval", verb, *words, "--corpus", str(corpus), *split, *workers, *short]

    return arguments


def numbers(runs) -> dict:
    """The result in a folder of runs, without its provenance."""
    (path,) = (runs / "evals").glob("*.json")
    return {k: v for k, v in json.loads(path.read_text()).items() if k != "provenance"}


def interrupt(monkeypatch, owner, name: str, after: int):
    """Interrupt the call of `owner.name` number `after`; returns a count of calls."""
    whole, count = getattr(owner, name), itertools.count()

    def stopped(*arguments, **knobs):
        if next(count) == after:
            raise KeyboardInterrupt
        return whole(*arguments, **knobs)

    monkeypatch.setattr(owner, name, stopped)
    return count


QUICK = ("compare", "recall", "attention", "toy")
VERBS = [
    verb if verb in QUICK else pytest.param(verb, marks=pytest.mark.slow)
    for verb in COMMANDS
]


@pytest.mark.parametrize("verb", VERBS)
def test_a_stopped_evaluation_goes_on_to_the_same_numbers(
    verb, command, monkeypatch, capsys, tmp_path
):
    call = command(verb)
    owner, name = (nats, "read_tokens") if verb in PASSAGES else (parts.Kept, "_store")
    with monkeypatch.context() as patch:
        patch.setenv("TTT_LAB_RUNS", str(tmp_path / "whole"))
        calls = interrupt(patch, owner, name, -1)
        assert command_line.run(monkeypatch, *call) == 0
        made = next(calls)
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, 1)
        capsys.readouterr()
        assert command_line.run(monkeypatch, *call) == 130
    said = capsys.readouterr().err
    assert "ttt-lab: stopped; 1 " in said
    assert "and the same command goes on from there." in said
    assert not (tmp_path / "runs" / "evals").exists()
    with monkeypatch.context() as patch:
        calls = interrupt(patch, owner, name, -1)
        assert command_line.run(monkeypatch, *call) == 0
        assert next(calls) == made - 1, "what was kept is not measured again"
    assert numbers(tmp_path / "runs") == numbers(tmp_path / "whole")


def test_the_first_differences_are_kept_too(command, monkeypatch, capsys):
    call = command("decompose")
    with monkeypatch.context() as patch:
        interrupt(patch, parts.Kept, "_store", 2)
        assert command_line.run(monkeypatch, *call) == 130
    assert "stopped; 2 documents' starts are kept in" in capsys.readouterr().err


def alive(group: int) -> list[str]:
    """Processes of a group; those that ended, but nobody has asked about, are not."""
    listed = ["ps", "-A", "-o", "pgid=,stat=,args="]
    lines = subprocess.run(listed, capture_output=True, text=True).stdout.splitlines()
    found = [line.split(maxsplit=2) for line in lines]
    return [
        args for pgid, stat, *args in found if pgid == str(group) and stat[0] != "Z"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_processes_that_read_side_by_side_end_quietly_with_the_command(
    number, command, monkeypatch, tmp_path
):
    call = command("compare")
    call[call.index("--workers") + 1] = "2"
    started = [sys.executable, "-m", "lab.cli", *call]
    process = subprocess.Popen(
        started, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 120
    while not list((tmp_path / "runs").glob("readings/*/*.npy")):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    # A terminal sends Ctrl-C to all processes, a batch system SIGTERM to the first.
    is_ctrl_c = number == signal.SIGINT
    (os.killpg if is_ctrl_c else os.kill)(process.pid, number)
    said = process.communicate(timeout=30)[1]
    if process.returncode:  # it may have been done already
        assert process.returncode == 128 + number
        assert "Traceback" not in said and "the same command goes on" in said
    while alive(process.pid):
        assert time.monotonic() < until
        time.sleep(0.1)
