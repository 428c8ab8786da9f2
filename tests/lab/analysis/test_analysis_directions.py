"""Directions: a planted one is found with what it says; a null's says nothing."""

import dataclasses
import json

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import directions, units, walk
from ttt_core.model import compute_logits


TOKEN, UNIT = 77, 9


@pytest.fixture(scope="module")
def ids(nano):
    return np.random.default_rng(0).integers(0, 200, 8 * nano.config.chunk)


@pytest.fixture(scope="module")
def found(nano, ids):
    return walk.take(nano, ids)


@pytest.fixture(scope="module")
def planted(nano, found):
    """A walk that left one thing: unit 9 writes token 77."""
    origin = found.weights[0]
    change = np.zeros(origin.down.shape, np.float32)
    change[0, UNIT] = 3 * np.asarray(nano.embed[TOKEN])
    after = dataclasses.replace(origin, down=origin.down + change)
    return dataclasses.replace(found, weights={0: origin, 8: after})


@pytest.fixture(scope="module")
def text(nano, planted):
    """The planted walk on a text where the token follows whatever excites the unit."""
    read = directions.read(nano, planted)
    excited = read.units[0][:, UNIT]
    follows = np.where(excited > np.quantile(excited, 0.9), TOKEN, read.follows)
    ids = read.ids.copy()
    ids[read.place] = follows
    return dataclasses.replace(read, follows=follows, ids=ids)


def measure(nano, text, null):
    about = walk.Subject("m", "0", "d", "D", "1", 0, len(text.ids), 16, 64)
    decode = lambda ids: " ".join(map(str, ids))
    return directions.measure(nano, text, null, subject=about, decode=decode)


def test_a_rank_one_change_is_one_direction_and_one_unit(nano, text, found):
    result = measure(nano, text, directions.read(nano, found))
    names = {(one.kind, one.number): one for one in result.shown}
    assert set(names) == {("singular", 1), ("unit", UNIT)}
    assert len(result.scores) == 2 and result.hidden == 0
    for one in result.shown:
        assert one.block == 4 and one.share == pytest.approx(1, abs=1e-4)
        assert one.promoted[0] == str(TOKEN) and one.score > 0.3
    assert names["unit", UNIT].passages[0].follows == str(TOKEN)


def test_where_nothing_is_learned_nothing_is_said(nano, found):
    """The frozen twin: weights that never moved have no directions."""
    still = dataclasses.replace(found, weights={0: found.weights[0]})
    read = directions.read(nano, still)
    result = measure(nano, read, read)
    assert not result.scores and not result.shown and not result.null_shown


def test_a_direction_that_says_the_wrong_thing_is_not_shown(nano, text, found):
    wrong = dataclasses.replace(text, follows=np.roll(text.follows, 31))
    result = measure(nano, wrong, directions.read(nano, found))
    assert not result.shown and result.hidden == 2


def test_units_are_those_that_the_model_reads_with(nano, found):
    """Through the units' own outputs, the loss is that of reading the row."""
    row = jnp.asarray(found.rows[2])
    hidden, output = units.through(nano, row[:-1])
    assert hidden.shape == (1, nano.config.chunk, nano.config.d_fast)
    logits = jax.nn.log_softmax(compute_logits(nano, output))
    nll = -jnp.take_along_axis(logits, row[1:, None], -1)[:, 0]
    _, report = ttt.meta_loss(ttt.without_learning(nano), row)
    np.testing.assert_allclose(nll, report.nll, rtol=2e-5, atol=2e-5)


def test_places_say_what_follows(nano, found):
    read = directions.read(nano, found)
    np.testing.assert_array_equal(read.follows, found.ids[read.place])
    assert read.units.shape == (1, len(read.place), nano.config.d_fast)


def test_units_of_a_place_know_nothing_of_what_follows(nano, found):
    """Each chunk is read behind two others, up to the token before."""
    chunk, ids = nano.config.chunk, found.ids
    read = directions.read(nano, found)
    after = ttt.merge(found.weights[8], ttt.split(nano)[1])
    inputs = ids[5 * chunk - 1 : 8 * chunk - 1]  # all that stands before the last token
    hidden, _ = units.through(after, jnp.asarray(inputs))
    last = read.units[:, read.place >= 7 * chunk]
    np.testing.assert_allclose(last, hidden[:, -chunk:], rtol=2e-5, atol=2e-5)


def test_long_texts_are_looked_at_in_places(nano, found, monkeypatch):
    monkeypatch.setattr(directions, "PLACES", 3 * nano.config.chunk)
    read = directions.read(nano, found)
    assert len(read.place) == 3 * nano.config.chunk
    assert read.place[-1] == len(found.ids) - 1


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    document = tmp_path / "fog.txt"
    words = np.random.default_rng(0).choice(command_line.WORDS, 60)
    document.write_text(" ".join(words), "utf-8")
    checkpoints.save(tmp_path / "reader", nano, {"tokenizer": "bytes"})
    call = ["inspect", "directions", "--document", str(document)]
    call += ["--model", str(tmp_path / "reader"), "--figures", str(tmp_path / "drawn")]
    assert command_line.run(monkeypatch, *call) == 0
    said = capsys.readouterr().out
    assert "beyond 95 % of each null" in said and "promoted" in said
    (path,) = (tmp_path / "runs/evals").glob("directions-reader-*.json")
    result = results.open_result(path, directions.Directions)
    assert len(result.scores) == 16 and len(result.random) == directions.RANDOM
    figures = plots.result_figures("directions", json.loads(path.read_text("utf-8")))
    assert sorted(figures) == ["scores", "words"]
    assert len(list((tmp_path / "drawn").glob("directions-*.html"))) == 2
