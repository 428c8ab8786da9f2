"""`ttt-lab eval needles`: nothing leaks, the floor is zero, grids say what is found."""

import dataclasses

import command_line
import numpy as np
import pytest

import ttt_core as ttt
from lab import plots, results
from lab.data import haystacks, needles, shards, tokenizers
from lab.evals import needles as evals
from lab.measure import answers
from lab.measure.texts import TextRead


LENGTHS = (300, 900)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("novels"), np.random.default_rng(0)
    words = ["the", "fog", "had", "come", "in", "from", "a", "river.", "And", "stayed"]
    for i in range(2):
        text = " ".join(random.choice(words, 500))
        (folder / f"novel{i}.txt").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTT_LAB_DATA", str(tmp_path_factory.mktemp("prepared")))
        yield shards.open(str(folder), tokenizers.load("bytes"), "all")


@pytest.fixture(scope="module")
def stacks(opened):
    depths = (0.0, 0.5, 1.0)
    return haystacks.Stacks(opened, tokenizers.load("bytes"), LENGTHS, depths, count=2)


def whole(one: haystacks.Haystack, place: haystacks.Place, planted) -> np.ndarray:
    rest = one.base[place.cut : place.length - len(planted)]
    return np.concatenate([one.base[: place.cut], planted, rest])


def test_a_haystack_has_its_length_and_its_needle_where_it_should(stacks):
    decode = tokenizers.load("bytes").decode
    for task in needles.TASKS:
        for i, one in enumerate(stacks.of(task)):
            needle = needles.TASKS[task].needle(i)
            assert len(one.places) == 6
            for place in one.places:
                text = whole(one, place, one.told)
                assert len(text) == place.length
                said = decode(text.tolist())
                assert said.count(needle.answer.strip()) == 1
                at = said.index(needle.sentence) / (place.length - len(one.told))
                assert abs(at - place.depth) < 0.1
                twin = whole(one, place, one.blank)
                assert (text != twin).nonzero()[0].min() >= place.cut
                assert needle.answer.strip() not in decode(twin.tolist())


def test_a_text_that_holds_the_answer_is_refused(opened):
    found = haystacks.Stacks(opened, tokenizers.load("bytes"), LENGTHS, count=1)
    leak = np.frombuffer(needles.passkey(0).answer.encode(), np.uint8).astype(np.int32)
    found._texts[0][100 : 100 + len(leak)] = leak
    with pytest.raises(ValueError, match=r"holds '7463343', the answer to .* is:'"):
        found.of("s-niah-2")
    assert found.of("s-niah-1"), "its noise holds no answer"


@pytest.mark.parametrize(
    ("lengths", "depths", "sentence"),
    [
        ((), (0.5,), "at least one length"),
        ((300,), (1.5,), "depths from 0.0"),
        ((20,), (0.5,), "has no room for"),
    ],
)
def test_sizes_without_sense_get_a_sentence(lengths, depths, sentence, opened):
    tokenizer = tokenizers.load("bytes")
    with pytest.raises(ValueError, match=sentence):
        haystacks.Stacks(opened, tokenizer, lengths, depths, count=1).of("s-niah-2")


def test_several_needles_are_all_there_and_have_keys_of_their_own(stacks):
    decode = tokenizers.load("bytes").decode
    for one in stacks.crowds(4, 900):
        text = decode(one.text.tolist())
        assert len(one.text) == 900
        for prompt, answer in zip(one.prompts, one.answers, strict=True):
            told = decode([*prompt.tolist()[2:], *answer.tolist()])
            assert text.count(told) == 1
        assert decode(one.decoy.tolist()).strip() not in text
        assert len({tuple(p.tolist()) for p in one.prompts}) == 4


@pytest.fixture(scope="module")
def measured(nano, stacks):
    found = []
    for label, model in {"a": nano, "a, frozen": ttt.without_learning(nano)}.items():
        subject = evals.Subject(label, model, limit=None if label == "a" else 300)
        found.append(evals.measure(subject, stacks, ("s-niah-2",), (2,)))
    return found


def test_forks_of_one_base_answer_as_whole_texts_do(nano, stacks, measured):
    cell = measured[0][0][1]
    rows = []
    for one in stacks.of("s-niah-2"):
        (place,) = (
            p for p in one.places if (p.length, p.depth) == (cell.length, cell.depth)
        )
        costs = []
        for planted in (one.told, one.blank):
            text = whole(one, place, planted)
            state, _ = ttt.read(nano, ttt.init_state(nano), text)
            costs.append(answers.ask(nano, state, one.prompt, one.answer).nats)
        rows.append(costs[1] - costs[0])
    assert cell.nats.mean == pytest.approx(np.mean(rows), abs=1e-6)


