"""Gains planted on known words come out where they were planted."""

import dataclasses
import json

import command_line
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import walk
from lab.analysis import words as numbers
from lab.analysis.walk import Subject
from lab.data import tokenizers
from lab.measure.intervals import interval, ratio


TOKENIZER = tokenizers.load("bytes")
SUBJECT = Subject("nano", "0", "text", "Text", "0", 0, 0, 16, 40, "another")
CALM = "the sea was calm and grey. "
NAME = "we met Bartholomew. "


def measure(text: str, gain, reach=40, null=None):
    ids = np.array(TOKENIZER.encode(text))
    gain = np.asarray(gain, float)
    null = np.zeros(len(ids)) if null is None else null
    subject = dataclasses.replace(SUBJECT, tokens=len(ids), reach=reach)
    return numbers.measure(np.ones(len(ids)), gain, null, ids, TOKENIZER, subject)


def of(groups, name):
    return next(group for group in groups if group.name == name)


def test_a_gain_on_names_is_found_on_names_alone():
    text = (NAME + CALM) * 8
    at = [i for i in range(len(text)) if text.startswith("Barth", i)]
    gain = np.zeros(len(text))
    for i in at:
        gain[i] = 2.0
    found = measure(text, gain)
    assert (
        of(found.kinds, "names").gain.mean == 2 and of(found.kinds, "names").tokens == 8
    )
    assert of(found.kinds, "names").share == 1
    assert all(g.gain.mean == 0 for g in found.kinds if g.name != "names")
    assert found.saved[0].word == "bartholomew" and len(found.saved) == 1
    assert (found.saved[0].nats, found.saved[0].times) == (16, 8)


def test_a_gain_beyond_reach_is_found_beyond_reach():
    """A name comes back after 20 and after 101 tokens; only the far ones gain."""
    text = (NAME + NAME + CALM * 3) * 5
    period, gain = len(text) // 5, np.zeros(len(text))
    for k in range(1, 5):
        start = k * period + text.index("Barth")
        gain[start : start + 11] = 1.0
    found = measure(text, gain)
    groups = found.when["names"]
    assert of(groups, "beyond reach").gain.mean == 1
    assert of(groups, "within reach").gain.mean == 0
    assert of(groups, "first time").tokens == 1
    later = of(found.when["later pieces of words"], "beyond reach")
    assert later.share == pytest.approx(10 / 11), "of each name, one token begins it"
    edges, means = found.by_phrase.edges, np.array(found.by_phrase.mean)
    assert 40 in edges, "attention's reach ends a bin"
    near = [mean for edge, mean in zip(edges[1:], means, strict=True) if edge <= 40]
    assert np.nansum(near) == 0 and np.nanmax(means) > 0
    first = found.passages[0]
    assert first.back == period - len(NAME) and "Bartholomew" in first.text


def test_without_a_bound_nothing_is_beyond_reach():
    found = measure((NAME + CALM) * 3, np.zeros(3 * len(NAME + CALM)), reach=None)
    assert all(
        g.name != "beyond reach" for groups in found.when.values() for g in groups
    )


def test_the_longest_phrase_read_before_decides():
    found = measure("abcdefgh--abcdefgh", np.arange(18.0))
    sizes = {group.name: group.tokens for group in found.seen}
    # a; b c; d to g; h were read before; a dash came twice
    assert sizes == {
        "a new token": 9,
        "one token": 2,
        "2 to 3 tokens": 2,
        "4 to 7 tokens": 4,
        "8 tokens or more": 1,
    }
    assert of(found.seen, "8 tokens or more").gain.mean == 17


def test_distances_are_those_of_a_plain_search():
    codes = np.random.default_rng(0).integers(0, 4, 200)
    for length in (1, 2, 4):
        for i, got in enumerate(numbers.back(codes, length)):
            before = [
                i - j
                for j in range(length - 1, i)
                if (
                    codes[j - length + 1 : j + 1] == codes[i - length + 1 : i + 1]
                ).all()
            ]
            assert got == (before[-1] if before and i >= length - 1 else 0)


def test_a_ratio_over_groups_of_one_size_is_the_interval_of_their_means():
    sums = np.array([3.0, 5.0, 4.0, 9.0])
    one, other = ratio(sums, np.full(4, 2)), interval(sums / 2)
    assert one.mean == other.mean and one.half == pytest.approx(other.half)
    assert ratio([1.0, 9.0, 0.0], [1, 3, 0]).mean == 2.5
    assert not ratio([1.0], [2]).is_known and np.isnan(ratio([], []).mean)


def test_weights_that_learned_nothing_save_exactly_nothing(nano):
    ids = np.random.default_rng(0).integers(0, 200, 5 * nano.config.chunk)
    found = walk.take(nano, ids)
    np.testing.assert_array_equal(
        numbers.unrelated(nano, found.weights[0], ids), found.frozen.ravel()
    )
    null = numbers.unrelated(nano, found.weights[5], ids)
    assert np.abs(null - found.frozen.ravel()).max() > 0


def test_of_two_alternating_texts_what_is_repeated_gains(nano):
    random = np.random.default_rng(1)
    chunk = nano.config.chunk
    a, b = random.integers(97, 123, (2, 3 * chunk))
    ids = np.concatenate([a, b] * 6)
    found = walk.take(nano, ids)
    subject = dataclasses.replace(SUBJECT, tokens=len(ids), reach=nano.config.window)
    told = numbers.measure(
        found.frozen.ravel(), found.gain.ravel(), 0 * ids, ids, TOKENIZER, subject
    )
    again = told.again["the same 4 tokens"]
    assert of(again, "beyond reach").gain.low > of(again, "first time").gain.mean
    assert of(again, "beyond reach").gain.low > 0


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    checkpoints.save(tmp_path / "learner", nano, {"tokenizer": "bytes"})
    text = tmp_path / "text.txt"
    text.write_text((NAME + CALM) * 8, "utf-8")
    options = ["--document", str(text), "--model", str(tmp_path / "learner")]
    drawn = ["--figures", str(tmp_path / "drawn")]
    call = ("inspect", "words", *options, *drawn)
    assert command_line.run(monkeypatch, *call) == 0
    said = capsys.readouterr().out
    assert "names" in said and "beyond reach" in said and "this document" in said
    (path,) = (tmp_path / "runs/evals").glob("words-learner-text.txt.json")
    result = results.open_result(path, numbers.Words)
    assert result.whole.tokens == 128 and result.subject.null == "sotu/1862-Lincoln-1"
    data = json.loads(path.read_text("utf-8"))
    figures = plots.result_figures("words", data)
    assert list(figures) == ["kinds", "distance", "last", "words"]
    kinds = dict(
        zip(figures["kinds"].data[1].y, figures["kinds"].data[1].x, strict=True)
    )
    assert kinds["names"] == result.kind("names").gain.mean
    assert (tmp_path / "drawn/words-learner-text.txt-last.html").exists()


def test_a_model_that_never_learns_is_refused(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    checkpoints.save(tmp_path / "m", ttt.without_learning(nano), {"tokenizer": "bytes"})
    call = ("inspect", "words", "--model", str(tmp_path / "m"))
    assert command_line.run(monkeypatch, *call) == 1
    assert "does not learn while reading" in capsys.readouterr().err
