"""Loss against context: every token once, gaps paired, and what may not be said."""

import dataclasses
import json

import command_line
import numpy as np
import pytest
from synthetic_readings import system, text_of

from lab import checkpoints, plots, results
from lab.commands.context import show
from lab.evals import context
from lab.measure.nats import Readings
from lab.measure.texts import Passage
from lab.recipes.family import EIGHT


def region(length, novel="x", first=0):
    return Passage(novel, 0, np.arange(first, first + length, dtype=np.int32))


def reader_of(losses):
    """A stand-in for reading: `losses[label](position in the window, token)`."""

    def read(readers, passages):
        nll = {
            label: [losses[label](np.arange(len(p.tokens)), p.tokens) for p in passages]
            for label in readers
        }
        return Readings(tuple(passages), nll)

    return read


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 23])
def test_every_token_is_scored_once_and_windows_are_full(length):
    passage = region(length)
    windows = context.cut(passage, 8)
    scored = [w.passage.tokens[w.scored_from :] for w in windows]
    assert np.concatenate(scored).tolist() == passage.tokens.tolist()
    assert {len(w.passage.tokens) for w in windows} == {min(8, length)}
    for window in windows:
        assert window.passage.tokens[0] == window.passage.offset


def measured(losses, systems, contexts=(4, 16), lengths=(16, 13, 20)):
    passages = [region(n, f"n{i}", 100 * i) for i, n in enumerate(lengths)]
    text = text_of(Readings(tuple(passages), {}), whole=True)
    return context.measure(systems, passages, contexts, reader_of(losses), text)


def by_key(result):
    return {(score.label, score.context): score for score in result.scores}


def test_contexts_and_systems_are_compared_on_the_same_tokens():
    """A token's own loss cancels, however hard; what its context saves is left."""
    own = lambda token: (token * 7 % 13).astype(float)
    losses = {
        "a": lambda at, token: own(token) - 0.1 * (at >= 4),
        "a, frozen": lambda at, token: own(token),
        "b": lambda at, token: own(token) + 1,
    }
    scores = by_key(measured(losses, [system("a"), system("b", learns=False)]))
    assert scores["a", 4].worth is None, "the shortest context is worth nothing more"
    shares = [12 / 16, 9 / 13, 16 / 20]  # the third document's last window is full
    assert scores["a", 16].worth.mean == pytest.approx(0.1 * np.mean(shares))
    assert scores["b", 16].worth.mean == pytest.approx(0)
    assert scores["b", 4].gap.mean == pytest.approx(1)
    assert scores["b", 4].gap.high - scores["b", 4].gap.low < 1e-9, "paired"
    assert scores["b", 16].gap.mean == pytest.approx(1 + 0.1 * np.mean(shares))
    assert scores["a", 4].gap is None and scores["a, frozen", 4].gap.mean == 0


def test_nothing_is_claimed_against_full_attention_beyond_its_training():
    flat = lambda at, token: 0.0 * at
    losses = dict.fromkeys(["a", "a, frozen", "full", "on", "b"], flat)
    systems = [
        system("a", trained_to=4),
        system("full", learns=False, trained_to=4, limit=4),
        system("on", learns=False, trained_to=4, limit=16),
        system("b", learns=False, trained_to=None),
    ]
    result = measured(losses, systems)
    scores = by_key(result)
    assert ("full", 16) not in scores and scores["full", 4].gap is not None
    assert scores["on", 16].extrapolated and scores["on", 16].gap is None
    assert scores["on", 16].worth is None
    assert scores["a", 16].extrapolated and scores["a", 16].worth is not None
    assert scores["b", 16].extrapolated is None and scores["b", 16].gap is not None
    said = " ".join(result.notes)
    assert "full has full attention: not read beyond 4." in said
    assert "1 of 3 documents are shorter than 16 tokens (the shortest has 13)" in said


def test_contexts_that_are_none_are_refused():
    for wrong in ((), (0, 4)):
        with pytest.raises(ValueError, match="positive numbers of tokens"):
            context.measure([system("a")], [region(8)], wrong, None, None)


