"""Flax's opinion on our Transformer: the same weights give the same logits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import ttt_core as ttt
from lab import checkpoints
from lab.interop import flax


def small(**changes):
    """A model with nothing left at a special value."""
    sizes = dict(vocab=33, bos=0, d_model=16, d_ff=24, d_fast=20, lr=0.0)
    config = ttt.preset("nano").replace(**sizes | changes)
    shapes = eqx.filter_eval_shape(config.build, key=jax.random.key(0))
    random = np.random.default_rng(0)

    def fill(path, leaf):
        values = random.normal(size=leaf.shape)
        values = 1 + 0.3 * values if path[-1].name == "weight" else 0.4 * values
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def both(model, tokens):
    """Our logits, read as a stream, and the twin's."""
    ours = ttt.predict(model, ttt.init_state(model), tokens)
    inputs = jnp.asarray([[model.config.bos, *map(int, tokens)]])
    with jax.numpy_dtype_promotion("standard"):  # Flax's norms promote to float32
        run = nnx.jit(lambda twin, inputs: twin(inputs))
        return ours, run(flax.twin(model), inputs)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 16},
        {"mixers": ("full",)},
        {"mixers": ("window", "full"), "layers": 5, "fast_blocks": 2, "window": 16},
        {"kv_heads": 1, "qk_norm": False, "post_norm": False, "tied": False},
        {"mixers": ("none", "window"), "d_ff": 0, "fast_blocks": 4},
        {"mixers": ("window", "full"), "window": 16, "kv_heads": 1, "qkv_taps": 3},
    ],
    ids=["window", "full", "mixed", "bare", "no slow MLPs", "convolutions"],
)
def test_the_twin_gives_equal_logits(changes):
    with jax.enable_x64(True):
        model = small(**changes)
        tokens = np.random.default_rng(1).integers(1, 33, 45)
        ours, twins = both(model, tokens)
        assert twins.dtype == jnp.float64
        np.testing.assert_allclose(twins, ours, rtol=0, atol=1e-9)


def test_the_twin_of_a_published_model_gives_its_logits():
    """Trained weights, float32, four windows of tokens: 1e-4 of logits of ten."""
    model = ttt.without_learning(checkpoints.load("tiny-e2e"))
    tokens = np.random.default_rng(1).integers(1, 4000, 512)
    ours, twins = both(model, tokens)
    np.testing.assert_allclose(twins, ours, rtol=0, atol=1e-4)


def test_every_weight_is_in_the_twin():
    model = small()
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    assert count(nnx.state(flax.twin(model), nnx.Param)) == count(model)


def test_recurrent_mixers_have_no_twin():
    model = eqx.filter_eval_shape(ttt.preset("tiny-gdn").build, key=jax.random.key(0))
    with pytest.raises(ValueError, match="no gated_delta; it is made of sliding"):
        flax.twin(model)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mixers": ("full", "unplaced")}, "no unplaced"),
        ({"qkv_bias": True, "rope_factors": (2.0,) * 4}, "no qkv_bias and no rope_fac"),
    ],
)
def test_what_pretrained_models_have_more_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        flax.twin(small(**changes))
