import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.data import batches, facts, needles, recall, shards, sources, tokenizers


BPE = tokenizers.load("bpe-4k")
WORLDS = (facts.TRAINED, facts.ASKED)
every = pytest.mark.parametrize("tokenizer", ["bytes", "bpe-4k"])


def random_row(tokenizer, seq):
    """Rows of random text: every window another, the same ones in every epoch."""
    words = " the night. was long! and so we, said he, went\n\nhome to sleep?".split(
        " "
    )

    def row(_epoch, window):
        draw = np.random.default_rng(window)
        text = " ".join(draw.choice(words, size=seq + 1))
        ids = tokenizer.encode(text)[:seq]
        return {"tokens": np.array([tokenizer.bos, *ids], np.int32)}

    return row


def planter(tokenizer, seq, seed=0, **mixture):
    given = recall.Mixture(**({"share": 1.0} | mixture))
    row = random_row(tokenizer, seq)
    return row, recall.Planter(row, tokenizer, given, seed=seed)


def runs_of(distances):
    """`(start, stop)` of every stretch of one and the same distance above zero."""
    edges = np.flatnonzero(np.diff(distances, prepend=0, append=0))
    return [(a, b) for a, b in pairwise(edges) if distances[a] > 0]


@every
@settings(max_examples=60, deadline=None)
@given(
    seq=st.integers(40, 900),
    seed=st.integers(0, 10**6),
    window=st.integers(0, 10**6),
    density=st.floats(0.5, 30.0),
    nearest=st.integers(1, 300),
)
def test_answers_were_told_at_the_claimed_distance(
    tokenizer, seq, seed, window, density, nearest
):
    tokenizer = tokenizers.load(tokenizer)
    row, plant = planter(tokenizer, seq, seed, density=density, nearest=nearest)
    made = plant(0, window)
    tokens, distances = made["tokens"], made["distances"]
    assert tokens.shape == (seq + 1,) and tokens.dtype == np.int32
    assert distances.shape == (seq,) and distances.dtype == np.int32
    assert (made["answers"] == (distances > 0)).all()
    assert tokens[0] == tokenizer.bos and (tokens[1:] != tokenizer.bos).all()
    text = tokens[1:]
    for start, stop in runs_of(distances):
        back = start - distances[start]
        assert 0 <= back and back + (stop - start) <= start
        assert (text[back : back + stop - start] == text[start:stop]).all()
        assert distances[start] >= nearest - 2 * recall.REACH
        assert tokenizer.decode(text[start:stop]).startswith(" ")


@every
def test_rows_of_a_usual_length_have_facts(tokenizer):
    _, plant = planter(tokenizers.load(tokenizer), 512)
    found = [len(runs_of(plant(0, window)["distances"])) for window in range(40)]
    assert min(found) >= 1 and max(found) >= 2


@every
def test_taking_the_facts_out_gives_the_beginning_of_the_text(tokenizer):
    tokenizer = tokenizers.load(tokenizer)
    row, plant = planter(tokenizer, 700)
    for window in range(10):
        before, after = row(0, window)["tokens"][1:], plant(0, window)["tokens"][1:]
        # every token of the row is the text's next one, or belongs to a fact
        read = 0
        for token in after:
            read += int(token == before[read])
        assert read > 400
        text = tokenizer.decode(after)
        assert text.split(" ")[:3] == tokenizer.decode(before).split(" ")[:3]


def test_a_row_follows_from_seed_and_number_alone():
    _, plant = planter(BPE, 512, seed=3)
    _, same = planter(BPE, 512, seed=3)
    _, other = planter(BPE, 512, seed=4)
    rows = [(0, 0), (0, 1), (1, 0), (7, 5)]
    expected = [plant(*at)["tokens"] for at in rows]
    found = [same(*at)["tokens"] for at in reversed(rows)]  # in any order
    assert all((a == b).all() for a, b in zip(expected, found[::-1], strict=True))
    assert (expected[0] != expected[2]).any(), "each epoch has facts of its own"
    others = [other(*at)["tokens"] for at in rows]
    assert all((a != b).any() for a, b in zip(expected, others, strict=True))


