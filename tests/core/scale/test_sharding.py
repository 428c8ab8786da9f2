"""Where arrays are cut: a rule for every weight of every model, and none that lies."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P
from minis import MINI

import ttt_core as ttt
from ttt_core.mixers import KINDS, kinds_of
from ttt_core.mixers.kind import Cut
from ttt_core.scale import sharding


CONFIG = MINI.replace(vocab=24, bos=23, heads=4, kv_heads=2, d_ff=12, d_fast=16)


def shapes(config):
    return eqx.filter_eval_shape(lambda: config.build(key=jax.random.key(0)))


def is_spec(leaf):
    return isinstance(leaf, P)


@pytest.mark.parametrize("name", ["nano", "toy", "tiny-hybrid", "3b"])
def test_every_matrix_of_every_preset_has_a_rule(name):
    config = ttt.preset(name)
    _check_names(config.replace(inner=ttt.InnerConfig(rule="block-rates")))


@pytest.mark.parametrize("mixer", KINDS)
def test_every_matrix_of_every_mixer_has_a_rule(mixer):
    _check_names(MINI.replace(mixers=(mixer,), tied=False))


def _check_names(config):
    said = sharding.OWN_CUTS.keys() | set().union(*(k.cuts for k in kinds_of(config)))
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes(config)):
        name = path[-1].name
        assert name in said, path
        if sharding.find_cut(name, config) is None:
            assert leaf.ndim <= 2, f"{path} is a matrix and is never cut"


def test_mixers_of_one_model_cut_arrays_of_one_name_alike(monkeypatch):
    other = dataclasses.replace(KINDS["mamba2"], cuts={"wq": Cut(-2)})
    monkeypatch.setitem(KINDS, "mamba2", other)
    assert sharding.find_cut("wq", CONFIG) == Cut(-1, "heads")
    assert sharding.find_cut("wq", CONFIG.replace(mixers=("mamba2",))) == Cut(-2)
    with pytest.raises(ValueError, match="'wq' are cut in 2 ways"):
        sharding.find_cut("wq", CONFIG.replace(mixers=("mamba2", "window")))


@pytest.mark.parametrize(
    ("name", "shape", "cut", "spec"),
    [
        ("embed", (24, 8), 4, P("model", None)),
        ("embed", (24, 8), 5, P()),
        ("head", (8, 24), 2, P(None, "model")),
        ("wq", (3, 8, 8), 4, P(None, None, "model")),
        ("wq", (3, 8, 8), 8, P()),  # 4 heads cannot be shared by 8
        ("wk", (3, 8, 4), 4, P()),  # 2 key heads cannot be shared by 4
        ("wv", (3, 8, 4), 2, P(None, None, "model")),
        ("wo", (8, 8), 2, P("model", None)),
        ("gate", (1, 8, 12), 4, P(None, None, "model")),
        ("down", (1, 12, 8), 4, P(None, "model", None)),
        ("down", (1, 12, 8), 8, P()),
        ("weight", (3, 8), 2, P()),
        ("of_a_mixer_to_come", (8, 8), 2, P()),
        ("down", (1, 12, 8), 1, P()),
    ],
)
def test_arrays_are_cut_by_hidden_units_where_these_divide(name, shape, cut, spec):
    assert sharding.partition_spec(name, shape, CONFIG, cut) == spec


def test_moments_lie_as_their_weights_do():
    params = shapes(CONFIG)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    state = jax.eval_shape(optimizer.init, params)
    weights = sharding.partition_specs(params, CONFIG, 2)
    specs = sharding.partition_specs(state, CONFIG, 2)
    adam = specs[1][0]
    expected = jax.tree.leaves(weights, is_leaf=is_spec)
    assert jax.tree.leaves(adam.mu, is_leaf=is_spec) == expected
    assert jax.tree.leaves(adam.nu, is_leaf=is_spec) == expected
    assert adam.count == P()
    assert {P(), P("model", None), P(None, None, "model")} <= set(expected)


def test_fast_weights_lie_along_both_axes():
    fast, _ = ttt.split(shapes(CONFIG))
    specs = sharding.fast_specs(fast, CONFIG, 2)
    assert specs.gate == specs.up == P("data", None, None, "model")
    assert specs.down == P("data", None, "model", None)
    assert sharding.fast_specs(fast, CONFIG, 3).down == P("data")
    assert sharding.fast_specs((), CONFIG, 2) == ()


def test_a_held_rule_learns_what_the_rule_learns():
    mesh = sharding.make_mesh(1, 2)
    model = jax.jit(lambda: CONFIG.build(key=jax.random.key(0)))()
    held = sharding.hold_fast(model, mesh)
    assert isinstance(held.rule, sharding.HeldRule)
    assert sharding.release(held).rule == model.rule
    one = sharding.make_mesh(2, 1)
    assert sharding.hold_fast(model, one) is model is sharding.release(model)

    fast, _ = ttt.split(model)
    step = lambda rule: jax.jit(lambda fast: rule.step(fast, (), fast, 0.5)[0])(fast)
    plain, cut = step(model.rule), step(held.rule)
    jax.tree.map(np.testing.assert_array_equal, cut, plain)
    assert cut.down.sharding.shard_shape(cut.down.shape) == (1, 8, 8)
    assert plain.down.sharding.shard_shape(plain.down.shape) == (1, 16, 8)
