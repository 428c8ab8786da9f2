"""Pretrained models in one GGUF file, as llama.cpp runs them.

    model = gguf.load("SmolLM2-135M-Instruct.Q4_1.gguf")

A GGUF file holds weights, mostly in blocks of four to eight bits, and everything else
as named fields. The package `gguf` reads fields and blocks; this file says what they
mean: which field is which of config.json's, and which array is which of Hugging Face's.
For llama and smollm3 llama.cpp lays rotary pairs as we do, for qwen as Hugging Face.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lab import tensors
from lab.interop import huggingface, layout, vocabulary
from lab.interop.layout import Found
from lab.tensors import Spec
from ttt_core import Transformer


NEEDED = "gguf>=0.17"
ARCHITECTURES = ("llama", "qwen2", "qwen3", "smollm3")
HALVES = ("qwen2", "qwen3")
FIELDS = {  # config.json's name: GGUF's, behind the architecture
    "vocab_size": "vocab_size",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "max_position_embeddings": "context_length",
    "rope_theta": "rope.freq_base",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}
# Fields that would change the mathematics, and are not read.
REFUSED = ("expert_count", "attention.sliding_window", "attention.scale", "logit_scale")
MODEL = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
BLOCK = {
    "attn_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    **{
        f"attn_{c}.{w}": f"self_attn.{c}_proj.{w}"
        for c in "qkv"
        for w in ("weight", "bias")
    },
    **{f"attn_{c}_norm.weight": f"self_attn.{c}_norm.weight" for c in "qk"},
    **{f"ffn_{c}.weight": f"mlp.{c}_proj.weight" for c in ("gate", "up", "down")},
}
ROPE = "rope_freqs.weight"


def load(path: str | Path) -> Transformer:
    """The model in a GGUF file, as its authors published it, in float32.

    **Raises** `ModuleNotFoundError` without the package `gguf`, `FileNotFoundError`
    without the file, `ValueError` with the field and its value, or with the array, for
    what is damaged or not supported.

    >>> model = load("SmolLM2-135M-Instruct.Q4_1.gguf")
    """
    return layout.build(find(path))


def find(path: str | Path) -> Found:
    """What a GGUF file holds; its blocks are decoded when they are asked for.

    **Raises** as `load` does.
    """
    path = Path(path)
    fields, blocks = _read(path)
    architecture = fields.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise huggingface.unsupported(
            "general.architecture", architecture, ARCHITECTURES
        )
    ours = {name: _their_name(name) for name in blocks if name != ROPE}
    specs = {t: Spec("float32", _shape(blocks[name])) for name, t in ours.items()}
    where = {theirs: name for name, theirs in ours.items()}
    tokenizer, bos = _tokenizer(fields)
    described = _described(fields, architecture, specs, blocks)
    config = huggingface.read_config(described, bos=bos)
    if ROPE in blocks:  # Llama 3's scaling, as numbers
        factors = _decoded(blocks[ROPE]).tolist()
        config = config.replace(rope_factors=tuple(factors))
    return Found(
        config=config,
        specs=specs,
        read=lambda name: _decoded(blocks[where[name]]),
        halves=architecture in HALVES,
        tokenizer=tokenizer,
        about={
            "title": fields.get("general.name"),
            "licence": fields.get("general.license"),
            "architecture": architecture,
            "context": described.get("max_position_embeddings"),
            "quantized": _quantized(blocks),
            "files": {path.name: tensors.sha256(path)},
        },
    )


def is_installed() -> bool:
    """Whether the package `gguf` is there."""
    return find_spec("gguf") is not None


def _read(path: Path) -> tuple[dict, dict]:
    """All fields by name, and all arrays by name, not yet decoded."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if not is_installed():
        raise ModuleNotFoundError(
            "GGUF files are read by the package gguf, which is not installed: "
            f'pip install "{NEEDED}" (or ttt-e2e-lab[pretrained]).'
        )
    from gguf import GGUFReader

    # A damaged file makes the package fail in many ways, none of which is a sentence.
    try:
        reader = GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        return fields, {tensor.name: tensor for tensor in reader.tensors}
    except Exception as error:
        raise ValueError(
            f"{path} is not a GGUF file, or is damaged ({str(error)[:200]}); download "
            "it again."
        ) from error


