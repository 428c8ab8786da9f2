"""Configurations: the impossible is refused in a sentence; presets are the paper's."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import MINI, build, text

import ttt_core as ttt
from ttt_core.model import run_slow
from ttt_core.ranges import check_ranges
from ttt_core.stacks import plan_stacks


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chunk": 7}, "chunk=7, window=6; use chunk <= 6"),
        ({"window": 0}, "`window` must be >= 1: got 0"),
        ({"d_model": 100, "heads": 6}, "d_model=100, heads=6; use heads=2 or 5 or 10"),
        ({"d_model": 6}, "even head width: got .* 3"),
        ({"heads": 4, "kv_heads": 3}, "heads=4, kv_heads=3"),
        ({"bos": 17}, "bos=17 with vocab=17; use a value from 0 to 16"),
        ({"fast_blocks": 4}, "fast_blocks=4 with layers=3"),
        ({"d_ff": 0, "d_fast": 0}, "`d_fast` must be >= 1"),
        ({"d_ff": -1}, "`d_ff` must be >= 0: got -1"),
        ({"layers": 0}, "`layers` must be >= 1: got 0"),
        ({"init_std": math.nan}, "`init_std` must be > 0: got nan .*above 0 to 10"),
        ({"window": 10**18}, "`window` must be <= 131,072: got 1e.18 .keys"),
        ({"d_model": 10**5000}, "got a number of 5,000 digits"),
        ({"norm_eps": 0.0}, "`norm_eps` must be > 0: got 0.0"),
        ({"mixers": ("xyz",)}, "does not know 'xyz'. Known: window, sinks, full"),
        ({"kernel": "abc"}, "does not know 'abc'. Known: xla, cudnn"),
        ({"mixers": ("windw",)}, "'windw'; did you mean 'window'"),
        ({"mixers": ()}, "at least one mixer"),
        ({"compute_dtype": "float16"}, "'float16'; did you mean"),
        ({"kernel": "cuddn"}, "did you mean 'cudnn'"),
        ({"rule": "sdg"}, "did you mean 'sgd'"),
        ({"lr": -1.0}, "`inner.lr` must be .* got -1.0"),
        ({"lr": math.inf}, "`inner.lr` must be a finite number"),
        ({"head_width": 5}, "even head width: got .* 5"),
        ({"head_width": -2}, "`head_width` must be >= 0: got -2"),
        ({"rope_factors": (1.0, 2.0, 4.0)}, "must be 2 numbers > 0.*got 3, the least"),
        ({"rope_factors": (1.0, 0.0)}, "got 2, the least 0.0"),
        ({"rope_factors": (1.0, math.nan)}, "`rope_factors` must be 2 numbers"),
        ({"qkv_bias": True, "mixers": ("mamba2",)}, "attention only: .*'mamba2'"),
        ({"head_width": 4, "mixers": ("kv_binding",)}, "attention only: got 4"),
        ({"clip": 0.0}, "`inner.clip` must be > 0: got 0.0; use math.inf"),
    ],
)
def test_what_cannot_work_is_refused_with_the_value_and_the_fix(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        MINI.replace(**changes)


def test_an_unknown_preset_suggests_the_nearest():
    with pytest.raises(ValueError, match="'tiny-e2'; did you mean 'tiny-e2e'"):
        ttt.preset("tiny-e2")
    with pytest.raises(ValueError, match="no preset 'xyz'. Known: nano, toy"):
        ttt.preset("xyz")


@pytest.mark.parametrize(
    ("name", "millions"),
    [("125m", 184), ("350m", 490), ("760m", 960), ("1b", 1500), ("3b", 3100)],
)
def test_paper_sizes_build_with_a_quarter_of_the_blocks_fast(name, millions):
    config = ttt.preset(name)
    assert config.fast_blocks * 4 == config.layers
    assert (config.window, config.chunk, config.vocab) == (8192, 1024, 128_256)
    shapes = jax.eval_shape(lambda: config.build(key=jax.random.key(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert abs(count / 1e6 / millions - 1) < 0.15


def test_the_125m_preset_has_the_size_of_the_authors_checkpoint():
    shapes = jax.eval_shape(lambda: ttt.preset("125m").build(key=jax.random.key(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 184_363_776


def test_configurations_are_frozen_hashable_and_reach_into_the_inner_loop():
    config = ttt.preset("nano")
    assert hash(config.replace(lr=0.5)) != hash(config)
    assert config.replace(lr=0.5).replace(lr=config.inner.lr) == config
    assert config.replace(lr=0.5, window=64).inner.lr == 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.window = 3
    assert config.learns and not config.replace(lr=0.0).learns
    assert not config.replace(fast_blocks=0).learns


def test_every_small_preset_differs_from_tiny_e2e_in_what_its_name_says():
    e2e = ttt.preset("tiny-e2e")
    assert ttt.preset("tiny-swa") == e2e.replace(lr=0.0)
    assert ttt.preset("tiny-naive") == e2e  # whose start was never meta-trained
    assert ttt.preset("tiny-full") == ttt.preset("tiny-swa").replace(mixers=("full",))
    assert set(ttt.preset("tiny-hybrid").kinds) == {"window", "full"}


@pytest.mark.parametrize(
    ("mixers", "reach"),
    [
        (("window",), 5 * 7),
        (("none",), 0),
        (("window", "none"), 3 * 7),  # of five blocks three
        (("none", "none", "window"), 1 * 7),
        (("full",), None),
        (("window", "window", "full"), None),
        (("full", "none"), None),
        (("mamba2", "window"), None),
        (("gated_delta", "none"), None),
        (("kv_binding",), None),
        (("window", "none", "none", "none", "none", "full"), 7),  # full never comes
    ],
)
def test_reach_is_what_the_blocks_mixers_add_up_to(mixers, reach):
    config = MINI.replace(mixers=mixers, layers=5, window=8)
    assert config.reach == reach


@pytest.mark.parametrize(
    "mixers", [("window",), ("window", "none"), ("none",), ("full",), ("mamba2",)]
)
def test_no_token_is_moved_by_one_beyond_reach(mixers):
    """And by one at the end of the reach, each is."""
    with jax.enable_x64(True):
        model = build(mixers=mixers, layers=4, fast_blocks=0, window=4, state_dim=4)
        tokens = text(20)
        changed = np.array(tokens)
        changed[2] = (changed[2] + 1) % 16
        hidden = lambda t: run_slow(model, jnp.asarray(t), None)[0]
        moved = jnp.any(jax.jit(hidden)(tokens) != jax.jit(hidden)(changed), axis=1)
    reach = 17 if model.config.reach is None else model.config.reach
    assert np.flatnonzero(moved).tolist() == list(range(2, 2 + reach + 1))


@pytest.mark.parametrize(
    "kinds",
    ["wwww", "wwfwwfw", "wwwwwf" * 2, "wf", "f", "wfffw", "wwwfwwwfwwwfww"],
)
def test_stacks_keep_the_order_of_the_blocks(kinds):
    kinds = tuple(kinds)
    plan = plan_stacks(kinds)
    assert tuple(k for unit, repeats in plan for k in unit * repeats) == kinds
    assert plan_stacks(()) == []


def test_stacks_are_few_for_a_repeating_pattern():
    assert plan_stacks(("w",) * 24) == [(("w",), 24)]
    assert plan_stacks(("w", "w", "f") * 4) == [(("w", "w", "f"), 4)]


@pytest.mark.parametrize("value", [2.5, 2.0, True, "2", None])
def test_a_size_that_is_no_whole_number_is_refused(value):
    """Of any dataclass: the types of `ModelConfig` are checked in tests already."""
    sized = dataclasses.make_dataclass("Sized", [("chunk", int)])
    check_ranges(sized(np.int32(2)), {})
    with pytest.raises(ValueError, match="`chunk` must be a whole number: got"):
        check_ranges(sized(value), {})
