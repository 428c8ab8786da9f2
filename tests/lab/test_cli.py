"""The command: quick to answer, and every mistake gets a sentence."""

import subprocess
import sys

import pytest
from command_line import run


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["train", "--help"], ["data", "--help"], ["eval", "gain", "--help"]],
)
def test_help_needs_no_jax(arguments):
    script = (
        "import sys\nfrom lab import cli\n"
        f"sys.argv = ['ttt-lab', *{arguments}]\n"
        "try:\n    cli.main()\nexcept SystemExit as leave:\n    assert not leave.code\n"
        "assert 'jax' not in sys.modules, 'jax was imported'\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: ttt-lab" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "tiny-e2f"], "did you mean 'tiny-e2e'"),
        (["train", "tiny-e2e", "--size", "tny"], "did you mean 'tiny'"),
        (["train", "tiny-e2e", "--set", "lrate=1"], "There is no setting 'lrate'"),
        (["eval", "gain", "--model", "none-such"], "There is no model 'none-such'"),
        (["data", "show", "sotuu"], "sotu"),
    ],
)
def test_a_mistake_gets_a_sentence(arguments, sentence, monkeypatch, capsys):
    assert run(monkeypatch, *arguments) == 1
    assert sentence in capsys.readouterr().err


def test_recipes_and_documents_are_listed(monkeypatch, capsys):
    assert run(monkeypatch, "recipes") == 0
    assert "tiny-e2e" in capsys.readouterr().out
    assert run(monkeypatch, "data", "list") == 0
    assert "sotu" in capsys.readouterr().out
