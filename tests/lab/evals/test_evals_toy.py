"""The toy experiment: which curves there are, what is read, kept, printed and drawn."""

import dataclasses
import json

import command_line
import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.evals import toy
from lab.measure.texts import Passage, TextRead
from lab.plots import theme
from lab.recipes import RECIPES
from lab.recipes.toy import PAPER, PAPER_AT, VARIANTS, model_config


KINDS = {"toy": "b1", "toy-b16": "b16", "toy-full": "full", "toy-none": "none"}


def build(system):
    """A toy of bytes, freshly initialised, that learns in large steps."""
    config = model_config(system, "nano")
    return jax.jit(lambda key: config.build(key=key))(jax.random.key(1))


def passages(count=3, length=20, seed=0):
    random = np.random.default_rng(seed)
    tokens = random.integers(0, 256, (count, length)).astype(np.uint16)
    return [Passage(f"novel{i // 2}", 0, row) for i, row in enumerate(tokens)]


def curve(kind, by_novel):
    return toy.Read(kind, np.array(by_novel, float), toy.About(kind))


def test_a_model_draws_the_curve_that_its_configuration_says():
    for name, kind in KINDS.items():
        assert VARIANTS[name].system == kind and RECIPES[name] is VARIANTS[name]
        for size in VARIANTS[name].SIZES:
            assert toy.kind_of(name, VARIANTS[name].experiment(size).model) == kind
    with pytest.raises(ValueError, match="not part of the toy experiment.*it learns"):
        toy.kind_of("tiny-e2e", ttt.preset("tiny-e2e"))


def test_the_curves_differ_in_the_model_and_nothing_else():
    """Text, order, length and steps are the same, and their sizes by attention."""
    experiments = [VARIANTS[name].experiment() for name in KINDS]
    texts = {
        dataclasses.replace(e.stages[0], lr=1.0, accumulate=1) for e in experiments
    }
    assert len(texts) == 1 and len({e.seed for e in experiments}) == 1
    (stage,) = texts
    assert stage.seq == 128 and 2e6 <= stage.tokens <= 3e6
    sizes = [ttt_parameters(e.model) for e in experiments]
    assert sizes[0] == sizes[1] == sizes[3]
    attention = 2 * (4 * 128 * 128 + 128 + 128)  # and its norms, before and after
    assert abs(sizes[2] - sizes[0] - attention) <= 4 * 128


