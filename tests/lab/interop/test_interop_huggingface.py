"""Models in the layout of Hugging Face: their own logits, and clear refusals."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_pretrained import arrays, write_arrays, write_folder

import ttt_core as ttt
from lab.interop import huggingface, layout
from lab.tensors import Tensors
from ttt_core.model import compute_logits, run_slow


GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/config.json"))


@pytest.fixture(scope="module")
def expected():
    with np.load(GOLDEN / "expected.npz") as file:
        return dict(file)


@pytest.fixture
def copied(tmp_path):
    """A function that copies a golden model, with changes to its config.json."""

    def copy(name, **changes):
        folder = Path(shutil.copytree(GOLDEN / name, tmp_path / name))
        config = folder / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | changes))
        return folder

    return copy


@jax.jit
def logits_of(model, tokens):
    return compute_logits(model, run_slow(model, tokens, None)[0])


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_transformers(name, expected):
    model = huggingface.load(GOLDEN / name)
    found = logits_of(model, expected[f"{name}.tokens"].astype(np.int32))
    np.testing.assert_allclose(found, expected[f"{name}.logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["qwen2-window", "smollm3"])
def test_a_stream_says_what_the_whole_text_says(name, expected):
    model = huggingface.load(GOLDEN / name)
    tokens = expected[f"{name}.tokens"].astype(np.int32)
    state, first = ttt.read(model, ttt.init_state(model), tokens[:13])
    _, second = ttt.read(model, state, tokens[13:])
    whole = jnp.asarray([model.config.bos, *tokens[:-1]])
    logits = jax.nn.log_softmax(logits_of(model, whole))
    wanted = -np.take_along_axis(np.asarray(logits), tokens[:, None], 1)[:, 0]
    found = np.concatenate([first.nll, second.nll])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_bfloat16_stays_and_is_computed_in_float32():
    model = huggingface.load(GOLDEN / "qwen2")
    assert model.embed.dtype == jnp.bfloat16
    assert model.final_norm.weight.dtype == jnp.float32
    assert logits_of(model, np.arange(4, dtype=np.int32)).dtype == jnp.float32


def test_shards_are_one_model(copied, expected):
    folder = copied("llama")
    whole = Tensors(folder / "model.safetensors")
    names = sorted(whole)
    where = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(names)}
    for part in sorted(set(where.values())):
        write_arrays(
            folder / part, {n: np.array(whole[n]) for n in names if where[n] == part}
        )
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    tokens = expected["llama.tokens"].astype(np.int32)
    found = logits_of(huggingface.load(folder), tokens)
    np.testing.assert_allclose(found, expected["llama.logits"], rtol=0, atol=1e-4)
    (folder / "part-1.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="lacks 1 of 2 files.*part-1"):
        huggingface.load(folder)
    index.write_text("{}")
    with pytest.raises(ValueError, match="has no weight_map"):
        huggingface.load(folder)


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}
UNSUPPORTED = {
    "another family": (
        "llama",
        {"model_type": "gemma2"},
        "model_type is 'gemma2'",
    ),
    "no architecture": ("llama", {"model_type": None}, "model_type is None"),
    "another activation": ("llama", {"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
    "all biases": ("llama", {"attention_bias": True}, "attention_bias is True"),
    "MLP biases": ("llama", {"mlp_bias": True}, "mlp_bias is True"),
    "half a rotation": (
        "llama",
        {"partial_rotary_factor": 0.5},
        "partial_rotary_factor is 0.5",
    ),
    "quantized": (
        "llama",
        {"quantization_config": {"quant_method": "gptq"}},
        "quantization_config is .*gptq",
    ),
    "another scaling": (
        "llama",
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}},
        "rope_type is 'yarn'",
    ),
    "the scaling of old": (
        "llama",
        {"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2}},
        "rope_type is 'dynamic'",
    ),
    "half a rule": (
        "llama",
        {"rope_parameters": LLAMA3},
        "high_freq_factor is None: it should be a number",
    ),
    "chunked layers": (
        "qwen2-window",
        {"layer_types": ["chunked_attention"] * 2},
        "layer_types is 'chunked_attention'",
    ),
    "layers too few": (
        "qwen2-window",
        {"layer_types": ["full_attention"]},
        "layer_types has 1 entries, num_hidden_layers is 2",
    ),
    "NoPE in a window": (
        "smollm3",
        {"use_sliding_window": True, "sliding_window": 8},
        "use_sliding_window is True",
    ),
    "words for numbers": ("llama", {"hidden_size": "16"}, "hidden_size is '16'"),
    "no layers": ("llama", {"num_hidden_layers": 0}, "num_hidden_layers is 0"),
    "uneven heads": ("llama", {"num_key_value_heads": 3}, "kv_heads=3"),
}


@pytest.mark.parametrize(
    ("name", "changes", "said"), UNSUPPORTED.values(), ids=UNSUPPORTED
)
def test_what_is_not_supported_is_named_with_its_value(name, changes, said, copied):
    with pytest.raises(ValueError, match=said):
        huggingface.load(copied(name, **changes))


FIELDS = json.loads((GOLDEN / "qwen2-window" / "config.json").read_text())
ODD = [None, "x", -1, 0, 3.7, float("nan"), float("inf"), 2**70, True, [], {}, [None]]


@pytest.mark.parametrize("field", FIELDS)
def test_an_odd_value_is_a_sentence_or_changes_nothing(field):
    for value in ODD:
        try:
            config = huggingface.read_config(FIELDS | {field: value}, bos=0)
        except ValueError as error:
            assert len(str(error)) < 400
        else:
            assert config.vocab >= 1


MISFITS = {
    "wider": (
        {"intermediate_size": 25},
        r"gate_proj.* has shape \[24, 16\].*\[25, 16\]",
    ),
    "deeper": ({"num_hidden_layers": 3}, "no array 'model.layers.2"),
    "shallower": ({"num_hidden_layers": 1}, "9 arrays that .*'model.layers.1"),
    "untied": ({"tie_word_embeddings": False}, "no array 'lm_head.weight'"),
    "a larger vocabulary": ({"vocab_size": 49}, r"\[48, 16\].*\[49, 16\]"),
}


@pytest.mark.parametrize(("changes", "said"), MISFITS.values(), ids=MISFITS)
def test_weights_that_do_not_fit_are_named(changes, said, copied):
    with pytest.raises(ValueError, match=said):
        huggingface.load(copied("llama", **changes))


def test_a_head_that_is_tied_and_present_is_the_embedding(copied):
    model = huggingface.load(copied("llama-untied", tie_word_embeddings=True))
    assert model.head is None


def test_integers_are_no_weights(tmp_path):
    folder = write_folder(tmp_path / "model")
    found = dict(Tensors(folder / "model.safetensors"))
    found = {name: np.array(a) for name, a in found.items()}
    found["model.norm.weight"] = np.ones(32, np.int8)
    write_arrays(folder / "model.safetensors", found)
    with pytest.raises(ValueError, match="norm.weight' holds int8, which is not supp"):
        huggingface.load(folder)


@pytest.mark.parametrize("kept", [0, 7, 100, 5000])
def test_a_cut_file_is_a_sentence(kept, copied):
    path = copied("llama") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="is not a safetensors file, or is damaged"):
        huggingface.load(path.parent)


def test_a_folder_without_a_model_says_what_is_missing(copied):
    folder = copied("llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="has neither model.safetensors nor"):
        huggingface.load(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match="config.json is damaged"):
        huggingface.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json is damaged"):
        huggingface.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match="There is no .*config.json"):
        huggingface.load(folder)


def test_rows_of_heads_change_places_and_come_back():
    rows = np.arange(24.0).reshape(12, 2)  # three heads of four
    moved = layout.interleave(rows, 4)
    np.testing.assert_array_equal(moved[:4, 0], [0, 4, 2, 6])
    assert sorted(moved[:, 0]) == sorted(rows[:, 0])


def test_a_smaller_model_of_the_tests_is_imported(tmp_path):
    folder = write_folder(tmp_path / "model", tie_word_embeddings=False)
    model = huggingface.load(folder)
    assert model.config.bos == 0  # `<|endoftext|>`: nothing puts token 1 in front
    wanted = arrays(json.loads((folder / "config.json").read_text()))
    np.testing.assert_array_equal(model.head, wanted["lm_head.weight"].T)
