"""`inspect all` takes every look, keeps each, and goes on where it was stopped."""

import importlib
import importlib.util

import command_line
import pytest

import ttt_core as ttt
from lab import checkpoints, results
from lab.analysis.access import Access
from lab.analysis.overview import Overview
from lab.analysis.words import Words
from lab.cli import VERBS
from lab.commands import access, look, words


TEXT = "We met Bartholomew. The fog came in and stayed on the river. " * 12


@pytest.fixture
def here(tmp_path, nano, monkeypatch):
    """Folders, a model and a text, and two looks to take."""
    command_line.use_folders(monkeypatch, tmp_path)
    monkeypatch.setattr(look, "LOOKS", ("words", "access"))
    checkpoints.save(tmp_path / "learner", nano, {"tokenizer": "bytes"})
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    return tmp_path


def take(here, monkeypatch, *more) -> int:
    options = ("--document", str(here / "text.txt"), "--model", str(here / "learner"))
    return command_line.run(monkeypatch, "inspect", "all", *options, *more)


def test_every_look_is_a_verb_and_every_verb_is_a_look():
    verbs = {verb.removeprefix("inspect ") for verb in VERBS if "inspect " in verb}
    there = [n for n in look.LOOKS if importlib.util.find_spec(f"lab.commands.{n}")]
    assert verbs - {"all"} == set(there)
    for name in there:
        module = importlib.import_module(f"lab.commands.{name}")
        assert callable(module.look_at) and callable(module.show)
        says = name == "directions"  # the title of its first figure says what was found
        assert says or callable(module.headline)


def test_all_looks_are_taken_kept_and_drawn(here, monkeypatch, capsys):
    assert take(here, monkeypatch, "--figures", str(here / "drawn")) == 0
    said = capsys.readouterr()
    assert "look 2 of 2: access" in said.err and "what was found" in said.out
    kept = here / "runs/evals"
    found = results.open_result(kept / "all-learner-text.txt.json", Overview)
    assert list(found.looks) == ["words", "access"] and found.seconds > 0
    numbers = results.open_result(kept / found.looks["words"].file, Words)
    assert found.looks["words"].headline == words.headline(numbers)
    results.open_result(kept / found.looks["access"].file, Access)
    page = (here / "drawn/inspect-learner-text.txt.html").read_text("utf-8")
    for part in ("words-kinds", "words-last", "access-questions"):
        assert f'id="{part}"' in page
    assert page.count("<h2") == 2

    monkeypatch.setattr(words, "look_at", lambda opened: pytest.fail("taken again"))
    assert take(here, monkeypatch) == 0
    assert "words is kept" in capsys.readouterr().err


def test_a_stop_keeps_what_is_done_and_the_same_command_goes_on(
    here, monkeypatch, capsys
):
    def stop(opened):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(access, "look_at", stop)
        assert take(here, patch) == 130
    said = capsys.readouterr().err
    assert "stopped while taking access; kept: words. The same command" in said
    taken = []
    monkeypatch.setattr(words, "look_at", taken.append)
    assert take(here, monkeypatch) == 0 and not taken


def test_what_is_kept_is_taken_again_if_asked_or_if_it_changed(
    here, monkeypatch, capsys
):
    monkeypatch.setattr(look, "LOOKS", ("words",))
    real, taken = words.look_at, []
    monkeypatch.setattr(words, "look_at", lambda o: taken.append(1) or real(o))
    assert take(here, monkeypatch) == 0 and len(taken) == 1
    assert take(here, monkeypatch, "--again") == 0 and len(taken) == 2
    (path,) = (here / "runs/evals").glob("words-*.json")
    path.write_text(path.read_text("utf-8").replace("names", "nouns"), "utf-8")
    assert take(here, monkeypatch) == 0 and len(taken) == 3, "another look's numbers"
    (here / "text.txt").write_text("A story of another kind. " * 40, "utf-8")
    assert take(here, monkeypatch) == 0 and len(taken) == 4, "another text"


def test_a_look_that_cannot_be_taken_is_said_and_the_others_are_taken(
    here, monkeypatch, capsys
):
    monkeypatch.setattr(look, "LOOKS", ("nowhere", "access", "words"))

    def refuse(opened):
        raise ValueError("nothing is planted here")

    monkeypatch.setattr(access, "look_at", refuse)
    assert take(here, monkeypatch) == 1
    said = capsys.readouterr()
    assert "no `inspect nowhere`" in said.out and "nothing is planted" in said.out
    assert "2 of 3 looks could not be taken: nowhere, access." in said.err
    assert "names" in said.out


def test_a_model_that_never_learns_is_refused_at_once(here, nano, monkeypatch, capsys):
    frozen = ttt.without_learning(nano)
    checkpoints.save(here / "learner", frozen, {"tokenizer": "bytes"})
    assert take(here, monkeypatch) == 1
    said = capsys.readouterr().err
    assert "does not learn while reading" in said and "look 1" not in said
