"""Four readers with memories taken away: each is a reader that is known otherwise."""

import json

import command_line
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import forgetting, walk
from lab.analysis.forgetting import COLUMNS


SUBJECT = walk.Subject("m", "0", "a/doc", "", "0", 0, 12 * 8, 8, None)


@pytest.fixture(scope="module")
def ids(nano):
    random = np.random.default_rng(0)
    return random.integers(0, 200, 12 * nano.config.chunk).astype(np.int32)


@pytest.fixture(scope="module")
def measured(nano, ids):
    return forgetting.measure(nano, ids, ids[::-1].copy(), [4, 8])


def test_each_column_is_a_reader_that_is_known_otherwise(nano, ids, measured):
    chunk, near = nano.config.chunk, {"rtol": 2e-5, "atol": 2e-5}
    found = walk.take(nano, ids, times=(4, 8))
    for stop, nats in zip((4, 8), measured[0], strict=True):
        both, weights, window, neither = nats[:, :chunk]
        np.testing.assert_allclose(both, found.learning[stop], **near)
        np.testing.assert_allclose(window, found.frozen[stop], **near)
        row = found.rows[stop : stop + 1]
        for got, time in ((weights, stop), (neither, 0)):
            expected = walk.reread(nano, found.weights[time], row)[0]
            np.testing.assert_allclose(got, expected, **near)
        assert np.abs(both - weights).max() > 1e-3, "the window is taken away"
        assert np.abs(both - window).max() > 1e-3, "the weights are taken away"


def test_without_learning_weights_are_worth_exactly_nothing(nano, ids):
    twin = ttt.without_learning(nano)
    own, null = forgetting.measure(twin, ids, ids, [4, 8])
    result = forgetting.summary(SUBJECT, [4, 8], own, null)
    for name in ("weights, beside the window", "weights, with an empty window"):
        worth = result.worth[name]
        assert (worth.mean, worth.low, worth.high) == (0, 0, 0)
    assert result.worth["window, with W0"].mean != 0


def test_known_nats_have_known_worth():
    nats = np.array([1.0, 2.0, 4.0, 8.0])[:, None] * np.ones((3, 4, 16))
    result = forgetting.summary(SUBJECT, [4, 8, 9], nats, 0 * nats)
    means = [one.mean for one in result.worth.values()]
    assert means == [3.0, 6.0, 1.0, 4.0]
    assert all(one.mean == 0 for one in result.null.values())
    assert result.nats[COLUMNS[2]].mean == (4.0,) * len(result.nats[COLUMNS[2]])
    assert result.places == (32, 64, 72)


def test_places_leave_something_to_read_on():
    assert forgetting.places(128, 0)[-1] == 124
    assert forgetting.places(128, 500)[-1] == 128
    assert forgetting.places(2, 0) == [1]
    assert len(forgetting.places(2048, 0)) == forgetting.PLACES


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    checkpoints.save(tmp_path / "learner", nano, {"tokenizer": "bytes"})
    text = tmp_path / "text.txt"
    text.write_text("The fog came in. " * 40, encoding="utf-8")
    call = ("inspect", "forgetting", "--document", str(text))
    call += ("--model", str(tmp_path / "learner"))
    asked = ("--question", "The fog", "--answer", "came in")
    figures = ("--figures", str(tmp_path / "drawn"))
    assert command_line.run(monkeypatch, *call, *asked, *figures) == 0
    said = capsys.readouterr().out
    assert "empty window, weights" in said and "first choice" in said
    (path,) = (tmp_path / "runs/evals").glob("forgetting-*.json")
    result = results.open_result(path, forgetting.Forgetting)
    assert set(result.asked.nats) == set(result.texts[0].written) == set(COLUMNS)
    drawn = plots.result_figures("forgetting", json.loads(path.read_text("utf-8")))
    assert list(drawn) == ["follows", "worth"]
    assert command_line.run(monkeypatch, *call, "--answer", "came") == 1
    assert "no question" in capsys.readouterr().err
