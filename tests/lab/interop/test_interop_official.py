"""The authors' layout: their fixture to the last digit, round trips, clear refusals."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ttt_core as ttt
from lab.interop import official


pytestmark = pytest.mark.bits  # also compiled as people compile: `make slow`


FIXTURES = Path(__file__).parents[4] / "shared" / "fixtures"
needs_fixture = pytest.mark.skipif(
    not (FIXTURES / "official-tiny").is_dir(),
    reason="needs ../shared/fixtures/official-tiny, a folder beside the repository",
)


def small(**changes):
    config = ttt.preset("nano").replace(
        vocab=33, bos=0, d_model=16, d_ff=24, d_fast=20, **changes
    )
    return eqx.filter_jit(lambda key: config.build(key=key))(jax.random.key(0))


def knobs(model):
    config = model.config
    return {
        "window": config.window,
        "chunk": config.chunk,
        "rope_theta": config.rope_theta,
        "inner_lr": config.inner.lr,
        "inner_clip": config.inner.clip,
    }


def write(folder, arrays):
    """A checkpoint of any arrays, as `save` would lay it out."""
    import orbax.checkpoint as ocp

    tree = official._nested(arrays)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "0" / "model_weights", tree)
    return folder


@needs_fixture
def test_the_authors_losses_and_meta_gradients_come_out():
    model = official.load(
        FIXTURES / "official-tiny", window=32, chunk=16, rope_theta=10_000.0, bos=1
    )
    with np.load(FIXTURES / "official-tiny-expected.npz") as file:
        expected = dict(file)
    tokens = jnp.asarray(expected["tokens"])
    mask = tokens[1:] != model.config.bos
    assert not bool(jnp.all(mask))

    @eqx.filter_jit
    @eqx.filter_value_and_grad(has_aux=True)
    def loss_and_grads(model):
        return ttt.meta_loss(model, tokens, mask=mask)

    (loss, aux), grads = loss_and_grads(model)
    close = lambda a, name: np.testing.assert_allclose(a, expected[name], 0, 1e-5)
    close(loss, "loss")
    close(aux.loss, "chunk_loss")
    close(aux.nll, "token_nll")

    arrays = official.to_arrays(grads)
    assert {f"grad.{path}" for path in arrays} == {k for k in expected if "grad." in k}
    for path, found in arrays.items():
        wanted = expected[f"grad.{path}"]
        np.testing.assert_allclose(
            found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max(), err_msg=path
        )


@needs_fixture
def test_the_fixture_survives_being_written_by_us(tmp_path):
    source = FIXTURES / "official-tiny"
    official.save(tmp_path, official.load(source, window=32, chunk=16))
    before, after = official.read_arrays(source), official.read_arrays(tmp_path)
    assert before.keys() == after.keys() and len(after) == 20
    for path, array in before.items():
        assert array.dtype == after[path].dtype == np.float32
        np.testing.assert_array_equal(array, after[path])


@pytest.mark.parametrize("fast_blocks", [0, 1, 4])
def test_a_model_comes_back_bit_for_bit(tmp_path, fast_blocks):
    model = small(fast_blocks=fast_blocks)
    assert official.save(tmp_path, model, step=7) == tmp_path / "7"
    assert (tmp_path / "7" / "model_weights" / "manifest.ocdbt").is_file()
    back = official.load(tmp_path, **knobs(model))
    assert back.config.replace(init_std=0.1, d_fast=20) == model.config
    assert len(jax.tree.leaves(back)) == len(jax.tree.leaves(model))
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_latest_step_is_taken_and_any_folder_of_it_will_do(tmp_path):
    old, new = small(), jax.tree.map(lambda w: 2 * w, small())
    official.save(tmp_path, old, step=9)
    official.save(tmp_path, new, step=10)
    where = (tmp_path, tmp_path / "10", tmp_path / "10" / "model_weights")
    for folder in where:
        model = official.load(folder, **knobs(old))
        np.testing.assert_array_equal(model.embed, new.embed)
    first = official.load(tmp_path / "9", **knobs(old))
    np.testing.assert_array_equal(first.embed, old.embed)
    with pytest.raises(FileExistsError, match="10 exists"):
        official.save(tmp_path, new, step=10)


def test_layers_of_mixed_kinds_are_listed_in_the_order_in_which_they_run():
    model = small(layers=5, fast_blocks=2, mixers=("window", "full"))
    wq = official.to_arrays(model)[official.BLOCKS + "seq_modeling_block.wq.weight"]
    stacks = (*model.slow_stacks, *model.fast_stacks)
    in_order = [
        block.mixer.projections.wq[row]
        for stack in stacks
        for row in range(stack.repeats)
        for block in stack.unit
    ]
    np.testing.assert_array_equal(wq, np.stack(in_order))


def test_gradients_of_the_fast_weights_alone_are_only_those_arrays():
    fast, slow = ttt.split(small())
    hollow = jax.tree.map(lambda _: None, slow)
    arrays = official.to_arrays(ttt.merge(fast, hollow))
    assert set(arrays) == set(official.FAST_MLP_ARRAYS)


def test_the_vocabulary_decides_bos_and_a_missing_window_full_attention(tmp_path):
    arrays = official.to_arrays(small())
    folder = write(tmp_path / "ours", arrays)
    assert official.load(folder, window=32, chunk=16).config.bos == 0
    full = official.load(folder, window=None, chunk=16)
    assert full.config.mixers == ("full",)
    wide = {official.PREFIX + "wte.weight": np.zeros((128_256, 16), np.float32)}
    folder = write(tmp_path / "llama", arrays | wide)
    assert official.load(folder, window=32, chunk=16).config.bos == 128_000


def test_what_is_wrong_with_a_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint in .*empty"):
        official.load(tmp_path / "empty")
    arrays, w2 = official.to_arrays(small()), official.BLOCKS + "feed_forward.w2.weight"
    for number, path in enumerate(arrays):
        rest = {p: a for p, a in arrays.items() if p != path}
        with pytest.raises(ValueError, match=f"no array '{path}'"):
            if number == 0:
                official.load(write(tmp_path / "missing", rest), window=32, chunk=16)
            config = ttt.ModelConfig(**official._sizes(rest), bos=0, window=8, chunk=4)
            official.from_arrays(config, rest)
    odd = arrays | {w2: arrays[w2][:, :-1]}
    with pytest.raises(ValueError, match=rf"{w2}.* shape \[4, 24, 16\].*\[4, 23, 16\]"):
        official.load(write(tmp_path / "odd", odd), window=32, chunk=16)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tied": False}, "an untied head"),
        ({"qk_norm": False, "post_norm": False}, "no QK norm and no post-norms"),
        ({"kv_heads": 1}, "grouped"),
        ({"mixers": ("none",)}, "without a mixer"),
        ({"rule": "block-rates"}, "'block-rates' holds trained arrays"),
    ],
)
def test_a_model_without_a_place_in_the_layout_is_refused(tmp_path, changes, reason):
    with pytest.raises(ValueError, match=reason):
        official.save(tmp_path, small(**changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"qkv_bias": True}, "biases on queries, keys and values"),
        ({"head_width": 2}, "heads of another width"),
        ({"rope_factors": (2.0,) * 4}, "scaled rotary frequencies"),
        ({"mixers": ("unplaced",)}, "attention without positions"),
    ],
)
def test_what_pretrained_models_have_more_has_no_place(changes, said):
    config = ttt.preset("nano").replace(d_model=16, heads=2, d_ff=24, **changes)
    with pytest.raises(ValueError, match=f"no place for a model with {said}"):
        official.from_arrays(config, {})
