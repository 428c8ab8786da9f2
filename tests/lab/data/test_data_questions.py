import numpy as np
import pytest

from lab.data import facts, questions, shards, tokenizers


BPE = tokenizers.load("bpe-4k")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("novels")
    words = "the night. was long! and so we, said he, went home to sleep?".split(" ")
    for name in range(3):
        text = " ".join(np.random.default_rng(name).choice(words, size=6_000))
        (folder / f"novel{name}.txt").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTT_LAB_DATA", str(folder / "prepared"))
        yield shards.open(str(folder), BPE, "all")


@pytest.fixture(scope="module")
def made(opened):
    distances = (512, 64, 128, 1024)
    return questions.build(opened, BPE, count=12, distances=distances, seed=5)


def test_present_and_absent_differ_in_the_fact_alone(made):
    assert made.present.shape == made.absent.shape and made.present.dtype == np.int32
    for i, fact in enumerate(made.facts):
        start, stop = made.start[i], made.stop[i]
        present, absent = made.present[i], made.absent[i]
        assert (present[:start] == absent[:start]).all()
        assert (present[stop:] == absent[stop:]).all()
        said = BPE.decode(present[start:stop])
        assert said == f" {fact.told}{fact.answer}{fact.end}"
        assert fact.answer not in BPE.decode(absent)


def test_an_answer_lies_exactly_the_distance_behind_the_told_one(made):
    assert made.distances.tolist() == [64, 128, 512, 1024]
    for i, fact in enumerate(made.facts):
        answer, told = made.answers[i], made.told[i]
        assert (made.present[i][told : told + len(answer)] == answer).all()
        assert BPE.decode(answer) == fact.answer
        assert BPE.decode(made.prompts[i]) == f"\n\n{fact.asked}"
        decoy = BPE.decode(made.decoys[i])
        assert fact.key in fact.asked and fact.key not in decoy
        assert decoy.startswith(f"\n\n{fact.asked.split(fact.key)[0]}")
        assert decoy.endswith(fact.asked.split(fact.key)[1])
        found = made.asked_at[i] + len(made.prompts[i]) - told
        assert (found == made.distances).all()
        assert made.asked_at[i][0] >= made.stop[i]
        assert made.asked_at[i][-1] <= made.present.shape[1]


def test_facts_are_of_the_asked_world_unless_told_otherwise(opened, made):
    assert {f.relation for f in made.facts} == {r.name for r in facts.ASKED.relations}
    other = questions.build(opened, BPE, count=11, distances=(64,), world=facts.TRAINED)
    trained = {r.name for r in facts.TRAINED.relations}
    assert {f.relation for f in other.facts} == trained
    assert len(set(made.documents)) == 12


def test_questions_follow_from_their_seed(opened, made):
    options = {"count": 12, "distances": (64, 128, 512, 1024)}
    same = questions.build(opened, BPE, seed=5, **options)
    other = questions.build(opened, BPE, seed=6, **options)
    assert (same.present == made.present).all() and same.facts == made.facts
    assert other.facts != made.facts


def test_distances_that_have_no_room_are_left_out_or_refused(opened):
    with pytest.raises(ValueError, match="got distances=8, 64; the smallest is"):
        questions.build(opened, BPE, count=2, distances=(8, 64))
    with pytest.raises(ValueError, match="got distances=none"):
        questions.build(opened, BPE, count=2, distances=())
    with pytest.raises(ValueError, match="16,384 tokens behind a fact takes"):
        questions.build(opened, BPE, count=2)


def test_too_many_facts_are_refused(opened):
    with pytest.raises(ValueError, match="got count=900"):
        questions.build(opened, BPE, count=900, distances=(64,))
    with pytest.raises(ValueError, match="got count=0"):
        questions.build(opened, BPE, count=0, distances=(64,))
