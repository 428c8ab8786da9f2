"""Latency: where lines cross, how noisy it was, and what a stopped run keeps."""

import math

import numpy as np
import pytest
from command_line import run, use_folders

import ttt_core as ttt
from lab import plots, results
from lab.bench import reading, training
from lab.commands import latency as command
from lab.evals import in_words, latency
from lab.evals.latency import Act, Latency, Row
from lab.measure.parts import Kept


FLAT, AT = (1.0, 1.0, 1.0), (1024, 4096, 16_384)
GROWS = (0.25, 1.0, 4.0)  # in proportion to the context: crosses at 4096


def test_a_crossing_is_on_the_straight_line_between_two_places():
    act = lambda ms: Act(AT, ms, 1.0)
    one = latency._crossing("prompt", "full", act(FLAT), act((0.25, 0.5, 2.0)))
    assert one.at == pytest.approx(8192) and not one.always
    assert latency._crossing("prompt", "o", act(FLAT), act(GROWS)).at == pytest.approx(
        4096
    )
    never = latency._crossing("prompt", "o", act(FLAT), act((0.5, 0.5, 0.9)))
    assert math.isnan(never.at) and not never.always
    always = latency._crossing("prompt", "o", act(FLAT), act((2.0, 2.0, 2.0)))
    assert always.always and always.at == pytest.approx(1024)
    # Noise that crosses and comes back does not count; the last crossing does.
    late = latency._crossing("prompt", "o", act(FLAT), act((1.1, 0.5, 2.0)))
    assert 4096 < late.at < 16_384


def found():
    act = lambda ms, spread=1.1: Act(AT, ms, spread)
    rows = (
        Row("tiny-e2e", act(FLAT), act(FLAT), act(FLAT, 1.5)),
        Row("tiny-full", act(GROWS), act((2.0, 8.0, 32.0)), act((0.3, 0.6, 2.4))),
        Row("tiny-swa", act((0.5,) * 3), act((0.9,) * 3), act((0.4,) * 3)),
    )
    crossings = latency.crossings(rows, ["tiny-full"])
    return Latency(2, 3, (150.0, 90.0, 151.0), rows, crossings)


def test_it_is_kept_told_shown_and_drawn_with_its_noise(capsys):
    one = found()
    data = results.to_json(one)
    assert results.to_json(results.open_result(data, Latency)) == data
    assert "90 to 151 GFLOP/s" in one.notes[0] and "1.50 times" in one.notes[0]
    assert "dearer: tiny-full from 4K tokens on" in in_words.headline(one)
    assert "4.0 times to read" in in_words.against(one, "tiny-e2e", "tiny-full")
    command.show(one)
    said = capsys.readouterr().out
    assert "from 4K" in said and "everywhere" in said and "not here" not in said
    assert {one.other for one in latency.crossings(found().rows, ())} == set()
    figures = plots.result_figures("latency", one)
    assert [shape.x0 for shape in figures["prompt"].layout.shapes] == [
        pytest.approx(4096)
    ]
    assert not figures["writing"].layout.shapes  # full attention is always dearer
    assert len(figures["training"].data) == 3


def fakes(monkeypatch, stopping: bool):
    """Benches that count their calls; training may be interrupted."""
    calls = []

    def read(models, contexts, **_):
        calls.append("read")
        at, flat = np.array(contexts), np.full(len(contexts), 1e-3)
        size = np.ones(len(contexts), int)
        make = lambda name: reading.ReadingCost(
            name, 1, True, at, flat, flat, 2 * flat, size, 0.0, 1.2
        )
        return [make(name) for name in models]

    def train(systems, seqs, tokens, **_):
        calls.append(f"train {seqs[0]}")
        if stopping and seqs[0] == 64:
            raise KeyboardInterrupt
        return [training.Cost(n, seqs[0], 1, 0.032, 0, 1.0, 1, 1.3) for n in systems]

    monkeypatch.setattr(reading, "measure_reading", read)
    monkeypatch.setattr(training, "measure_training", train)
    monkeypatch.setattr("lab.training.machine.measure_peak", lambda: 1e11)
    return calls


def test_a_stopped_run_goes_on_with_the_parts_that_are_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    build = type("Model", (), {"config": ttt.preset("nano")})
    models = {"a": build, "b": build}
    knobs = dict(contexts=(8, 16), seqs=(32, 64), tokens=64, repeats=1)
    assert fakes(monkeypatch, stopping=True) == []
    with pytest.raises(KeyboardInterrupt, match="kept"), Kept("latency", "parts") as k:
        latency.measure(models, **knobs, keep=k)
    calls = fakes(monkeypatch, stopping=False)
    with Kept("latency", "parts") as keep:
        peaks, rows = latency.measure(models, **knobs, keep=keep)
        keep.forget()
    assert calls == ["train 64"] and peaks == (100.0, 100.0, 100.0)
    assert [row.system for row in rows] == ["a", "b"]
    assert rows[0].prompt == Act((8, 16), (1.0, 1.0), 1.2)
    assert rows[0].writing.ms == (2.0, 2.0)
    assert rows[0].training == Act((32, 64), (1.0, 0.5), 1.3)
    latency.measure(models, **knobs, keep=Kept("latency", "parts"))
    assert calls == ["train 64", "read", "train 32", "train 64"]  # measured anew


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tiny-e2"], "tiny-e2"),
        (["--tokens", "0"], "--tokens must be >= 1"),
        (["--repeats", "0"], "--repeats must be >= 1"),
    ],
)
def test_what_cannot_be_is_a_sentence(monkeypatch, tmp_path, capsys, words, said):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    assert run(monkeypatch, "eval", "latency", *words) == 1
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_measures(tmp_path, monkeypatch, capsys):
    use_folders(monkeypatch, tmp_path)
    assert run(monkeypatch, "eval", "latency", "nano") == 0
    assert "reading a prompt" in capsys.readouterr().out
    (kept,) = (tmp_path / "runs" / "evals").glob("latency-*.json")
    one = results.open_result(kept, Latency)
    assert one.rows[0].system == "nano" and min(one.rows[0].training.ms) > 0
