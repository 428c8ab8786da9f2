"""A mixer that nothing has heard of: its file and one word in `KINDS` are enough.

The mixer is a fading mean, `m[t] = keep m[t - 1] + (1 - keep) x[t] w_in`, a fade for
each channel. It is trained, read with, saved, counted, cut and named here, and none of
that needs another line anywhere.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import minis
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float
from minis import MINI, all_finite, meta, same_bits, text, with_bos

import ttt_core as ttt
from lab import checkpoints, published
from lab.recipes import sizes
from lab.recipes.experiment import Experiment, Stage
from lab.training import flops, plan
from ttt_core.layers import linear, normal
from ttt_core.mixers import KINDS, state_bytes
from ttt_core.mixers.kind import Cut, Kind
from ttt_core.scale import sharding


class Fading(eqx.Module):
    """The layer: into the mean, and out of it."""

    w_in: Float[Array, "*stack d_model width"]
    w_back: Float[Array, "*stack width d_model"]
    fade: Float[Array, "*stack width"]

    def init_state(self, capacity, dtype):
        del capacity
        return jnp.zeros(self.fade.shape, dtype)

    def __call__(self, x, state):
        keep = jax.nn.sigmoid(self.fade).astype(x.dtype)

        def step(mean, value):
            mean = keep * mean + (1 - keep) * value
            return mean, mean

        start = self.init_state(0, x.dtype) if state is None else state
        mean, y = jax.lax.scan(step, start, linear(x, self.w_in))
        return linear(y, self.w_back), None if state is None else mean


def build_fading(config, *, key):
    d, width = config.d_model, config.heads * config.state_dim
    k_in, k_back = jax.random.split(key)
    w_in = normal(k_in, (d, width), config.init_std)
    return Fading(w_in, normal(k_back, (width, d), config.init_std), jnp.zeros(width))


def refuse_one_head(config):
    if config.heads == 1:
        raise ValueError(f"a fading mean needs several heads: got {config.heads}.")


def count_weights(config):
    return 2 * config.d_model * config.heads * config.state_dim


FADING = Kind(
    name="fading",
    title="a fading mean",
    build=build_fading,
    check=refuse_one_head,
    least={"state_dim": 2},
    reach=lambda config: None,
    weights=count_weights,
    flops=lambda config, tokens: 2 * tokens * count_weights(config),
    inner_flops=lambda config, tokens: 2 * tokens * count_weights(config),
    cuts={"w_in": Cut(-1, "heads"), "w_back": Cut(-2, "heads"), "fade": None},
    is_recurrent=True,
    remark="keeps a mean",
)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(KINDS, "fading", FADING)


@pytest.fixture
def config(registered):
    mixers = ("fading", "window")
    return MINI.replace(mixers=mixers, layers=4, fast_blocks=2, state_dim=4)


def test_its_configuration_is_checked_by_itself(config):
    assert config.reach is None
    with pytest.raises(ValueError, match="needs several heads: got 1"):
        config.replace(heads=1, kv_heads=1)
    with pytest.raises(ValueError, match="`state_dim` must be >= 2: got 1"):
        config.replace(state_dim=1)
    with pytest.raises(ValueError, match="'fadin'; did you mean 'fading'"):
        config.replace(mixers=("fadin",))


def test_it_is_read_with_as_it_is_trained(config):
    model, tokens = minis.build(config), text(18)
    (loss, aux), grads = minis.meta_grad(model, with_bos(model, tokens))
    assert bool(jnp.isfinite(loss)) and all_finite(grads)
    state, report = ttt.read(model, ttt.init_state(model), tokens)
    np.testing.assert_allclose(report.nll, aux.nll, rtol=0, atol=2e-5)
    cut, _ = ttt.read(model, ttt.init_state(model), tokens[:7])
    cut, _ = ttt.read(model, cut, tokens[7:])
    assert same_bits(cut.fast, state.fast)
    still, _ = meta(ttt.without_learning(model), with_bos(model, tokens))
    assert float(still) != float(loss)


def test_it_is_counted(config):
    mean = config.replace(mixers=("fading",), fast_blocks=0)
    bare = mean.replace(mixers=("none",))
    found = [flops.count_flops(c, 12).forward for c in (mean, bare)]
    assert found[0] - found[1] == 4 * 2 * count_weights(config)
    inner = [
        flops.count_flops(c.replace(fast_blocks=3), 12).inner for c in (mean, bare)
    ]
    per_token = 2 * 2 * count_weights(config)  # of three fast blocks two
    assert inner[0] - inner[1] == pytest.approx(per_token * 8 / 12)  # of 3 chunks two
    assert state_bytes(config, "fading") == 4 * config.heads * config.state_dim


def test_its_arrays_are_cut_as_it_says(config):
    shapes = eqx.filter_eval_shape(config.build, key=jax.random.key(0))
    specs = sharding.partition_specs(shapes, config, 2)
    mixer = specs.slow_stacks[0].unit[0].mixer
    assert mixer.w_in == jax.sharding.PartitionSpec(None, None, "model")
    assert mixer.w_back == jax.sharding.PartitionSpec(None, "model", None)
    assert mixer.fade == jax.sharding.PartitionSpec()


def test_a_training_with_it_is_planned(config):
    stages = (Stage("pretrain", "sotu", tokens=1, seq=16, batch=2, lr=1e-3),)
    phase = Experiment("new", config, "bytes", stages).phases[0]
    found = plan.plan_stage(phase, optax.adam(1e-3), devices=2)
    assert found.flops == flops.count_flops(config, 16) and found.total > 0


def test_a_recipe_makes_it_weigh_what_attention_does():
    changes = sizes.recurrent("tiny", "fading", "window", state_dim=96)
    more = 2 * 128 * 192 - 4 * 128**2  # than attention, in every other block
    assert changes["d_ff"] == int(384 - more / 2 / (3 * 128)) // 8 * 8
    assert changes["state_dim"] == 96 and changes["lr"] == 0


def test_its_model_is_saved_and_people_are_told(config, tmp_path):
    model = minis.build(config.replace(lr=0.0))
    path = checkpoints.save(tmp_path / "new", model, {})
    assert same_bits(checkpoints.load(path), model)
    assert published.remark(checkpoints.card(path)) == "keeps a mean"