def test_only_a_share_of_the_rows_has_facts_and_the_others_are_untouched():
    row, plant = planter(BPE, 512, share=0.3)
    made = [plant(0, window) for window in range(200)]
    have = np.array([one["answers"].any() for one in made])
    assert 0.2 < have.mean() < 0.4
    for window in np.flatnonzero(~have)[:20]:
        assert (made[window]["tokens"] == row(0, window)["tokens"]).all()


def test_distances_are_spread_over_every_doubling():
    _, plant = planter(BPE, 2048, density=2.0)
    found = []
    for window in range(120):
        distances = plant(0, window)["distances"]
        found += [distances[start] for start, _ in runs_of(distances)]
    counts, _ = np.histogram(np.log2(found), bins=[6, 7, 8, 9, 10, 11])
    assert counts.min() > 0.1 * len(found)


def test_facts_stand_between_sentences_where_one_ends_nearby():
    _, plant = planter(BPE, 1024)
    opened = good = 0
    for window in range(20):
        text = BPE.decode(plant(0, window)["tokens"][1:])
        for thing in (
            r.sentences[0].split("{key}")[0] for r in facts.TRAINED.relations
        ):
            if len(thing) > 12 and thing in text:
                opened += 1
                good += text.split(thing)[0].rstrip()[-1] in ".!?"
    assert opened > 10 and good == opened


@every
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), world=st.sampled_from(WORLDS))
def test_a_fact_in_parts_is_the_sentence_as_a_whole(tokenizer, seed, world):
    tokenizer = tokenizers.load(tokenizer)
    (fact,) = facts.draw(np.random.default_rng(seed), world, 1, reworded=0.5)
    made = recall.tokenise(tokenizer, fact)
    whole = f" {fact.told}{fact.answer}{fact.end}"
    assert made.told.tolist() == tokenizer.encode(whole)
    asked = f"\n\n{fact.asked}{fact.answer}{fact.asked_end}"
    assert made.asked.tolist() == tokenizer.encode(asked)
    answers = [
        ids[at : at + made.length].tolist()
        for ids, at in ((made.told, made.told_answer), (made.asked, made.asked_answer))
    ]
    assert answers[0] == answers[1] == tokenizer.encode(fact.answer)


def test_the_two_worlds_share_no_words_and_no_sentence():
    trained, asked = WORLDS
    for field in ("qualities", "things", "first_names", "surnames", "words"):
        assert not set(getattr(trained, field)) & set(getattr(asked, field)), field
    sets = [
        {*world.qualities, *world.things, *world.words, *world.first_names}
        | {*world.surnames}
        for world in WORLDS
    ]
    assert not sets[0] & sets[1]
    for field in dataclasses.fields(facts.World):
        for world in WORLDS:
            values = getattr(world, field.name)
            assert len(set(values)) == len(values) > 0
    told = [{s for r in world.relations for s in r.sentences} for world in WORLDS]
    assert not told[0] & told[1]
    assert not {r.name for r in trained.relations} & {r.name for r in asked.relations}


def test_the_asked_world_speaks_as_ruler_does():
    assert facts.ASKED.qualities == needles.QUALITIES
    ruler = facts.ASKED.relations[0].sentences[0]
    said = needles.passkey(0).sentence
    assert said.startswith(ruler.split("{key}")[0])


@pytest.mark.parametrize("world", WORLDS)
def test_facts_are_about_different_things_and_of_every_relation(world):
    drawn = facts.draw(np.random.default_rng(0), world, 60)
    assert {fact.relation for fact in drawn} == {r.name for r in world.relations}
    keys = [fact.key for fact in drawn]
    assert all(fact.key in fact.told for fact in drawn)
    assert len(set(keys)) == 60
    assert all(fact.told == fact.asked for fact in drawn)
    reworded = facts.draw(np.random.default_rng(0), facts.TRAINED, 60, reworded=1.0)
    assert sum(fact.told != fact.asked for fact in reworded) > 15


def test_facts_of_few_relations_are_told_apart_by_their_things():
    draw = lambda seed: facts.draw(
        np.random.default_rng(seed), facts.TRAINED, 12, relations=2
    )
    kinds = [{fact.relation for fact in draw(seed)} for seed in range(20)]
    assert all(len(found) == 2 for found in kinds)
    assert set.union(*kinds) == {r.name for r in facts.TRAINED.relations}


