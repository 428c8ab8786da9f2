"""GGUF files: what the package decodes is what the model computes with."""

import numpy as np
import pytest
from small_pretrained import SIZES, arrays, train_tokenizer

from lab.interop import gguf, huggingface, layout
from lab.tensors import Spec


package = pytest.importorskip("gguf", reason="the package gguf is not installed")

SAFE = {"model.embed_tokens.weight": "Q8_0"}  # others: Q4_1
NAMES = {theirs: ours for ours, theirs in gguf.MODEL.items()}
PARTS = {theirs: ours for ours, theirs in gguf.BLOCK.items()}


def their_name(name):
    if name in NAMES:
        return NAMES[name]
    _, _, layer, part = name.split(".", 3)
    return f"blk.{layer}.{PARTS[part]}"


def write(path, *, architecture="llama", fields=(), leave=(), described=SIZES):
    """A GGUF file of the small model, and the weights that its blocks stand for."""
    writer = package.GGUFWriter(path, architecture)
    numbers = {
        "block_count": described["num_hidden_layers"],
        "context_length": described["max_position_embeddings"],
        "embedding_length": described["hidden_size"],
        "feed_forward_length": described["intermediate_size"],
        "attention.head_count": described["num_attention_heads"],
        "attention.head_count_kv": described["num_key_value_heads"],
    }
    for name, value in numbers.items():
        if name not in leave:
            writer.add_uint32(f"{architecture}.{name}", value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_name("Small")
    for name, value in fields:
        add = writer.add_string if isinstance(value, str) else writer.add_uint32
        add(name, value)
    _add_tokenizer(writer, described["vocab_size"])
    decoded = {}
    for name, array in arrays(described).items():
        kind = package.GGMLQuantizationType[SAFE.get(name, "Q4_1")]
        if array.ndim == 1:
            kind = package.GGMLQuantizationType.F32
        blocks = package.quants.quantize(array, kind)
        decoded[name] = package.quants.dequantize(blocks, kind).reshape(array.shape)
        writer.add_tensor(their_name(name), blocks, raw_dtype=kind)
    for step in ("header", "kv_data", "tensors"):
        getattr(writer, f"write_{step}_to_file")()
    writer.close()
    return decoded


def _add_tokenizer(writer, vocab):
    model = train_tokenizer(vocab)["model"]
    entries = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(entries)
    writer.add_token_types([3, 3, *[1] * (vocab - 2)])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(1)
    writer.add_add_bos_token(False)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    return path, write(path)


def test_blocks_are_decoded_as_the_package_decodes_them(written):
    path, decoded = written
    found = gguf.find(path)
    assert {*found.specs} == {*decoded}
    for name, array in decoded.items():
        assert found.specs[name] == Spec("float32", array.shape)
        np.testing.assert_array_equal(found.read(name), array)


def test_the_model_is_the_one_of_the_decoded_weights(written):
    """Rows of queries and keys lie as ours do: llama.cpp has moved them already."""
    path, decoded = written
    config = huggingface.read_config(SIZES, bos=0)
    specs = {name: Spec("float32", a.shape) for name, a in decoded.items()}
    plain = layout.Found(config, specs, decoded.__getitem__, False, "", {})
    model, wanted = gguf.load(path), layout.build(plain)
    assert model.config == wanted.config
    import jax

    same = jax.tree.map(lambda a, b: np.array_equal(a, b), model, wanted)
    assert jax.tree.all(same)


def test_what_the_card_will_say(written):
    found = gguf.find(written[0])
    assert found.about["title"] == "Small" and found.about["quantized"] == "Q4_1"
    assert found.about["context"] == 512 and "licence" not in {
        key for key, value in found.about.items() if value is not None
    }
    assert found.config.norm_eps == 1e-5 and found.config.bos == 0


REFUSED = {
    "gemma": ({"architecture": "gemma"}, "general.architecture is 'gemma'"),
    "experts": ({"fields": [("llama.expert_count", 8)]}, "llama.expert_count is 8"),
    "a part": (
        {"fields": [("llama.rope.dimension_count", 4)]},
        "rope.dimension_count is 4",
    ),
    "yarn": (
        {"fields": [("llama.rope.scaling.type", "yarn")]},
        "rope.scaling.type is 'yarn'",
    ),
    "no width": ({"leave": ["embedding_length"]}, "hidden_size is None"),
    "another depth": (
        {"fields": [("llama.block_count", 3)], "leave": ["block_count"]},
        "no array 'model.layers.2",
    ),
}


@pytest.mark.parametrize(("knobs", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_supported_is_named_with_its_value(knobs, said, tmp_path):
    write(tmp_path / "other.gguf", **knobs)
    with pytest.raises(ValueError, match=said):
        gguf.load(tmp_path / "other.gguf")


@pytest.mark.parametrize("kept", [0, 3, 100, 20_000])
def test_a_cut_file_is_a_sentence(kept, written, tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(written[0].read_bytes()[:kept])
    with pytest.raises(ValueError, match="cut.gguf is not a GGUF file, or is damaged"):
        gguf.load(path)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        gguf.load(tmp_path / "nothing.gguf")
