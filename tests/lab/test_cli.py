"""The command: quick to answer, and every mistake gets a sentence."""

import importlib
import inspect
import io
import os
import subprocess
import sys

import pytest
from command_line import run

from lab import cli


# What a list of verbs must not wait for.
HEAVY = "{'jax', 'numpy', 'plotly', 'rich', 'tyro'}"


def in_a_process(arguments: list[str], heavy: str) -> str:
    """What `ttt-lab ARGUMENTS` prints, none of `heavy` imported."""
    script = (
        "import sys\nfrom lab import cli\n"
        f"sys.argv = ['ttt-lab', *{arguments}]\n"
        "try:\n    cli.main()\nexcept SystemExit as leave:\n    assert not leave.code\n"
        f"found = {heavy} & set(sys.modules)\nassert not found, found\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["train", "--help"], ["plan", "--help"], ["eval", "compare", "--help"]],
)
def test_help_needs_no_jax(arguments):
    assert "usage: ttt-lab" in in_a_process(arguments, "{'jax'}")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["data"]])
def test_the_verbs_are_listed_without_importing_them(arguments):
    said = in_a_process(arguments, HEAVY)
    assert said.startswith("usage: ttt-lab")
    group = "data" if arguments == ["data"] else ""
    listed = [verb for verb in cli.VERBS if f"\n  {verb} " in said]
    assert listed == [verb for verb in cli.VERBS if verb.startswith(group)]


@pytest.mark.parametrize("verb", cli.VERBS)
def test_a_verb_is_listed_with_the_first_line_of_its_docstring(verb):
    module, name = cli.VERBS[verb].split(":")
    function = getattr(importlib.import_module(f"lab.{module}"), name)
    assert cli.says(verb) == inspect.getdoc(function).splitlines()[0]
    assert cli.says(verb) in " ".join(cli.listing().split())


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_names_no_empty_default(verb, monkeypatch, capsys):
    """`(default: )` says nothing; where words name the default, `None` confuses."""
    monkeypatch.setenv("COLUMNS", "400")
    assert run(monkeypatch, *verb.split(), "--help") == 0
    said = capsys.readouterr().out
    assert "(default: )" not in said
    shared = verb == "train"  # its options are of rooms below the commands
    assert shared or "{None}" not in said and "(default: None)" not in said
    twice = [line for line in said.splitlines() if line.count("(default: ") > 1]
    assert not twice


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_fits_a_terminal_of_80_columns(verb, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(monkeypatch, *verb.split(), "--help") == 0
    said = capsys.readouterr().out
    assert "-h, --help" in said and max(map(len, said.splitlines())) <= 80


def test_a_line_of_the_source_ends_no_line_of_the_help(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    assert run(monkeypatch, "memory", "forget", "--help") == 0
    assert "chunks, from 1; all after it are forgotten" in capsys.readouterr().out


def test_every_group_has_verbs_and_every_verb_a_group():
    assert {verb.rpartition(" ")[0] for verb in cli.VERBS} == set(cli.GROUPS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["strem"], "did you mean 'stream'"),
        (["eval", "atention", "tiny-full"], "did you mean 'eval attention'"),
        (["compare"], "did you mean 'eval compare'"),
        (["xyz"], "There is no verb 'xyz'. Known:\n  train "),
        (["train", "tiny-e2f"], "did you mean 'tiny-e2e'"),
        (["train", "tiny-e2e", "--size", "tny"], "did you mean 'tiny'"),
        (["train", "tiny-e2e", "--set", "lrate=1"], "There is no setting 'lrate'"),
        (["eval", "compare", "none-such"], "There is no model 'none-such'"),
        (["data", "show", "sotuu"], "did you mean 'sotu'"),
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


@pytest.mark.parametrize("arguments", [["--help"], ["recipes"], ["data", "list"]])
def test_a_reader_that_leaves_ends_the_command_quietly(arguments):
    """As `ttt-lab recipes | head -1` does."""
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "lab.cli", *arguments]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


def test_what_the_console_cannot_show_is_replaced(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(sys, "stderr", console)
    monkeypatch.setattr(cli, "find", lambda verb: lambda: print("\u00b1 \u4fdd"))
    assert run(monkeypatch, "recipes") == 0
    console.flush()
    assert console.buffer.getvalue().strip() in (b"? ?", rb"\xb1 \u4fdd")


def test_an_error_is_shown_and_not_obeyed(monkeypatch, capsys):
    assert run(monkeypatch, "data", "show", "\x1b[2J[red]x.txt\u202e") == 1
    said = capsys.readouterr().err
    assert "\x1b" not in said and r"\x1b[2J[red]x.txt\u202e" in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            PermissionError(13, "Permission denied", "/a/b"),
            "/a/b cannot be used: permission denied.",
        ),
        (OSError(28, "No space left on device"), "the disk is full: make some space"),
        (OSError(28, "No space left on device", "/a"), "/a cannot be used: no space"),
        (OSError("Nothing can be written."), "Nothing can be written."),
    ],
)
def test_errors_of_the_system_are_sentences(error, said, monkeypatch, capsys):
    def fail(words):
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert run(monkeypatch, "recipes") == 1
    assert capsys.readouterr().err.startswith(f"ttt-lab: {said}")