def _described(fields: Mapping, architecture: str, specs: Mapping, blocks) -> dict:
    """The fields as config.json has them."""
    get = lambda name: fields.get(f"{architecture}.{name}")
    for name in REFUSED:
        if get(name):
            raise huggingface.unsupported(f"{architecture}.{name}", get(name), [None])
    told = {field: get(name) for field, name in FIELDS.items()}
    told = {field: value for field, value in told.items() if value is not None}
    if "rms_norm_eps" in told:
        told["rms_norm_eps"] = float(f"{told['rms_norm_eps']:.7g}")  # 32 bits there
    told["model_type"] = architecture
    told["tie_word_embeddings"] = "lm_head.weight" not in specs
    if embed := specs.get("model.embed_tokens.weight"):
        told.setdefault("vocab_size", embed.shape[0])
    _check_rope(get, told, blocks)
    return told


def _check_rope(get, told: dict, blocks: Mapping):
    """Refuse partial positions; hand on the scaling that is a field."""
    turned, width = get("rope.dimension_count"), told.get("head_dim")
    heads = told.get("num_attention_heads")
    width = width or (told.get("hidden_size", 0) // heads if heads else turned)
    if turned and turned != width:
        raise huggingface.unsupported("rope.dimension_count", turned, [width])
    kind = get("rope.scaling.type")
    if kind not in (None, "none", "linear") and ROPE not in blocks:
        raise huggingface.unsupported("rope.scaling.type", kind, ["none", "linear"])
    if kind == "linear":
        factor = get("rope.scaling.factor")
        told["rope_scaling"] = {"rope_type": "linear", "factor": factor}


def _tokenizer(fields: Mapping) -> tuple[str, int]:
    get = lambda name: fields.get(f"tokenizer.ggml.{name}")
    if get("model") != "gpt2":
        raise huggingface.unsupported("tokenizer.ggml.model", get("model"), ["gpt2"])
    entries, kinds, merges = get("tokens"), get("token_type"), get("merges")
    if not (entries and kinds and merges and len(entries) == len(kinds)):
        raise ValueError(
            "tokenizer.ggml has no tokens, token_type or merges, or not as many of one "
            "as of another."
        )
    return vocabulary.from_gguf(
        entries,
        kinds,
        merges,
        get("pre") or "default",
        bos=get("bos_token_id"),
        adds_bos=bool(get("add_bos_token")),
    )


def _their_name(name: str) -> str:
    """Hugging Face's name of an array; one that is not known keeps its own."""
    if name in MODEL:
        return MODEL[name]
    if name.count(".") >= 2 and name.startswith("blk."):
        _, layer, part = name.split(".", 2)
        return f"model.layers.{layer}.{BLOCK.get(part, part)}"
    return name


def _shape(block) -> tuple[int, ...]:
    return tuple(int(n) for n in reversed(block.shape))


def _decoded(block) -> np.ndarray:
    from gguf.quants import dequantize

    try:
        found = dequantize(block.data, block.tensor_type)
    except NotImplementedError as error:
        raise ValueError(
            f"{block.name} is kept as {block.tensor_type.name}, which the package gguf "
            "does not decode; take another file of the model, such as Q8_0."
        ) from error
    return np.asarray(found, np.float32).reshape(_shape(block))


def _quantized(blocks: Mapping) -> str:
    """The type in which most matrices are kept, such as Q4_1."""
    names = [one.tensor_type.name for one in blocks.values() if len(one.shape) > 1]
    return max(sorted(set(names)), key=names.count) if names else ""
