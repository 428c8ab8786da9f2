"""Influence: a planted teacher is found, and without learning nobody has taught."""

import json

import command_line
import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import influence, variants, walk
from lab.commands.influence import line
from lab.measure.intervals import Curve
from lab.measure.parts import Kept


CHUNKS, TAUGHT, LEARNER = 20, 3, 17  # the last repeats a chunk, far beyond reach


@pytest.fixture(scope="module")
def model():
    """A model that learns a little from each chunk."""
    config = ttt.preset("nano").replace(window=16, lr=0.3)
    return config.build(key=jax.random.key(1))


@pytest.fixture(scope="module")
def text(model):
    """Each chunk in letters of its own, but for one."""
    chunk, random = model.config.chunk, np.random.default_rng(2)
    ids = 12 * np.arange(CHUNKS)[:, None] + random.integers(0, 12, (CHUNKS, chunk))
    ids[LEARNER] = ids[TAUGHT]
    return ids.ravel().astype(np.int32)


@pytest.fixture(scope="module")
def read(model, text):
    return walk.take(model, text)


def subject_of(model, text, null="another"):
    chunk = model.config.chunk
    return walk.Subject("m", "0", "d", "D", "1", 0, len(text), chunk, 32, null)


def decode(ids):
    return "".join(chr(65 + i % 26) for i in ids)


def look(model, text, read, **knobs):
    other = np.random.default_rng(3).integers(200, 256, 5 * model.config.chunk)
    return influence.measure(
        model, read, other, subject=subject_of(model, text), decode=decode, **knobs
    )


@pytest.fixture(scope="module")
def found(model, text, read):
    return look(model, text, read)


def test_who_taught_a_repeated_chunk_is_the_chunk_that_it_repeats(found):
    assert found.left_out == tuple(range(CHUNKS - 1))
    for of in ("exact", "estimate"):
        into = found.matrix(of)[:LEARNER, LEARNER]
        assert into.argmax() == TAUGHT
        assert into[TAUGHT] > 2.5 * np.delete(into, TAUGHT).max()


def test_the_tokens_of_the_repeated_chunk_name_their_teacher(model, text, read):
    inside = np.arange(len(text)) // model.config.chunk == LEARNER
    chosen = influence.choose(read, 1, 5, inside)
    (taught,) = look(model, text, read, chosen=chosen).taught
    assert taught.gain == pytest.approx(read.gain[LEARNER].max(), abs=1e-4)
    assert taught.teachers[0].chunk == TAUGHT and taught.teachers[0].says_it
    assert taught.common == pytest.approx(1 / LEARNER, abs=1e-4)


def test_the_tokens_that_gained_most_are_chosen(found, read):
    gains = [one.gain for one in found.taught]
    assert gains == sorted(gains, reverse=True) and len(gains) > 3
    assert gains[0] == pytest.approx(read.gain[1:].max(), abs=1e-4)
    assert len({one.token for one in found.taught}) > 1


def test_an_influence_is_the_difference_to_reading_without_the_chunk(model, text, read):
    """The slow way: rate 0 for one chunk, by the public door."""
    chunk, state, nats = model.config.chunk, ttt.init_state(model), []
    for i in range(CHUNKS):
        piece = text[i * chunk : (i + 1) * chunk]
        rate = 0.0 if i == TAUGHT else 1.0
        state, report = ttt.read_chunk(model, state, piece, rate=rate)
        nats.append(np.asarray(report.nll))
    more = (np.array(nats) - read.learning).mean(1)
    row = look(model, text, read).matrix()[TAUGHT]
    np.testing.assert_allclose(row[TAUGHT + 1 :], 1000 * more[TAUGHT + 1 :], atol=0.05)


def test_without_learning_all_readings_are_the_same(model, text, read):
    """Zero exactly: a variant at rate 0 is the frozen twin, whatever is left out."""
    rows = variants.prepare(model, read.rows)
    learners = variants.copies(variants.first_learner(model, CHUNKS), 3)
    rates = np.zeros((3, CHUNKS), np.float32)
    _, nats, _ = variants.read_on(model, learners, rows, rates)
    np.testing.assert_array_equal(nats[0], nats[1])
    np.testing.assert_allclose(nats[0], read.frozen, rtol=2e-5, atol=2e-5)


