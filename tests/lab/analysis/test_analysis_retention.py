"""What was kept of each chunk: known gains give known ages."""

import json

import command_line
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import retention, walk
from lab.analysis.rows import Rows
from lab.commands.inspect import Look


SUBJECT = walk.Subject("m", "0", "a/doc", "", "0", 0, 12 * 64, 64, None)


@pytest.fixture(scope="module")
def alternating(nano):
    """Two chunks of random tokens in turn, and their walk."""
    random = np.random.default_rng(0)
    pair = random.integers(0, 200, (2, nano.config.chunk))
    ids = np.concatenate([pair[i % 2] for i in range(8)]).astype(np.int32)
    return walk.take(nano, ids, times=range(9))


def test_rows_cost_what_reading_again_costs(nano, alternating):
    again = Rows(nano, alternating.rows)
    for time in (0, 5):
        fast = alternating.weights[time]
        expected = walk.reread(nano, fast, alternating.rows)
        np.testing.assert_allclose(again.nats(fast), expected, rtol=2e-5, atol=2e-5)


def test_a_model_that_does_not_learn_keeps_nothing_at_all(nano, alternating):
    twin = ttt.without_learning(nano)
    found = retention.gains(twin, alternating.ids, alternating.rows, (1, 4, 8))
    assert found.shape == (8, 3) and not found.any()


def test_of_two_alternating_texts_both_are_known_once_each_was_read(nano, alternating):
    planned = retention.plan(8, nano.config.chunk)
    ids, rows = alternating.ids, alternating.rows
    found = retention.gains(nano, ids, rows, planned.times)
    for time in (2, 8):
        before, after = (
            walk.reread(nano, alternating.weights[one], rows) for one in (0, time)
        )
        expected = (before - after).mean(axis=1)
        np.testing.assert_allclose(found[:, time - 1], expected, atol=2e-5)
    np.testing.assert_array_equal(found[2], found[4])  # the same tokens, read or not
    np.testing.assert_array_equal(found[3], found[5])
    first, second = found[2, 0], found[3, 0]  # after one chunk, which was the first
    assert first > 0 and first > 2 * second


def test_known_gains_give_known_ages():
    planned = retention.plan(12, 64)
    read = np.array(planned.times) > np.array(planned.rows)[:, None]
    result = retention.summary(SUBJECT, planned, np.where(read, 1.0, 0.25))
    np.testing.assert_allclose(result.own.mean, 1.0)
    memory = np.array(result.memory.mean)
    np.testing.assert_allclose(memory[np.isfinite(memory)], 0.75)
    assert result.own.edges == (1, 2, 3, 5, 9, 13)
    assert result.step.mean == pytest.approx((1.0 + 11 * 0.75) / 12)
    assert result.entered.mean == 1.0 and result.kept.mean == 1.0
    assert np.isnan(result.other).all()


def test_each_age_has_its_mirror_ahead():
    planned = retention.plan(12, 64)
    age = np.array(planned.times) - np.array(planned.rows)[:, None]
    found = np.where(age > 0, 1.0, 0.0) + np.where(age == 0, 0.5, 0.0)
    result = retention.summary(SUBJECT, planned, found)
    assert result.ahead.mean[:2] == pytest.approx((0.5, 0.0)), "the next chunk is near"
    assert result.memory.mean[:2] == pytest.approx((0.5, 1.0))


def test_what_fades_is_not_kept_and_never_read_chunks_are_taken_off():
    planned = retention.plan(12, 64, later=2)
    age = np.array(planned.times) - np.array([*planned.rows, *planned.later])[:, None]
    fading = np.where(age > 0, 0.6 ** (age - 1.0), 0.0)
    result = retention.summary(SUBJECT, planned, fading)
    assert result.control == "later"
    assert result.own.mean[0] == pytest.approx(1.0)
    assert result.memory.mean[1] == pytest.approx(0.6)
    assert result.kept.mean == pytest.approx(2 / 12)  # the last two chunks
    lifted = retention.summary(SUBJECT, planned, fading + np.arange(12) / 4)
    assert lifted.kept.mean == pytest.approx(2 / 12)


def test_a_long_text_is_read_again_here_and_there():
    planned = retention.plan(2048, 64, later=500)
    assert len(planned.rows) == 128 and len(planned.times) <= 129
    at = set(planned.times)
    pairs = [row for row in planned.rows if {row, row + 1} <= at | {0}]
    assert len(pairs) >= 64 and planned.times[-1] == 2048
    assert min(planned.later) == 2048 and max(planned.later) == 2547
    assert len(retention.plan(2048, 1024).rows) == 32


def test_a_long_text_has_a_mirror_at_every_age():
    planned = retention.plan(512, 64)
    read = np.array(planned.times) > np.array(planned.rows)[:, None]
    result = retention.summary(SUBJECT, planned, np.where(read, 1.0, 0.25))
    assert result.memory.mean[:-1] == pytest.approx([0.75] * (len(result.memory) - 1))


def test_the_unrelated_document_was_not_read():
    read = Look(document="sotu-chronicle", tokens=512).open()
    assert read.null.name == "sotu/1862-Lincoln-1"
    lincoln = Look(document="sotu/1862-Lincoln-1", tokens=128)
    assert lincoln.open().null.name == "sotu/1790-Washington-1"
    asked = Look(tokens=128, null="sotu/1994-Clinton-1").open()
    assert asked.null.name == "sotu/1994-Clinton-1"


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    checkpoints.save(tmp_path / "learner", nano, {"tokenizer": "bytes"})
    text = tmp_path / "text.txt"
    text.write_text("The fog came in. " * 40, encoding="utf-8")
    drawn = tmp_path / "drawn"
    call = ("inspect", "retention", "--document", str(text), "--figures", str(drawn))
    call += ("--model", str(tmp_path / "learner"))
    assert command_line.run(monkeypatch, *call) == 0
    said = capsys.readouterr().out
    assert "Reading a chunk gains" in said and "never read" in said
    (path,) = (tmp_path / "runs/evals").glob("retention-*.json")
    result = results.open_result(path, retention.Retention)
    assert np.shape(result.gain) == (8, 8) and len(result.words) == 8
    figures = plots.result_figures("retention", json.loads(path.read_text("utf-8")))
    np.testing.assert_allclose(figures["map"].data[0].z, result.gain)
    assert len(list(drawn.glob("*.html"))) == 2
    kept = list((tmp_path / "runs/readings/parts").glob("*.npz"))
    assert len(kept) == 8
    assert command_line.run(monkeypatch, *call) == 0
    assert results.open_result(path, retention.Retention) == result


def test_models_that_never_learn_get_a_sentence(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    frozen = ttt.without_learning(nano)
    checkpoints.save(tmp_path / "frozen", frozen, {"tokenizer": "bytes"})
    call = ("inspect", "retention", "--model", str(tmp_path / "frozen"))
    assert command_line.run(monkeypatch, *call) == 1
    assert "does not learn while reading" in capsys.readouterr().err
