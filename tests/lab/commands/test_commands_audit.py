"""The command `audit`: a table, a certificate, and a failure that a script can see."""

import dataclasses
import itertools

import command_line
import pytest
from command_line import run

from lab import checkpoints
from lab.commands import audit as command
from lab.evals import audit as numbers
from lab.measure import certificates
from lab.measure.certificates import FAILED


FEW = ("frozen", "masks")  # of the checks, for the sake of time


@pytest.fixture
def models(monkeypatch, tmp_path, nano):
    """Two models of small sizes, one of which takes no step; and few checks."""
    command_line.use_folders(monkeypatch, tmp_path)
    few = {name: numbers.CHECKS[name] for name in FEW}
    monkeypatch.setattr(numbers, "CHECKS", few)
    paths = {}
    for name, changes in {"learner": {}, "plain": {"lr": 0.0}}.items():
        model = dataclasses.replace(nano, config=nano.config.replace(**changes))
        checkpoints.save(tmp_path / name, model, {"tokenizer": "bytes"})
        paths[name] = str(tmp_path / name)
    return paths


def test_a_model_that_passes_gets_a_certificate(models, monkeypatch, capsys):
    assert run(monkeypatch, "audit", models["learner"], models["plain"]) == 0
    out, err = capsys.readouterr()
    assert "learner was audited 20" in out and "before its time, 2 checks." in out
    assert "plain was audited 20" in out and "before its time, 1 check." in out
    assert "takes no step on the text" in out
    assert "auditing learner 1 of 2 checks  masks" in err
    model = checkpoints.load(models["learner"])
    found = certificates.find(checkpoints.model_hash(model))
    assert found.model == "learner" and [one.name for one in found.checks] == [*FEW]
    assert found.text.endswith("tokens of sotu-chronicle") and found.seconds > 0


def test_a_model_that_fails_is_named_and_its_certificate_says_so(
    models, monkeypatch, capsys
):
    fail = lambda s: dataclasses.replace(honest(s), verdict=FAILED, why="it moved")
    honest = numbers.CHECKS["frozen"]
    monkeypatch.setitem(numbers.CHECKS, "frozen", fail)
    assert run(monkeypatch, "audit", models["learner"]) == 1
    out, err = capsys.readouterr()
    assert "it moved" in out and "FAILED in frozen." in out
    assert err.splitlines()[-1] == (
        "ttt-lab: not every model passed its audit: learner (frozen)."
    )
    model = checkpoints.load(models["learner"])
    assert certificates.find(checkpoints.model_hash(model)).failed == ("frozen",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name one or more models"),
        (["nobody"], "There is no model 'nobody'"),
        (["{learner}", "--document", "nothing"], "There is no document 'nothing'"),
        (["{learner}", "--document", "{short}"], "tokens, three of them different"),
        (["{learner}", "--seed", "-1"], "--seed must be >= 0: got -1"),
    ],
)
def test_what_cannot_be_audited_is_said_in_a_sentence(
    words, said, models, monkeypatch, capsys, tmp_path
):
    (tmp_path / "short.txt").write_text("too short")
    known = models | {"short": str(tmp_path / "short.txt")}
    assert run(monkeypatch, "audit", *(word.format(**known) for word in words)) == 1
    assert said in capsys.readouterr().err


def test_an_audit_that_is_stopped_keeps_what_is_done(models, monkeypatch, capsys):
    calls, honest = itertools.count(), command._audit

    def stopped(*arguments):
        if next(calls):
            raise KeyboardInterrupt
        return honest(*arguments)

    monkeypatch.setattr(command, "_audit", stopped)
    assert run(monkeypatch, "audit", *models.values()) == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        "ttt-lab: stopped; 1 of 2 certificates is kept: learner."
    )