def ttt_parameters(config):
    shapes = jax.eval_shape(lambda: config.build(key=jax.random.key(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_the_paper_has_a_number_for_every_curve_and_position():
    assert set(PAPER) == {*KINDS.values(), "naive"}
    assert {len(losses) for losses in PAPER.values()} == {len(PAPER_AT)}


@pytest.mark.parametrize("system", ["b1", "b16", "full"])
def test_what_is_read_is_what_a_stream_reads(system, monkeypatch):
    monkeypatch.setattr(toy, "AT_ONCE", 2)  # three passages: the last part is filled up
    model, texts = build(system), passages()
    done = []
    found = toy.read(model, texts, report=done.append)
    assert found.shape == (3, 20) and done == [2, 1]
    for passage, nll in zip(texts, found, strict=True):
        tokens = passage.tokens.astype(np.int32)
        _, report = ttt.read(model, ttt.init_state(model), tokens)
        np.testing.assert_allclose(nll, report.nll, rtol=0, atol=2e-5)


def test_the_rate_is_a_factor_and_the_best_of_those_tried_is_chosen():
    model, texts = build("b1"), passages()
    model, slow = (
        dataclasses.replace(model, config=model.config.replace(lr=lr))
        for lr in (1.0, 0.25)
    )
    np.testing.assert_allclose(
        toy.read(model, texts, 0.25), toy.read(slow, texts), rtol=0, atol=1e-6
    )
    best, tried = toy.choose_rate(model, texts, (0.0, 0.1, 1e4))
    losses = {one.rate: one.loss for one in tried}
    assert list(losses) == [0.0, 0.1, 1e4] and losses[best] == min(losses.values())
    assert losses[0.0] != losses[0.1]
    broken = jax.tree.map(lambda a: a * np.float32("nan"), model)
    with pytest.raises(ValueError, match="No loss is finite"):
        toy.choose_rate(broken, texts, (0.1,))


def test_a_novel_counts_once_however_many_passages_it_has():
    texts = [Passage(name, 0, np.zeros(2, np.uint16)) for name in ("b", "a", "b")]
    nll = np.array([[1.0, 2.0], [5.0, 6.0], [3.0, 4.0]])
    assert toy.by_novel(nll, texts).tolist() == [[2, 3], [5, 6]]


def test_gains_are_paired_by_novel_and_shares_are_of_full_attention():
    hard = np.array([0.0, 1.0, 2.0])[:, None]  # novels differ far more than curves do
    gained = {"none": 0.0, "full": 0.8, "b1": 0.6, "naive": 0.1}
    late = np.array([0, 0, 0, 1.0])  # only the last quarter gains
    curves = [curve(k, 5 + hard - g * late) for k, g in gained.items()]
    lines = toy.lines(curves)
    assert toy.late_from(curves) == 4
    assert lines["none"].gain is None and lines["none"].gain_late is None
    shares = {kind: line.share_of_full for kind, line in lines.items()}
    known = {"none": None, "full": 1.0, "b1": 0.75, "naive": 0.125}
    assert shares == pytest.approx(known)
    late = lines["b1"].gain_late
    assert (late.low, late.high) == pytest.approx((0.6, 0.6)) and late.novels == 3
    assert lines["b1"].gain.mean == pytest.approx((0, 0, 0, 0.6))
    assert lines["b1"].gain_overall.mean == pytest.approx(0.15)
    assert lines["b1"].overall.half > 2, "a loss has the novels' own spread"
    alone = toy.lines([curves[2]])["b1"]
    assert alone.gain is None and alone.gain_overall is None


@pytest.fixture(scope="module")
def drawn():
    levels = {"b1": 0.6, "b16": 0.5, "full": 0.8, "none": 0, "naive": 0.1}
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 32))
    curves = [curve(k, 5 - g + noise * (g + 1)) for k, g in levels.items()]
    text = TextRead("novels", "val", "bytes", "h", "novels", ("a", "b", "c"), 32, 3)
    lines = toy.lines(curves)
    return toy.Toy(text, 32, toy.late_from(curves), lines, PAPER_AT, PAPER, ())


def test_it_goes_through_a_file_and_back(drawn):
    data = results.to_json(drawn)
    assert results.to_json(results.open_result(data, toy.Toy)) == data


def test_every_curve_has_its_line_and_gains_their_bands(drawn):
    named = lambda fig: {t.name: t for t in fig.data if t.showlegend is not False}
    lines = named(plots.loss_by_index(drawn))
    labels = [toy.label_of(kind) for kind in drawn.curves]
    assert list(lines) == labels
    assert lines["learning, b = 1"].line.color == theme.LEARNING
    assert len({line.line.color for line in lines.values()}) == 5
    assert list(lines["naive"].y) == list(drawn.curves["naive"].loss.mean)
    assert list(lines["naive"].x) == list(range(1, 33))
    figure = plots.gain_by_index(drawn)
    assert list(named(figure)) == [one for one in labels if one != "no attention"]
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert list(bands[0].y[:32]) == list(drawn.curves["b1"].gain.high)
    assert len(bands) == 4 and figure.layout.shapes


def run(monkeypatch, *arguments) -> int:
    return command_line.run(monkeypatch, "eval", "toy", *arguments)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Two toys with cards, a corpus of words, and folders of its own."""
    command_line.use_folders(monkeypatch, tmp_path)
    corpus = command_line.write_novels(tmp_path / "novels", 8)
    about = {"tokenizer": "bytes", "tokens_seen": 7, "experiment": {"seq": 128}}
    for system in ("b1", "none"):
        checkpoints.save(tmp_path / system, build(system), about)
    return {"corpus": corpus, "models": [tmp_path / "b1", tmp_path / "none"]}


def test_the_command_prints_keeps_and_draws(trained, monkeypatch, capsys, tmp_path):
    models = [str(path) for path in trained["models"]]
    text = ["--corpus", trained["corpus"], "--split", "val", "--length", "32"]
    assert run(monkeypatch, *models, *text, "--figures", str(tmp_path / "drawn")) == 0
    said = capsys.readouterr().out
    for word in ("t=32", "learning, b = 1", "naive", "no attention"):
        assert word in said
    (path,) = (tmp_path / "runs/evals").glob("toy*.json")
    result = json.loads(path.read_text("utf-8"))
    assert list(result["curves"]) == ["b1", "none", "naive"]
    naive = result["curves"]["naive"]["about"]
    assert naive["rate"] in [one["rate"] for one in naive["tried"]]
    assert naive["model"] == "none" and result["paper"]["b1"] == list(PAPER["b1"])
    assert result["provenance"]["command"].startswith("ttt-lab eval toy")
    assert len(list((tmp_path / "drawn").glob("*.html"))) == 2


def test_two_models_of_one_curve_are_a_sentence(trained, monkeypatch, capsys, tmp_path):
    checkpoints.save(tmp_path / "again", build("b1"), {"tokenizer": "bytes"})
    twice = [str(trained["models"][0]), str(tmp_path / "again")]
    assert run(monkeypatch, *twice, "--corpus", trained["corpus"]) == 1
    assert "draw the same curve (b1)" in capsys.readouterr().err


def test_models_that_are_not_there_are_a_sentence(trained, monkeypatch, capsys):
    assert run(monkeypatch, "--corpus", trained["corpus"]) == 1
    assert "ttt-lab train toy" in capsys.readouterr().err
