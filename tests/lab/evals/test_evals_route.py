"""`ttt-lab eval route`: alone is what `eval needles` says, routed is never mixed in."""

import dataclasses

import command_line
import numpy as np
import pytest

import ttt_core as ttt
from lab import plots, results
from lab.data import haystacks, shards, tokenizers
from lab.evals import in_words, needles, route
from lab.evals.needles import Subject


LENGTHS, DEPTHS = (300, 600), (0.0, 1.0)
WORDS = tokenizers.load("bytes")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("novels"), np.random.default_rng(0)
    words = ["the", "fog", "had", "come", "in", "from", "a", "river.", "And", "stayed"]
    for i in range(2):
        text = " ".join(random.choice(words, 500))
        (folder / f"novel{i}.txt").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTT_LAB_DATA", str(tmp_path_factory.mktemp("prepared")))
        yield shards.open(str(folder), WORDS, "all")


@pytest.fixture(scope="module")
def stacks(opened):
    return haystacks.Stacks(opened, WORDS, LENGTHS, DEPTHS, count=2)


@pytest.fixture(scope="module")
def subjects(nano):
    frozen = ttt.without_learning(nano)
    return [Subject("m", nano), Subject("m, frozen", frozen)]


@pytest.fixture(scope="module")
def measured(subjects, stacks):
    return route.measure(subjects, stacks, ("s-niah-2",), (2,))


def at(cells, label):
    return {(c.length, c.depth): c for c in cells if c.label == label}


def test_alone_is_what_eval_needles_says(subjects, stacks, measured):
    cells, several, *_ = measured
    for subject in subjects:
        own, crowds = needles.measure(subject, stacks, ("s-niah-2",), (2,))
        mine = at(cells, subject.label)
        for cell in own:
            here = mine[cell.length, cell.depth]
            assert here.exact == cell.exact and here.place == cell.place
            assert here.nats.mean == pytest.approx(cell.nats.mean, abs=1e-6)
        assert [one for one in several if one.label == subject.label] == crowds


def test_routed_asks_after_the_passage_and_learns_nothing_from_it(
    subjects, stacks, measured
):
    (model, cells) = subjects[0].model, at(measured[0], "m, routed")
    length, rows = route.passage_length(model), []
    for one in stacks.of("s-niah-2"):
        (place,) = (p for p in one.places if (p.length, p.depth) == (600, 0.0))
        costs = []
        for planted in (one.told, one.blank):
            text = route._whole(one, place, planted)
            best = route.Lookup(text, WORDS, length).best(one.prompt)
            before = text[best.start : best.stop] if best else text[:0]
            state, _ = ttt.read(model, ttt.init_state(model), text)
            prompt = np.concatenate([before, one.prompt])
            costs.append(float(np.mean(ttt.score(model, state, prompt, one.answer))))
        rows.append(costs[1] - costs[0])
    assert cells[600, 0.0].nats.mean == pytest.approx(np.mean(rows), abs=1e-5)
    assert cells[600, 0.0] != at(measured[0], "m")[600, 0.0]


def test_out_of_reach_the_frozen_twin_alone_saves_nothing_but_routed_may(measured):
    cells = measured[0]
    far = [c for c in cells if c.beyond]
    assert (
        far and needles.strays([c for c in far if c.label == "m, frozen"], set()) == 0
    )
    routed = [c for c in far if c.label == "m, frozen, routed"]
    assert needles.strays(routed, set()) > 0, "a leak into the window would be seen"


def test_a_hit_is_a_passage_that_holds_the_answer(stacks):
    one = stacks.of("s-niah-2")[0]
    text = np.concatenate([one.base[:50], one.told])
    assert route.holds(WORDS, text, one.answer)
    assert not route.holds(WORDS, text[:-4], one.answer)
    assert not route.holds(WORDS, text[:0], one.answer)


def test_hits_are_counted_where_the_passage_is_long_enough(subjects, stacks):
    subject = dataclasses.replace(subjects[0], model=_WithChunk(86))
    found = [
        route._find(one, subject, stacks, lambda look, *_: look())
        for one in stacks.of("s-niah-2")
    ]
    hits = route._hits("s-niah-2", stacks.of("s-niah-2"), found, subject)
    assert {(h.length, h.depth) for h in hits} == {
        (n, d) for n in LENGTHS for d in DEPTHS
    }
    assert all(h.rate.mean == 1.0 and h.many == 1 for h in hits)


class _WithChunk:
    """As much of a model as looking up asks for."""

    def __init__(self, chunk: int):
        self.config = type("Config", (), {"chunk": chunk})


def test_a_question_alone_reads_nothing_again(measured):
    costs = {cost.label: cost for cost in measured[3]}
    assert list(costs) == ["m", "m, routed", "m, frozen", "m, frozen, routed"]
    for label, cost in costs.items():
        routed = label.endswith(route.ROUTED)
        assert (cost.again > 0) == (cost.indexing > 0) == routed and cost.ms > 0


def test_what_is_kept_is_not_measured_again(subjects, stacks, measured, monkeypatch):
    kept = {}

    def keep(measure, *key):
        name = tuple(np.asarray(part).tobytes() for part in key)
        if name not in kept:
            kept[name] = measure()
        return kept[name]

    first = route.measure(subjects, stacks, ("s-niah-2",), (2,), keep=keep)
    for name in ("_ask_places", "_ask_crowd", "_look"):
        monkeypatch.setattr(route, name, lambda *_: pytest.fail("measured again"))
    again = route.measure(subjects, stacks, ("s-niah-2",), (2,), keep=keep)
    as_data = lambda found: [[results.to_json(one) for one in part] for part in found]
    assert as_data(again) == as_data(first)


def test_the_command_asks_keeps_draws_and_shows(
    opened, nano, monkeypatch, capsys, tmp_path
):
    from lab import checkpoints

    card = {"tokenizer": "bytes", "name": "small"}
    path = checkpoints.save(tmp_path / "small", nano, card).with_suffix("")
    said = ["eval", "route", str(path), "--corpus", str(opened.corpus)]
    more = ["--split", "all", "--lengths", "600", "--count", "2", "--several", "2"]
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "100")
    assert command_line.run(monkeypatch, *said, *more, "--tasks", "s-niah-2") == 0
    out = capsys.readouterr().out
    assert "found by BM25" in out and "small, frozen, routed" in out
    assert "saves exactly nothing" in out
    kept = tmp_path / "runs/evals/route-small.json"
    found = results.open_result(kept, route.Route)
    assert found.found.strays == 0 and found.passage == 3 * nano.config.chunk // 2
    assert "BM25 puts the right passage back" in in_words.headline(found)
    drawn = plots.result_figures("route", found)
    assert list(drawn) == ["nats", "found", "several", "cost"]
    names = [line.name for line in drawn["found"].data]
    assert names[-1] == "passage holds the answer (BM25)" and len(names) == 5
    wrong = command_line.run(monkeypatch, *said, "--tasks", "s-niah-9")
    assert wrong == 1 and "did you mean" in capsys.readouterr().err