@pytest.fixture
def result():
    shapes = {"a": 0.1, "a, frozen": 0.0, "b": 0.05}
    losses = {
        label: lambda at, token, s=s: 5 - s * np.log2(at + 1) + token % 3
        for label, s in shapes.items()
    }
    systems = [system("a", trained_to=4), system("b", learns=False, trained_to=64)]
    return measured(losses, systems)


def test_it_goes_through_a_file_and_back(result):
    data = results.to_json(result)
    again = results.open_result(data, context.Contexts)
    assert results.to_json(again) == data and again.text == result.text


def test_the_figures_draw_what_was_measured(result):
    named = lambda fig: {t.name: t for t in fig.data if t.showlegend is not False}
    lines = named(plots.loss_by_context(result))
    assert list(lines) == ["a", "a, frozen", "b"]
    rows = list(result.by_label()["a"].values())
    assert list(lines["a"].y) == [row.loss.mean for row in rows]
    assert list(lines["a"].marker.symbol) == ["circle", "circle-open"], "extrapolated"
    assert list(lines["b"].marker.symbol) == ["square", "square"]
    figure = plots.gap_by_context(result)
    assert list(named(figure)) == ["a, frozen", "b"]
    gaps = [row.gap for row in result.by_label()["b"].values()]
    one, (low, high) = named(figure)["b"], np.transpose([[g.low, g.high] for g in gaps])
    np.testing.assert_allclose(np.add(one.y, one.error_y.array), high)
    np.testing.assert_allclose(np.subtract(one.y, one.error_y.arrayminus), low)


def test_intervals_stand_side_by_side_around_their_context(result):
    places = np.log2([trace.x for trace in plots.gap_by_context(result).data])
    contexts = np.log2([4, 16])
    assert np.abs(places - contexts).max() < 0.5, "nearer than to a context between"
    assert np.diff(places, axis=0).min() > 0.1
    only = tuple(score for score in result.scores if score.label == "b")
    (found,) = plots.gap_by_context(dataclasses.replace(result, scores=only)).data
    np.testing.assert_allclose(found.x, [4, 16])


def test_one_document_has_means_and_no_intervals():
    flat = dict.fromkeys(["a", "a, frozen", "b"], lambda at, token: 5 - 0.1 * at)
    systems = [system("a"), system("b", learns=False)]
    for trace in plots.gap_by_context(measured(flat, systems, lengths=(16,))).data:
        assert trace.error_y.array == trace.error_y.arrayminus == (None, None)
        assert None not in trace.y


def test_eight_systems_fit_into_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    show(results.open_result("context-tiny-e2e-eltec-eng-val", context.Contexts))
    said = capsys.readouterr().out
    assert all(f" {name} " in said for name in EIGHT)
    assert "…" not in said and max(map(len, said.splitlines())) <= 80


def run(monkeypatch, *arguments) -> int:
    return command_line.run(monkeypatch, "eval", "context", *arguments)


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    corpus = command_line.write_novels(tmp_path / "novels", 3)
    about = {"tokenizer": "bytes", "tokens_seen": 7, "experiment": {"seq": 128}}
    checkpoints.save(tmp_path / "learner", nano, about)
    text = ["--corpus", corpus, "--split", "all", "--workers", "1"]
    drawn = ["--figures", str(tmp_path / "drawn")]
    more = ["--contexts", "64", "256", "--region", "300"]
    assert run(monkeypatch, str(tmp_path / "learner"), *text, *more, *drawn) == 0
    said = capsys.readouterr().out
    assert "learner, frozen" in said and "256" in said and "*" in said
    (path,) = (tmp_path / "runs/evals").glob("context-learner-novels-all.json")
    result = json.loads(path.read_text("utf-8"))
    assert result["contexts"] == [64, 256] and result["lengths"] == [300] * 3
    scores = by_key(results.open_result(path, context.Contexts))
    assert not scores["learner", 64].extrapolated
    assert scores["learner", 256].extrapolated
    assert scores["learner", 256].loss.novels == 3
    assert result["provenance"]["command"].startswith("ttt-lab eval context")
    assert len(list((tmp_path / "drawn").glob("context-*.html"))) == 2


def test_systems_that_are_not_trained_yet_are_a_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(checkpoints, "PUBLISHED", tmp_path)
    assert run(monkeypatch, "--corpus", "eltec-eng") == 1
    assert "tiny-e2e" in capsys.readouterr().err
