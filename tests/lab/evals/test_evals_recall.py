"""`ttt-lab eval recall`: what is left of a fact, and of the frozen twin nothing."""

import dataclasses
import json

import command_line
import equinox as eqx
import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.data import questions, shards, tokenizers
from lab.evals import recall
from lab.measure import answers
from lab.measure.texts import TextRead


NEAR, FAR = 200, 400


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("novels"), np.random.default_rng(0)
    words = ["the", "fog", "had", "come", "in", "from", "a", "river.", "And", "stayed"]
    for i in range(3):
        text = " ".join(random.choice(words, 400))
        (folder / f"novel{i}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def asked(corpus, tmp_path_factory):
    tokenizer = tokenizers.load("bytes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTT_LAB_DATA", str(tmp_path_factory.mktemp("prepared")))
        opened = shards.open(str(corpus), tokenizer, "all")
        return questions.build(opened, tokenizer, count=3, distances=(NEAR, FAR))


@pytest.fixture(scope="module")
def measured(nano, asked):
    assert nano.config.reach < NEAR
    return recall.measure_recall(nano, asked)


def test_the_frozen_twin_knows_exactly_nothing_beyond_its_reach(measured):
    assert (measured.frozen.nats == 0).all() and (measured.frozen.decoy == 0).all()
    assert (measured.frozen.first == measured.frozen.first_absent).all()


def test_the_learner_is_changed_by_what_it_read(measured):
    assert (measured.learning.nats != 0).all()
    assert np.isfinite(measured.learning.nats).all()
    assert (measured.learning.decoy != measured.learning.nats).all()


def test_within_its_reach_the_frozen_twin_sees_the_fact(nano, asked):
    config = nano.config.replace(window=64, lr=0.0)
    build = lambda: config.build(key=jax.random.key(0))
    structure = jax.tree.structure(eqx.filter_eval_shape(build))
    wide = jax.tree.unflatten(structure, jax.tree.leaves(nano))
    assert NEAR < config.reach < FAR
    found = recall.measure_recall(wide, asked)
    assert found.learning is None
    assert (found.frozen.nats[:, 0] != 0).all()
    assert (found.frozen.nats[:, 1] == 0).all()


def test_costs_are_what_a_stream_scores(measured, nano, asked):
    i, j = 1, 1
    read = asked.present[i][: asked.asked_at[i][j]]
    state, _ = ttt.read(nano, ttt.init_state(nano), read)
    nats = ttt.score(nano, state, asked.prompts[i], asked.answers[i])
    expected = float(np.mean(np.asarray(nats, np.float64)))
    assert measured.learning.cost[i, j] == pytest.approx(expected, abs=1e-5)


def test_first_choices_are_counted():
    answer = np.array([2, 0, 1])
    logits = np.log([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1], [0.5, 0.4, 0.1]])
    found = answers.grade(logits, answer)
    assert found.nats == pytest.approx(-np.mean(np.log([0.7, 0.8, 0.4])))
    assert found.first == pytest.approx(2 / 3)
    assert found.rank.tolist() == [0, 0, 1]


def test_whole_answers_have_every_token_right():
    # nats, shares, nats for the decoy, each at two distances
    present = [[1.0, 2.0], [1.0, 0.5], [6.0, 5.0]]
    absent = [[4.0, 2.0], [0.25, 0.0], [6.5, 5.0]]
    found = recall._answers([[present, absent]])
    assert found.nats.tolist() == [[3.0, 0.0]]
    assert found.decoy.tolist() == [[0.5, 0.0]]
    assert found.whole.tolist() == [[1.0, 0.0]]
    assert found.first_absent.tolist() == [[0.25, 0.0]]


def test_numbers_come_with_intervals_and_by_relation(measured):
    found, values = recall.memory(measured), measured.learning.nats
    means = [one.mean for one in found.learning.nats]
    assert means == pytest.approx(values.mean(axis=0), abs=1e-5)
    first = found.learning.nats[0]
    assert first.low < first.mean < first.high
    assert set(found.learning.nats_by_relation) == set(measured.relations)
    assert [one.mean for one in found.frozen.nats] == [0.0, 0.0]


@pytest.fixture(scope="module")
def result(measured):
    memory = recall.memory(measured)
    text = TextRead("novels", "all", "bytes", "h", "facts", ("a", "b", "c"), 800, 3)
    both = {"a": memory, "b": dataclasses.replace(memory, learning=None)}
    return recall.Recall(text, "asked", 0, {"a": "s", "b": "s"}, both)


def test_it_goes_through_a_file_and_back(result):
    data = results.to_json(result)
    again = results.open_result(data, recall.Recall)
    assert results.to_json(again) == data and again.systems["b"].learning is None


def test_figures_draw_what_was_measured(result):
    drawn = plots.result_figures("recall", result)
    assert list(drawn) == ["nats", "first", "whole"]
    lines = {line.name: line for line in drawn["nats"].data}
    assert list(lines) == ["a", "a, decoy", "a, frozen", "b"]
    known = result.systems["a"].learning
    assert list(lines["a"].y) == [one.mean for one in known.nats]
    assert list(lines["a"].x) == [NEAR, FAR]
    assert lines["a, frozen"].line.dash == "dash"
    assert len(drawn["nats"].layout.annotations) == 1
    whole = drawn["whole"].data[0]
    assert list(whole.y) == [one.mean for one in known.whole]
    ends = np.array(whole.y) - whole.error_y.arrayminus
    assert ends == pytest.approx([one.low for one in known.whole]) and min(ends) >= 0
    ends = whole.y + np.array(whole.error_y.array)
    assert ends == pytest.approx([one.high for one in known.whole])


@pytest.fixture
def models(tmp_path, nano, monkeypatch):
    monkeypatch.setenv("TTT_LAB_QUICK", "1")
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "prepared"))
    about = {"tokenizer": "bytes", "tokens_seen": 7, "experiment": {"seq": 128}}
    plain = dataclasses.replace(nano, config=nano.config.replace(lr=0.0))
    checkpoints.save(tmp_path / "learner", nano, about)
    checkpoints.save(tmp_path / "plain", plain, about)
    return [str(tmp_path / name) for name in ("learner", "plain")]


def run(monkeypatch, *arguments) -> int:
    return command_line.run(monkeypatch, "eval", "recall", *arguments)


def test_the_command_prints_keeps_and_draws(
    models, corpus, monkeypatch, capsys, tmp_path
):
    drawn = tmp_path / "figures"
    options = ["--corpus", str(corpus), "--split", "all", "--figures", str(drawn)]
    assert run(monkeypatch, *models, *options, "--world", "trained") == 0
    said = capsys.readouterr().out
    assert "3 held-out facts" in said and "beyond the reach" in said
    (kept,) = (tmp_path / "runs" / "evals").glob("recall-*.json")
    result = json.loads(kept.read_text())
    assert result["world"] == "trained" and result["provenance"]["command"]
    assert set(result["systems"]) == {"learner", "plain"}
    assert result["systems"]["plain"]["learning"] is None
    assert len(list(drawn.glob("recall-*.html"))) == 3


def test_what_makes_no_sense_is_one_line(models, corpus, monkeypatch, capsys):
    options = ["--corpus", str(corpus), "--split", "all"]
    assert run(monkeypatch, models[0], *options, "--distances", "5") == 1
    assert "got distances=5; the smallest is" in capsys.readouterr().err
    assert run(monkeypatch, *options) == 1
    assert "Name one or more models" in capsys.readouterr().err