def test_beyond_its_reach_a_frozen_twin_saves_exactly_nothing(nano, measured):
    learner, frozen = (cells for cells, _ in measured)
    assert {cell.length for cell in frozen} == {300}, "it reads no more than its limit"
    far = [cell for cell in frozen if cell.beyond]
    assert far and all(cell.behind >= nano.config.reach for cell in far)
    assert evals.strays([*learner, *frozen], {"a"}) == 0.0
    assert evals.strays([*learner, *frozen], set()) > 0, "a leak would be seen"
    (right_before,) = (cell for cell in frozen if cell.depth == 1.0)
    assert not right_before.beyond and right_before.nats.mean != 0


def test_right_picks_and_decoys_are_counted(nano, stacks, monkeypatch):
    (crowd, *_) = stacks.crowds(4, 900)
    first = crowd.answers[0].tolist()
    # A model that says the first value, whatever is asked.
    grade = lambda model, state, prompt, answer: answers.Answer(
        np.zeros(len(answer)), np.full(len(answer), int(answer.tolist() != first))
    )
    nats = lambda model, state, prompts, asked: [
        np.full(len(a), float(a.tolist() != first)) for a in asked
    ]
    monkeypatch.setattr(evals, "ask", grade)
    monkeypatch.setattr(ttt, "score_many", nats)
    assert evals._ask_crowd(nano, crowd)[0].tolist() == [0.25, 0.25, 1.0]


@pytest.fixture(scope="module")
def result(measured, nano, stacks):
    cells = [cell for found, _ in measured for cell in found]
    several = [one for _, found in measured for one in found]
    text = TextRead("novels", "all", "bytes", "h", "needles", stacks.sources, 900, 2)
    reaches = {"a": nano.config.reach, "a, frozen": nano.config.reach}
    knobs = dict(seed=0, lengths=LENGTHS, depths=(0.0, 0.5, 1.0), systems={})
    counted = dict(cells=tuple(cells), several=tuple(several), strays=0.0)
    return evals.Needles(text=text, **knobs, reaches=reaches, notes=(), **counted)


def test_it_goes_through_a_file_and_back(result):
    data = results.to_json(result)
    assert results.to_json(results.open_result(data, evals.Needles)) == data


def at_all(result):
    return result.of("s-niah-2", "a").items()


def test_figures_draw_what_was_measured(result):
    drawn = plots.result_figures("needles", result)
    assert list(drawn) == ["distance", "found", "exact", "nats", "several"]
    lines = {line.name: line for line in drawn["distance"].data}
    of_300 = sorted(cell.behind for (n, _), cell in at_all(result) if n == 300)
    assert list(lines["a"].x[: len(of_300)]) == [max(1, n) for n in of_300]
    assert lines["a"].x[len(of_300)] is None, "each length has a line of its own"
    learner, frozen = (g for g in drawn["nats"].data if g.type == "heatmap")
    at = result.of("s-niah-2", "a")
    assert learner.z[1][0] == at[300, 0.5].nats.mean
    assert frozen.text[0][1] == "not read"
    borders = [line for line in drawn["nats"].data if line.type == "scatter"]
    assert len(borders) == 2, "the reach is drawn in every grid"


def test_the_command_asks_keeps_and_shows(opened, nano, monkeypatch, capsys, tmp_path):
    from lab import checkpoints

    card = {"tokenizer": "bytes", "name": "small"}
    path = checkpoints.save(tmp_path / "small", nano, card).with_suffix("")
    said = ["eval", "needles", str(path), "--corpus", str(opened.corpus)]
    more = ["--split", "all", "--lengths", "300", "--count", "2", "--several", "2"]
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "100")
    assert command_line.run(monkeypatch, *said, *more) == 0
    out = capsys.readouterr().out
    assert "UUID in prose" in out and "exactly nothing" in out and "picked" in out
    kept = tmp_path / "runs/evals/needles-small.json"
    found = results.open_result(kept, evals.Needles)
    assert found.labels == ("small", "small, frozen") and found.strays == 0
    assert len(found.cells) == 2 * 3 * 5
    wrong = command_line.run(monkeypatch, *said, "--tasks", "s-niah-9")
    assert wrong == 1 and "did you mean" in capsys.readouterr().err


def test_a_leak_is_said(result, capsys):
    from lab.commands import needles as command

    command.show(dataclasses.replace(result, strays=0.25))
    assert "2.50e-01 nats: something leaks" in capsys.readouterr().out