@pytest.mark.parametrize("most", [1, 3])
def test_a_sequence_has_few_kinds_of_facts(most, monkeypatch):
    drawn, draw = [], facts.draw
    keep = lambda *args, **options: drawn.append(draw(*args, **options)) or drawn[-1]
    monkeypatch.setattr(facts, "draw", keep)
    _, plant = planter(BPE, 1024, relations=most, density=8.0)
    for window in range(30):
        plant(0, window)
    kinds = {len({fact.relation for fact in found}) for found in drawn}
    assert kinds == set(range(1, most + 1))


def test_more_facts_than_things_are_refused():
    with pytest.raises(ValueError, match="got count=9999"):
        facts.draw(np.random.default_rng(0), facts.ASKED, 9999)


def test_the_mixture_is_named_with_its_settings():
    assert recall.parse("sotu") == ("sotu", recall.Mixture())
    name = "some/folder?share=0.25&density=8&nearest=100&reworded=0"
    expected = recall.Mixture(share=0.25, density=8.0, nearest=100, reworded=0.0)
    assert recall.parse(name) == ("some/folder", expected)


@pytest.mark.parametrize(
    "name, said",
    [
        ("sotu?shares=1", "no setting 'shares'"),
        ("sotu?share=half", "got 'half'"),
        ("sotu?share=1.5", "got 1.5"),
        ("sotu?density=0", "`density` must be > 0: got 0.0"),
        ("sotu?nearest=0", "`nearest` must be >= 1: got 0"),
        ("sotu?relations=0", "`relations` must be >= 1: got 0"),
        ("sotu?nearest=", "got ''"),
        ("?share=1", "Name a corpus"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name, said):
    with pytest.raises(ValueError, match=said):
        recall.parse(name)


@pytest.fixture
def novels(tmp_path):
    """Two documents of which each has letters of its own."""
    folder = tmp_path / "novels"
    folder.mkdir()
    for name, letters in (("a", "aeiou"), ("b", "bcdfg")):
        words = np.random.default_rng(0).choice(list(letters), size=(1_500, 6))
        text = ". ".join("".join(word) for word in words)
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return str(folder)


def _read(novels, count, **options):
    given = {"seq": 600, "batch": 4, "seed": 7} | options
    name = f"recall:{novels}?share=1&density=5"
    stream = sources.open_batches(name, "bytes", "all", **given)
    return [next(stream) for _ in range(count)]


def test_a_row_with_facts_is_of_one_document(novels):
    opened = shards.open(novels, "bytes", "all")
    cut = batches.Cut(opened, seq=600, bos=256, seed=7)
    plant = recall.Planter(
        cut, tokenizers.load("bytes"), recall.Mixture(share=1.0), seed=7
    )
    for window in range(batches.windows(opened, 600).total):
        before = bytes(cut(0, window)["tokens"][1:].tolist())
        after = bytes(plant(0, window)["tokens"][1:].tolist())
        begins, lead = before[:20], after[:20]
        assert begins == lead
        words = [w.strip(".") for w in before.decode().split()][1:-1]
        letters = set("".join(words))
        runs = [w for w in after.decode().split() if len(w) == 7 and w[6] == "."]
        own = [w for w in runs if set(w[:6]) <= set("aeiou") | set("bcdfg")]
        assert own and {c for w in own for c in w[:6]} <= letters


def test_the_mixture_is_resumed_and_shared_to_the_bit(novels):
    whole = _read(novels, 12)
    name = f"recall:{novels}?share=1&density=5"
    options = {"seq": 600, "batch": 4, "seed": 7}
    stream = sources.open_batches(name, "bytes", "all", **options)
    stream.set_state({**stream.get_state(), "next_index": 5})
    for expected in whole[5:]:
        found = next(stream)
        assert all((found[key] == expected[key]).all() for key in expected)
    parts = [_read(novels, 12, process_index=i, process_count=2) for i in (0, 1)]
    for batch, left, right in zip(whole, *parts, strict=True):
        assert set(batch) == {"tokens", "answers", "distances"}
        for key in batch:
            assert (batch[key][0::2] == left[key]).all()
            assert (batch[key][1::2] == right[key]).all()
