"""How much of a memory: its ends are known otherwise; nothing learned saves nothing."""

import dataclasses

import command_line
import jax
import numpy as np
import pytest

from lab import checkpoints, plots, results
from lab.analysis import strength, walk
from lab.analysis.headlines import headline
from lab.analysis.strength import ALPHAS, Strength


SUBJECT = walk.Subject("m", "0", "a/doc", "", "0", 0, 12 * 16, 16, None, "b")


@pytest.fixture(scope="module")
def read(nano):
    ids = np.random.default_rng(0).integers(0, 200, 12 * nano.config.chunk)
    return walk.take(nano, ids.astype(np.int32))


@pytest.fixture(scope="module")
def other(nano):
    ids = np.random.default_rng(1).integers(0, 200, 5 * nano.config.chunk)
    return walk.cut(ids.astype(np.int32), nano.config)


@pytest.fixture(scope="module")
def measured(nano, read, other):
    return strength.measure(
        nano, read, subject=SUBJECT, unread=other[:0], unrelated=other
    )


def test_none_of_it_are_the_weights_before_and_all_of_it_those_after(
    nano, read, measured
):
    for alpha, time in ((0.0, 0), (1.0, len(read.rows))):
        nats = walk.reread(nano, read.weights[time], read.rows).mean()
        at = measured.alphas.index(alpha)
        assert measured.passages["read"].costs[at] == pytest.approx(nats, rel=1e-5)


def test_half_of_it_lies_half_way(nano, read, measured):
    half = jax.tree.map(
        lambda w, v: (w + v) / 2, read.weights[0], read.weights[len(read.rows)]
    )
    nats = walk.reread(nano, half, read.rows).mean()
    at = measured.alphas.index(0.5)
    assert measured.passages["read"].costs[at] == pytest.approx(nats, rel=1e-5)
    assert abs(measured.passages["read"].saved[at].mean) > 1e-3


def test_nothing_is_saved_with_none_of_it_or_where_nothing_was_learned(
    nano, read, other, measured
):
    for found in measured.passages.values():
        assert found.saved[0].mean == 0
    still = dataclasses.replace(
        read, weights=dict.fromkeys(read.weights, read.weights[0])
    )
    knobs = dict(subject=SUBJECT, unread=other, unrelated=other)
    for found in strength.measure(nano, still, **knobs).passages.values():
        assert all(one.mean == 0 for one in found.saved)


def test_kinds_that_have_no_passages_are_left_out(measured):
    assert list(measured.passages) == ["read", "unrelated"]
    assert measured.passages["unrelated"].chunks == 5
    assert "that follows" not in headline(measured)
    figure = plots.saved_by_strength(measured, alpha=0.5)
    assert len(figure.data) == 4 and len(figure.layout.shapes) == 3


def test_the_best_is_where_passages_cost_least():
    costs = tuple((alpha - 0.75) ** 2 for alpha in ALPHAS)
    saved = (strength.batch_means([0.0, 0.1, 0.2]),) * len(ALPHAS)
    found = Strength(SUBJECT, ALPHAS, {"read": strength.Passages(3, costs, saved)})
    assert found.best() == 0.75 and found.at(0.7) == 6
    assert "most at alpha 0.75" in headline(found)


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    words = " ".join(np.random.default_rng(0).choice(command_line.WORDS, 200))
    document = tmp_path / "fog.txt"
    document.write_text(words, "utf-8")
    checkpoints.save(tmp_path / "reader", nano, {"tokenizer": "bytes"})
    call = ["inspect", "strength", "--document", str(document), "--tokens", "192"]
    call += ["--model", str(tmp_path / "reader"), "--figures", str(tmp_path / "drawn")]
    assert command_line.run(monkeypatch, *call) == 0
    said = capsys.readouterr().out
    assert "unread: what follows in the text" in said and "1.375" in said
    (path,) = (tmp_path / "runs/evals").glob("strength-reader-*.json")
    found = results.open_result(path, Strength)
    assert list(found.passages) == ["read", "unread", "unrelated"]
    assert list((tmp_path / "drawn").glob("*-saved.html"))
