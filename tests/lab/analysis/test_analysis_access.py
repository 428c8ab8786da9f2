"""Five questions about a fact: known answers come out, the floor is exactly zero."""

import dataclasses

import command_line
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import access as numbers
from lab.analysis.access import Answers
from lab.data import facts, retold, tokenizers
from lab.measure.parts import Kept


TOKENIZER = tokenizers.load("bytes")
TEXT = np.array(
    TOKENIZER.encode("The fog came in. It stayed on the river all day. " * 30)
)
FAR = (320, 400)


@pytest.fixture(scope="module")
def planted():
    return retold.build(TEXT, TOKENIZER, count=2, distances=FAR, gap=40)


@pytest.fixture(scope="module")
def model():
    """A learner whose attention reaches back no further than 2 layers of 16 tokens."""
    import jax

    config = ttt.preset("nano").replace(layers=2, window=16, fast_blocks=1)
    found = jax.jit(lambda key: config.build(key=key))(jax.random.key(0))
    assert found.config.reach < 64
    return found


def test_documents_differ_in_what_is_told_and_in_nothing_else(planted):
    for one in planted:
        absent, told, contrary = (one.documents[name] for name in retold.DOCUMENTS)
        assert len(absent) == len(told) == len(contrary)
        words = {k: TOKENIZER.decode(v) for k, v in one.documents.items()}
        fact = one.fact.told + one.fact.answer
        older = TOKENIZER.decode(one.older)
        assert fact in words["told"] and fact not in words["absent"]
        assert one.fact.told + older in words["contrary"] and older != one.fact.answer
        assert words["contrary"].index(older) < words["contrary"].index(fact)
        stop = one.told + len(one.answer) + len(one.fact.end)
        start = one.told - len(f" {one.fact.told}")
        np.testing.assert_array_equal(absent[:start], told[:start])
        np.testing.assert_array_equal(absent[stop:], told[stop:])
        np.testing.assert_array_equal(told[start:], contrary[start:])
        np.testing.assert_array_equal(
            told[one.told : one.told + len(one.answer)], one.answer
        )
        ends = one.asked_at + len(one.prompt)
        np.testing.assert_array_equal(ends - one.told, FAR)


@pytest.mark.parametrize("world", [facts.TRAINED, facts.ASKED])
def test_every_relation_can_be_asked_in_other_words(world):
    for fact, older, thing in retold.draw(world, 3 * len(world.relations), 0):
        asked = retold.reworded(fact, world)
        assert asked != fact.told and fact.key in asked and "{" not in asked
        assert older.answer != fact.answer and thing != fact.key
        assert older.told == fact.told


@pytest.mark.parametrize(
    "knobs, sentence",
    [
        ({"distances": (20,)}, "need up to"),
        ({"distances": ()}, "got distances=none"),
        ({"distances": (9_000,)}, "use smaller distances"),
        ({"distances": FAR, "count": 0}, "one fact or more"),
        ({"distances": FAR, "gap": -1}, "gap of 0 or more"),
    ],
)
def test_what_cannot_be_planted_is_said(knobs, sentence):
    with pytest.raises(ValueError, match=sentence):
        retold.build(TEXT, TOKENIZER, **knobs)