def test_variants_know_nothing_of_each_other(model, read):
    rows = variants.prepare(model, read.rows)
    rates = np.ones((2, CHUNKS), np.float32)
    rates[1, 5] = 0
    learners = variants.copies(variants.first_learner(model, CHUNKS), 2)
    _, nats, _ = variants.read_on(model, learners, rows, rates)
    np.testing.assert_allclose(nats[0], read.learning, rtol=2e-5, atol=2e-5)
    np.testing.assert_array_equal(nats[0, :6], nats[1, :6])
    assert (nats[0, 6:] != nats[1, 6:]).any()


def test_the_unrelated_text_is_not_taught(found):
    near, null = found.matrix()[TAUGHT, LEARNER], found.null
    assert isinstance(null, Curve)
    common = np.abs(null.mean[:-1])  # the last holds a single pair
    assert 1000 * common.max() < 0.2 * near


def test_estimates_agree_with_readings_at_a_small_rate(model, text):
    """To first order both are the same."""
    import dataclasses

    slow = dataclasses.replace(model, config=model.config.replace(lr=0.05))
    found = look(slow, text, walk.take(slow, text))
    assert found.agreement.correlation > 0.98
    assert found.agreement.slope == pytest.approx(1, abs=0.05)


def test_the_fast_mode_reads_nothing_again(model, text, read, found):
    fast = look(model, text, read, fast=True)
    assert fast.left_out == () and fast.agreement is None and fast.by_distance is None
    np.testing.assert_allclose(fast.matrix("estimate"), found.matrix("estimate"))
    assert fast.estimated == found.estimated
    assert len(plots.result_figures("influence", fast)["distance"].data) == 2
    assert fast.taught[0].teachers and np.isnan(fast.taught[0].teachers[0].nats)


def test_readings_that_are_kept_are_not_made_again(
    model, text, read, found, tmp_path, monkeypatch
):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    with Kept("influence", "readings") as keep:
        look(model, text, read, keep=keep)
        monkeypatch.delattr(influence._Reading, "leave_out")
        again = look(model, text, read, keep=keep)
    assert again.exact == found.exact and again.taught == found.taught


def test_long_documents_are_divided_and_sampled():
    assert influence.plan(128, 1000) == (1, tuple(range(127)))
    span, left_out = influence.plan(2048, 1000)
    assert span == 16 and 4 <= len(left_out) < 20
    assert len(left_out) * 2048 <= 2 * influence.READINGS
    assert influence.plan(100, 10)[0] == 10, "no more spans than there is memory for"
    assert influence.plan(100, 10, fast=True)[1] == ()


def test_spans_are_sums_of_their_chunks_to_first_order(
    model, text, read, found, monkeypatch
):
    monkeypatch.setattr(influence, "SPANS", 10)
    wide = look(model, text, read, fast=True)
    assert wide.span == 2 and wide.spans == 10
    pairs = found.matrix("estimate").reshape(10, 2, 10, 2).sum(1).mean(-1)
    later = np.triu_indices(10, 1)
    np.testing.assert_allclose(wide.matrix("estimate")[later], pairs[later], atol=0.05)


def test_the_command_prints_keeps_and_draws(tmp_path, model, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    words = np.random.default_rng(0).choice(command_line.WORDS, 90)
    document = tmp_path / "fog.txt"
    document.write_text(" ".join(words) + " fog" * 20, encoding="utf-8")
    checkpoints.save(tmp_path / "reader", model, {"tokenizer": "bytes"})
    call = ["inspect", "influence", "--document", str(document)]
    call += ["--model", str(tmp_path / "reader"), "--figures", str(tmp_path / "drawn")]
    assert command_line.run(monkeypatch, *call, "--word", "fog") == 0
    said = capsys.readouterr().out
    assert "taught by" in said and "unrelated text" in said
    (path,) = (tmp_path / "runs/evals").glob("influence-reader-*.json")
    result = results.open_result(path, influence.Influence)
    assert result.subject.chunks == 8 and len(result.exact) == 7
    figures = plots.result_figures("influence", json.loads(path.read_text("utf-8")))
    assert sorted(figures) == ["distance", "estimate", "map", "taught"]
    assert len(list((tmp_path / "drawn").glob("influence-*.html"))) == 4
    assert command_line.run(monkeypatch, *call, "--word", "submarine") == 1
    assert "is not in the text" in capsys.readouterr().err


def test_teachers_are_counted_from_one_as_a_reading_counts_its_chunks():
    teacher = influence.Teacher(0, np.nan, 0.5, True, "the fog")
    assert line(teacher, 1) == "chunk 1: estimate +0.50, says it: the fog"
    assert line(teacher, 4).startswith("chunks 1 to 4: ")
