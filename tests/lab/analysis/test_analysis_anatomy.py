"""Anatomy: a rank-one change has rank one, and a known path is found again."""

import dataclasses
import json
import math

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import anatomy, walk
from lab.data.documents import Document
from lab.data.headings import at_tokens, headings
from lab.data.tokenizers import load


@pytest.fixture(scope="module")
def ids(nano):
    return np.random.default_rng(0).integers(0, 200, 8 * nano.config.chunk)


@pytest.fixture(scope="module")
def found(nano, ids):
    return walk.take(nano, ids, times=range(9))


@pytest.fixture(scope="module")
def breaking(nano, found):
    return anatomy.find_breaking(nano, found)


def subject(nano, ids):
    return walk.Subject("m", "0", "d", "D", "1", 0, len(ids), nano.config.chunk, 64)


def look(nano, ids, found, null, breaking, **knobs):
    about = {"subject": subject(nano, ids), "layers": nano.config.layers}
    return anatomy.measure(found, null, breaking, **about, **knobs)


def growing(found, change, times):
    """A walk whose weights move along `change`, by `time` at each time."""
    move = lambda time: jax.tree.map(
        lambda w, d: w + time * d, found.weights[0], change
    )
    return dataclasses.replace(found, weights={time: move(time) for time in times})


def rank_one(fast, block=0):
    """The change `u v^T` of unit norm in each matrix, of one unit of `down`."""
    flat = {}
    for name in anatomy.MATRICES:
        shape = np.asarray(getattr(fast, name)).shape
        u, v = np.zeros(shape[1]), np.zeros(shape[2])
        u[3], v[5] = 1, 1
        flat[name] = np.zeros(shape, np.float32)
        flat[name][block] = np.outer(u, v)
    return type(fast)(**jax.tree.map(jnp.asarray, flat))


def test_a_rank_one_change_in_a_straight_line(nano, ids, found, breaking):
    straight = growing(found, rank_one(found.weights[0]), range(9))
    result = look(nano, ids, straight, found, breaking)
    assert result.blocks == (4,) and len(result.text) == 3
    for one in result.text:
        assert one.rank == pytest.approx((1,) * len(one.rank), abs=1e-4)
        assert one.turned[2:] == pytest.approx((1,) * 7, abs=1e-4)
        assert one.kept_on[1:] == pytest.approx((1,) * 8, abs=1e-4)
        norm = np.linalg.norm(np.asarray(getattr(found.weights[0], one.name)))
        moved = np.arange(9) / norm
        assert one.moved == pytest.approx(moved, abs=2e-5)
        assert one.values[-1][:2] == pytest.approx((8, 0), abs=1e-3)
    assert result.path.explained == pytest.approx(1, abs=1e-4)
    assert result.path.x[0] == 0 and np.all(np.diff(result.path.x) > 0)


def test_the_units_that_moved_are_named(nano, ids, found, breaking):
    """`gate` and `up` changed in unit 5, `down` in unit 3."""
    straight = growing(found, rank_one(found.weights[0]), (0, 8))
    (units,) = look(nano, ids, straight, straight, breaking).units
    assert units.top[:2] == (5, 3) and units.same == len(units.top)
    assert units.shares[:2] == pytest.approx((2 / 3, 1 / 3), abs=1e-4)
    assert units.spread == pytest.approx(9 / 5, abs=0.01)


def test_weights_that_never_move_have_no_direction(nano, ids, found, breaking):
    """The frozen twin: everything that is measured of it is zero, exactly."""
    still = growing(found, jax.tree.map(np.zeros_like, found.weights[0]), range(9))
    result = look(nano, ids, still, still, breaking)
    for one in result.text:
        assert not any(one.moved) and not any(one.rank)
        assert set(one.ratio) == {1.0} and all(map(math.isnan, one.turned))
    assert not any(result.path.x) and math.isnan(result.path.explained)
    assert not any(result.units[0].shares)


def test_a_real_walk_is_measured_as_drift_is(nano, ids, found, breaking):
    result = look(nano, ids, found, found, breaking)
    origin, after = found.weights[0], found.weights[8]
    squares = [
        one.moved[-1] ** 2 * np.sum(np.asarray(getattr(origin, one.name)) ** 2)
        for one in result.text
    ]
    total = sum(np.sum(np.asarray(leaf) ** 2) for leaf in jax.tree.leaves(origin))
    drift = float(ttt.drift(after, origin)[0])
    assert math.sqrt(sum(squares) / total) == pytest.approx(drift, abs=1e-4)


def test_at_a_large_rate_learning_costs_more_than_it_saves(nano, found, breaking):
    at_one = breaking.rates.index(1.0)
    assert breaking.loss[at_one] == pytest.approx(found.learning.mean(), abs=1e-4)
    assert breaking.frozen == pytest.approx(found.frozen.mean(), abs=1e-6)
    assert breaking.loss[-1] > breaking.frozen
    assert list(breaking.ratio) == sorted(breaking.ratio)


def test_the_crossing_lies_between_two_rates():
    rates, ratio = np.array([1, 4, 16]), np.array([1.0, 2.0, 6.0])
    rate, line = anatomy.crossing(rates, np.array([-1, -1, 3]), ratio)
    assert (rate, line) == (pytest.approx(4 * 4**0.25), 3.0)
    for excess in ([-1, -1, -1], [1, 2, 3]):
        assert math.isnan(anatomy.crossing(rates, np.array(excess), ratio)[0])
    blown = anatomy.crossing(rates, np.array([-1, -1, np.nan]), ratio)
    assert blown == (pytest.approx(16), 6.0)


def test_parts_of_a_document_are_found_in_tokens():
    text = "CHAPTER I.\n\nFög came.\n\nChapter II: An End\n\nPart of it stayed.\n"
    document = Document("a", "A", text, "", "")
    names = [name for _, name in headings(document)]
    assert names == ["CHAPTER I.", "Chapter II"]
    tokenizer = load("bytes")
    ids = np.array(tokenizer.encode(text))
    place = len(text[: text.index("Chapter II")].encode())
    assert at_tokens(document, tokenizer, ids) == [(0, names[0]), (place, names[1])]
    assert at_tokens(document, tokenizer, ids[5:], 5) == [(place - 5, names[1])]


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    words = " ".join(np.random.default_rng(0).choice(command_line.WORDS, 60))
    document = tmp_path / "fog.txt"
    document.write_text(f"CHAPTER I.\n\nFog.\n\nCHAPTER II.\n\n{words}", "utf-8")
    checkpoints.save(tmp_path / "reader", nano, {"tokenizer": "bytes"})
    call = ["inspect", "anatomy", "--document", str(document)]
    call += ["--model", str(tmp_path / "reader"), "--figures", str(tmp_path / "drawn")]
    assert command_line.run(monkeypatch, *call) == 0
    said = capsys.readouterr().out
    assert "random order" in said and "On the first 8 chunks" in said
    (path,) = (tmp_path / "runs/evals").glob("anatomy-reader-*.json")
    result = results.open_result(path, anatomy.Anatomy)
    assert result.times == tuple(range(9))
    assert result.marks == ((0, "CHAPTER I."), (1, "CHAPTER II."))
    figures = plots.result_figures("anatomy", json.loads(path.read_text("utf-8")))
    assert sorted(figures) == ["blocks", "moved", "path", "rank", "rates", "values"]
    assert len(figures["path"].layout.annotations) == 2
    assert len(list((tmp_path / "drawn").glob("anatomy-*.html"))) == 6