def test_a_reader_that_knows_each_fact_gets_all_five_right(monkeypatch, planted):
    """Its answers cost 1 nat of 4 after the fact, 2 in other words, the older one 5."""

    def ask(model, kind, fact):
        told = kind != "absent"
        row = np.ones(len(FAR))
        right, rank, reworded = (1, 0, 2) if told else (4, 3, 4)
        older = 5 if kind == "contrary" else 4
        wrote = np.tile(fact.answer, (len(FAR), 1)) if told else np.full((2, 3), 32)
        nothing = np.full((2, 3), 32)
        parts = (right, rank, older, 4, reworded)
        return Answers(*(part * row for part in parts), wrote, nothing)

    monkeypatch.setattr(numbers, "_ask", ask)
    monkeypatch.setattr(numbers.checkpoints, "model_hash", lambda model: "")
    monkeypatch.setattr(ttt, "without_learning", lambda model: model)
    said = lambda ids, fact: fact.fact.answer in TOKENIZER.decode(ids)
    config = dataclasses.make_dataclass("C", ["learns", "reach"])(True, 10)
    fake = dataclasses.make_dataclass("M", ["config"])(config)
    known, _ = numbers.measure(fake, planted, said)
    five, means = known.learning, lambda found: [one.mean for one in found]
    assert means(five.nats) == [3, 3] and means(five.decoy) == [0, 0]
    assert means(five.rank) == [3, 3] and five.place == (1, 1)
    assert five.place_absent == (8, 8)
    assert means(five.said) == [1, 1] and means(five.said_decoy) == [0, 0]
    assert means(five.said_absent) == [0, 0] and means(five.reworded) == [2, 2]
    assert means(five.later) == [4, 4] and means(five.alone) == [3, 3]
    assert means(five.wins) == [1, 1]


def test_without_learning_beyond_reach_all_five_are_exactly_zero(model, planted):
    known, rows = numbers.measure(model, planted, lambda ids, fact: bool(sum(ids) % 2))
    for name in ("nats", "decoy", "reworded", "rank", "later", "alone"):
        for found in getattr(known.frozen, name):
            assert (found.mean, found.low, found.high) == (0, 0, 0), name
    assert known.frozen.said == known.frozen.said_absent
    assert known.frozen.place == known.frozen.place_absent
    assert known.frozen.wins == known.frozen.wins_absent
    for row in rows["frozen"]:
        np.testing.assert_array_equal(row["told"].written, row["absent"].written)
    assert all(found.mean != 0 for found in known.learning.nats), "weights know"


def test_kept_documents_are_not_read_again(monkeypatch, tmp_path, model, planted):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    said, keep = (lambda ids, fact: False), Kept("access", "documents")
    first, _ = numbers.measure(model, planted[:1], said, keep=keep)
    monkeypatch.setattr(numbers, "_ask", lambda *_: pytest.fail("read again"))
    again, _ = numbers.measure(model, planted[:1], said, keep=keep)
    assert results.to_json(again) == results.to_json(first)


def test_the_command_prints_keeps_and_draws(tmp_path, model, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    for name in ("one", "two"):
        checkpoints.save(tmp_path / name, model, {"tokenizer": "bytes"})
    text = tmp_path / "text.txt"
    text.write_text(TOKENIZER.decode(TEXT), "utf-8")
    options = ["--document", str(text), "--model", str(tmp_path / "one")]
    beside = ["--beside", str(tmp_path / "two"), "--distances", "200"]
    drawn = ["--figures", str(tmp_path / "drawn")]
    call = ("inspect", "access", *options, *beside, *drawn)
    assert command_line.run(monkeypatch, *call) == 0
    said = capsys.readouterr().out
    assert "one, frozen" in said and "two, learning" in said and "writes:" in said
    (path,) = (tmp_path / "runs/evals").glob("access-one-text.txt.json")
    found = results.open_result(path, numbers.Access)
    assert found.distances == (200,) and list(found.systems) == ["one", "two"]
    figure = plots.result_figures("access", found)["questions"]
    line = next(line for line in figure.data if line.name == "two")
    assert list(line.y) == [found.systems["two"].learning.nats[0].mean]


def test_a_model_of_another_tokenizer_cannot_stand_beside(
    tmp_path, model, monkeypatch, capsys
):
    command_line.use_folders(monkeypatch, tmp_path)
    checkpoints.save(tmp_path / "one", model, {"tokenizer": "bytes"})
    call = (
        "inspect",
        "access",
        "--model",
        str(tmp_path / "one"),
        "--beside",
        "tiny-swa",
    )
    assert command_line.run(monkeypatch, *call) == 1
    assert "choose models of one tokenizer" in capsys.readouterr().err
