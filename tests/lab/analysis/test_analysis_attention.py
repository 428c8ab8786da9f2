"""Where attention looks: weights are the mixers' own, shares are counted right."""

import json

import command_line
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import attention
from lab.measure.texts import Passage
from ttt_core.layers import rotate
from ttt_core.mixers.attention import attention_weights
from ttt_core.model import unstack


LENGTH = 96


@pytest.fixture(scope="module")
def model():
    config = ttt.preset("nano").replace(mixers=("window", "full"), window=16, chunk=8)
    return config.build(key=jax.random.key(3))


@pytest.fixture(scope="module")
def passages():
    random = np.random.default_rng(1)
    draw = lambda: random.integers(0, 256, LENGTH).astype(np.int32)
    return [Passage(name, 0, draw()) for name in "ab"]


def test_blocks_one_by_one_are_the_model(model, passages):
    tokens = passages[0].tokens
    ids = jnp.asarray([model.config.bos, *tokens[:-1]])
    hidden = model.embed[ids]
    for block, fast_mlp in unstack(model):
        hidden, _ = block(hidden, None, fast_mlp)
    frozen = ttt.without_learning(model)
    _, reports = ttt.read(frozen, ttt.init_state(frozen, capacity=LENGTH), tokens)
    logits = model.final_norm(hidden) @ model.embed.T
    nll = -jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[:, None], -1)[:, 0]
    np.testing.assert_allclose(nll, reports.nll, atol=1e-5)


def test_shares_are_those_of_every_weight_counted_by_hand(model, passages):
    looks = attention.look(model, passages[:1])
    block, _ = unstack(model)[0]
    ids = jnp.asarray([model.config.bos, *passages[0].tokens[:-1]])
    x = block.around_mixer.pre(model.embed[ids])
    q, k, v, _ = block.mixer.projections(x)
    q, k = (rotate(a, jnp.arange(LENGTH), 10_000.0).swapaxes(0, 1) for a in (q, k))
    back = np.arange(LENGTH)[:, None] - np.arange(LENGTH)
    seen = (back >= 0) & (back < 16)
    weights = np.asarray(attention_weights(q, k, jnp.asarray(seen)))
    mixed = jnp.einsum("hqk,khd->qhd", weights, v)
    np.testing.assert_allclose(  # they are what the mixer mixes by
        block.mixer.projections.merge_heads(mixed), block.mixer(x, None)[0], atol=1e-5
    )
    late, far = weights[:, LENGTH // 2 :], back[LENGTH // 2 :]
    shares = np.array([head.shares for head in looks[0].heads])
    for k, (low, high) in enumerate(((0, 1), (1, 8), (8, 64), (64, 96))):
        inside = (far >= low) & (far < high)
        mean = (late * inside).sum(-1).mean(-1)
        np.testing.assert_allclose(shares[:, k], mean, atol=1e-5)
    assert not shares[:, 3].any(), "beyond the window"
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-5)


def test_heads_without_a_preference_look_evenly(model, passages):
    where = lambda m: [b.mixer.projections.wq for s in _stacks(m) for b in s.unit]
    blind = eqx.tree_at(where, model, replace_fn=jnp.zeros_like)
    for one in attention.look(blind, passages):
        for head in one.heads:
            assert head.shares == pytest.approx(one.even.shares, rel=1e-5)
            assert head.spread == pytest.approx(one.even.spread, rel=1e-5)
    window, full = attention.look(blind, passages)[:2]
    assert window.even.spread == pytest.approx(16, rel=1e-5)
    seen = np.log(np.arange(LENGTH // 2, LENGTH) + 1).mean()
    assert full.even.spread == pytest.approx(np.exp(seen), rel=1e-5)
    for one in attention.look(model, passages):
        assert all(head.spread < one.even.spread for head in one.heads)


def _stacks(model):
    return (*model.slow_stacks, *model.fast_stacks)


def test_blocks_without_attention_say_so(passages):
    config = ttt.preset("nano").replace(mixers=("mamba2", "window"), state_dim=16)
    looks = attention.look(config.build(key=jax.random.key(0)), passages)
    assert looks[0] == attention.Looks("mamba2") and len(looks[1].heads) == 2


def test_a_text_of_one_token_is_refused(model):
    with pytest.raises(ValueError, match="two tokens"):
        attention.look(model, [Passage("a", 0, np.zeros(1, np.int32))])


def test_the_command_prints_keeps_and_draws(tmp_path, model, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    corpus = command_line.write_novels(tmp_path / "novels", 3)
    checkpoints.save(tmp_path / "looker", model, {"tokenizer": "bytes"})
    text = ["--corpus", corpus, "--split", "all", "--length", "100"]
    drawn = ["--figures", str(tmp_path / "drawn")]
    call = ("eval", "attention", str(tmp_path / "looker"), *text, *drawn)
    assert command_line.run(monkeypatch, *call) == 0
    said = capsys.readouterr().out
    assert "evenly" in said and "64+" in said
    (path,) = (tmp_path / "runs/evals").glob("attention-looker.json")
    result = results.open_result(path, attention.Attention)
    assert result.text.passages == 3
    data = json.loads(path.read_text("utf-8"))  # as `published.results` gives it
    bars = plots.result_figures("attention", data)["distances"].data
    assert [bar.name for bar in bars] == list(result.distances)
    first = result.blocks["looker"][0].heads[0]
    assert [bar.x[0] for bar in bars] == list(first.shares)
    assert (tmp_path / "drawn/attention-looker-distances.html").exists()
