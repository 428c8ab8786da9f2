"""Gradients of different texts: known parts come out, and they are the trainer's."""

import command_line
import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import agreement
from lab.measure.texts import Passage


def products(shared, novel, alone, novels=400, width=600):
    """Inner products of made-up gradients whose parts have these squared lengths."""
    random = np.random.default_rng(0)
    draw = lambda *shape: random.normal(size=(*shape, width)) / np.sqrt(width)
    parts = (
        np.sqrt(shared) * draw(1, 1),
        np.sqrt(novel) * draw(novels, 1),
        np.sqrt(alone) * draw(novels, 2),
    )
    rows = sum(parts).reshape(2 * novels, width)
    return rows @ rows.T


def test_the_parts_put_in_come_out():
    found = agreement.agreement(products(0.5, 1.0, 2.5))
    assert found.norm == pytest.approx(2, rel=0.05)
    known = {"shared": 0.125, "novel": 0.25, "passage": 0.625}
    for name, share in known.items():
        part = getattr(found, name)
        assert part.mean == pytest.approx(share, abs=0.02)
        assert part.low < part.mean < part.high and part.novels == 400
    assert found.passages == pytest.approx(7, rel=0.15)
    total = found.shared.mean + found.novel.mean + found.passage.mean
    assert total == pytest.approx(1)


def test_gradients_that_share_nothing_have_no_scale():
    found = agreement.agreement(np.diag([1.0, 1.0, 2.0, 2.0]))
    assert found.shared.mean == 0 and found.passages == np.inf


def passages(owners, length=24):
    random = np.random.default_rng(1)
    return [
        Passage(owner, 0, random.integers(0, 256, length).astype(np.int32))
        for owner in owners
    ]


def test_pairs_are_of_novels_that_have_two():
    found = agreement.pairs(passages("aabccddddee"), 3)
    assert [p.novel for p in found] == ["a", "a", "d", "d", "e", "e"]
    assert len(agreement.pairs(passages("aabccdd"), 99)) == 6
    with pytest.raises(ValueError, match="1 documents have two passages"):
        agreement.pairs(passages("aabc"), 3)


def test_they_are_meta_gradients_where_the_model_learns(nano):
    chosen = passages("aabb")
    rows = np.stack([np.concatenate([[256], p.tokens]) for p in chosen]).astype("int32")
    for model in (nano, ttt.without_learning(nano)):
        _, _, grads = jax.jit(ttt.meta_gradient)(model, rows)
        square = sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(grads))
        found = agreement.gram(model, chosen)
        assert found.mean() == pytest.approx(square, rel=1e-4), "of the whole batch"


def run(monkeypatch, *arguments) -> int:
    return command_line.run(monkeypatch, "eval", "agreement", *arguments)


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    corpus = command_line.write_novels(tmp_path / "novels", 3)
    checkpoints.save(tmp_path / "learner", nano, {"tokenizer": "bytes"})
    text = ["--corpus", corpus, "--split", "all", "--length", "100"]
    drawn = ["--figures", str(tmp_path / "drawn")]
    assert run(monkeypatch, str(tmp_path / "learner"), *text, *drawn) == 0
    said = capsys.readouterr().out
    assert "learner, frozen" in said and "all novels" in said
    (path,) = (tmp_path / "runs/evals").glob("agreement-learner.json")
    result = results.open_result(path, agreement.Agreements)
    assert len(result.text.units) == 3
    assert list(result.found) == ["learner", "learner, frozen"]
    bars = plots.result_figures("agreement", result)["parts"].data
    assert list(bars[1].x) == [found.novel.mean for found in result.found.values()]
