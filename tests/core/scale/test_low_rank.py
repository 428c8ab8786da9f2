"""Fast weights as rows: the same numbers as `inner_step`, and the same meta-gradients.

`meta_loss` takes the low-rank form by itself where a chunk is one token; here the dense
one is forced as well, and the two are compared in float64.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import MINI, all_finite, build, text, with_bos

import ttt_core as ttt
from ttt_core import chunks
from ttt_core.scale import low_rank


TOY = MINI.replace(
    d_model=16,
    d_fast=24,
    d_ff=0,
    layers=1,
    mixers=("none",),
    chunk=1,
    inner=ttt.InnerConfig(clip=0.5),
)
LARGER = {
    "two blocks": {"layers": 2, "fast_blocks": 2},
    "windows and slow MLPs": {"mixers": ("window",), "d_ff": 12},
    "two kinds, own head, no clip": {
        "mixers": ("full", "window"),
        "layers": 4,
        "fast_blocks": 4,
        "tied": False,
        "post_norm": False,
        "clip": float("inf"),
    },
}
REPORTED = ("nll", "loss", "grad_norm", "update_norm", "drift", "learned", "refused")
LENGTH = 5  # two groups of two and a rest


@pytest.fixture
def dense(monkeypatch):
    """`gradient`, computed with dense inner gradients."""

    def call(*args):
        with monkeypatch.context() as patch:
            patch.setattr(chunks, "group_size", lambda config: 0)
            return _dense(*args)

    return call


def _gradient(model, rows, mask, rate, remat=None):
    return ttt.meta_gradient(model, rows, mask=mask, rate=rate, remat=remat)


gradient = eqx.filter_jit(_gradient)
_dense = eqx.filter_jit(lambda *args: _gradient(*args))


def arguments(**changes):
    """A model, three sequences, a mask with a silent row, and a rate."""
    model = build(TOY, **changes)
    rows = [with_bos(model, text(LENGTH, seed=seed)) for seed in range(3)]
    mask = np.ones((3, LENGTH), bool)
    mask[0, 2:4] = mask[1] = False
    return model, jnp.stack(rows), jnp.asarray(mask), jnp.asarray(1.0)


def furthest(a, b):
    """Largest difference of two trees, each array relative to its largest entry."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(np.abs(x - y).max() / np.abs(x).max() for x, y in pairs)


def compare(found, expected):
    """Losses, reports and meta-gradients agree to the precision of float64."""
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    for name in REPORTED:
        mine, theirs = getattr(found[1], name), getattr(expected[1], name)
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)
    assert furthest(expected[2], found[2]) < 1e-10


def test_all_numbers_and_meta_gradients_are_those_of_inner_step(dense):
    with jax.enable_x64(True):
        given = arguments()
        found = gradient(*given)
        compare(found, dense(*given))
        _, report, grads = found
        assert np.abs(grads.fast_mlps.gate).max() > 1e-4
        learned = report.learned.sum(axis=1).tolist()
        assert learned == [3, 0, 5], "as the mask says"
        assert (report.drift[1] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("changes", LARGER.values(), ids=LARGER)
def test_larger_models_agree_too(changes, dense):
    with jax.enable_x64(True):
        given = arguments(**changes)
        assert low_rank.group_size(given[0].config) == 2
        compare(gradient(*given), dense(*given))


@pytest.mark.slow
def test_float32_agrees_to_rounding(dense):
    given = arguments()
    found, expected = gradient(*given), dense(*given)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    assert furthest(expected[2], found[2]) < 1e-5


def test_recomputing_groups_changes_nothing():
    with jax.enable_x64(True):
        given = arguments()
        compare(gradient(*given, 3), gradient(*given))


@pytest.mark.slow
def test_rates_may_be_mapped_over():
    """Where only the rate is batched, what each writes on the tapes does not mix."""
    with jax.enable_x64(True):
        model, rows, _, _ = arguments()
        rates = jnp.array([0.0, 0.5, 1.0])
        loss = lambda model, rate: ttt.meta_loss(model, rows[0], rate=rate)[0]
        every = lambda model: jnp.sum(jax.vmap(loss, (None, 0))(model, rates))
        in_turn = lambda model: jnp.sum(jax.lax.map(lambda r: loss(model, r), rates))
        one, other = (eqx.filter_jit(eqx.filter_grad(f)) for f in (every, in_turn))
        assert furthest(other(model), one(model)) < 1e-10


def test_a_step_that_is_not_finite_is_refused_and_leaves_finite_gradients():
    with jax.enable_x64(True):
        model, rows, mask, rate = arguments()
        _, report, grads = gradient(model, rows, mask, rate * jnp.inf)
        assert report.refused.all() and not report.learned.any()
        assert (report.drift == 0).all() and all_finite(grads)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, 2),
        ({"d_model": 40}, 3),
        ({"d_fast": 7}, 0),
        ({"chunk": 2}, 0),
        ({"lr": 0.0}, 0),
        ({"rule": "momentum"}, 0),
        ({"compute_dtype": "bfloat16"}, 0),
        ({"fast_blocks": 0}, 0),
    ],
)
def test_it_is_for_single_tokens_in_groups_much_smaller_than_the_weights(changes, size):
    assert low_rank.group_size(TOY.replace(**changes)) == size
