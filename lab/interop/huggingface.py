"""Pretrained models in the layout of Hugging Face: config.json, safetensors, tokenizer.

    model = huggingface.load("Qwen2.5-0.5B")     a folder, as it is downloaded

A config.json names an architecture and its numbers; `ARCHITECTURES` lists those that
our blocks can be, with the defaults that a file may leave out. What a configuration
asks for is either done exactly or refused with the field and its value: a model that is
almost right writes almost English.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lab import tensors
from lab.interop import layout, vocabulary
from lab.interop.layout import Found
from ttt_core import InnerConfig, ModelConfig, Transformer
from ttt_core.layers import rotary_frequencies


COMMON = {
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "partial_rotary_factor": 1.0,
    "quantization_config": None,
    "rope_theta": 10_000.0,
    "rope_scaling": None,
    "max_position_embeddings": None,
    "layer_types": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
_SLIDING = {
    "sliding_window": 4096,
    "use_sliding_window": False,
    "max_window_layers": 28,
}
ARCHITECTURES = {  # what a file may leave out, where it is not as in `COMMON`
    "llama": {},
    "mistral": {"num_key_value_heads": 8, "sliding_window": 4096},
    "qwen2": {"num_key_value_heads": 32, **_SLIDING},
    "qwen3": {"num_key_value_heads": 32, "head_dim": 128, **_SLIDING},
    "smollm3": {
        "num_key_value_heads": 4,
        "rope_theta": 2_000_000.0,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "no_rope_layers": None,
        "no_rope_layer_interval": 4,
    },
}
ONLY = {  # fields of which one value is supported
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "partial_rotary_factor": 1.0,
    "quantization_config": None,
}
CHUNK = 128  # tokens read at a time; a model that does not learn reads no worse for it
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def load(folder: str | Path) -> Transformer:
    """The model in a folder, as its authors published it.

    **Raises** `FileNotFoundError` naming the file that is missing, `ValueError` with
    the field and its value, or with the array, for what is damaged or not supported.

    >>> model = load("SmolLM2-135M")
    """
    return layout.build(find(folder))


def find(folder: str | Path) -> Found:
    """What a folder holds; nothing large is read yet.

    **Raises** as `load` does.
    """
    folder = Path(folder)
    described = _read_json(folder / "config.json")
    parts = _open_weights(folder)
    where = {name: part for part in parts for name in part}
    tokenizer, bos = _tokenizer(folder, described)
    config = read_config(described, bos=bos)
    return Found(
        config=config,
        specs={name: part.specs[name] for name, part in where.items()},
        read=lambda name: np.asarray(where[name][name]),
        halves=True,
        tokenizer=tokenizer,
        about={
            "architecture": described["model_type"],
            "context": described.get("max_position_embeddings"),
            "files": {part.path.name: tensors.sha256(part.path) for part in parts},
        },
    )


def read_config(described: Mapping, *, bos: int) -> ModelConfig:
    """The configuration that a config.json describes; `bos` starts each text.

    **Raises** `ValueError` with the field and its value.
    """
    kind = described.get("model_type")
    if kind not in tuple(ARCHITECTURES):
        raise unsupported("model_type", kind, ARCHITECTURES)
    try:
        return _config(described, kind, bos)
    except (TypeError, AttributeError, LookupError, OverflowError) as error:
        raise ValueError(f"config.json is damaged: {error}.") from error


def _config(described: Mapping, kind: str, bos: int) -> ModelConfig:
    told = COMMON | ARCHITECTURES[kind] | dict(described)
    for field, only in ONLY.items():
        if told[field] != only:
            raise unsupported(field, told[field], [only])
    layers, heads = (
        _whole(told, "num_hidden_layers"),
        _whole(told, "num_attention_heads"),
    )
    kinds, window = _mixers(told, layers)
    width = _whole(told, "hidden_size")
    head_dim = _whole(told, "head_dim") if told["head_dim"] else width // heads
    theta, factors = _rope(told, head_dim)
    return ModelConfig(
        vocab=_whole(told, "vocab_size"),
        bos=bos,
        d_model=width,
        layers=layers,
        heads=heads,
        kv_heads=_whole(told, "num_key_value_heads", heads),
        head_width=0 if head_dim * heads == width else head_dim,
        d_ff=_whole(told, "intermediate_size"),
        window=window or max(CHUNK, min(_whole(told, CONTEXT, CHUNK), 2**17)),
        chunk=min(CHUNK, window or CHUNK),
        mixers=kinds,
        qk_norm=kind == "qwen3",
        qkv_bias=kind == "qwen2",
        post_norm=False,
        tied=bool(told["tie_word_embeddings"]),
        rope_theta=theta,
        rope_factors=factors,
        norm_eps=_real(told, "rms_norm_eps"),
        inner=InnerConfig(lr=0.0),
    )


CONTEXT = "max_position_embeddings"
WIDTH = 2**24  # of any matrix
MOST = {"num_hidden_layers": 10_000, CONTEXT: 2**40}


def unsupported(field: str, value: object, known) -> ValueError:
    """The error for a field whose value our blocks cannot be."""
    words = ", ".join(map(repr, known))
    return ValueError(
        f"{field} is {value!r}, which is not supported; supported: {words}."
    )


def llama3_factors(theta: float, head_dim: int, rule: Mapping) -> tuple[float, ...]:
    """What Llama 3 divides the rotary frequencies by, one number a pair.

    Long wavelengths are stretched by `factor`, short ones are left alone, and those in
    between get a share of both (Llama 3.1, `rope_type: llama3`).
    """
    factor, low, high = (
        _real(rule, f) for f in ("factor", "low_freq_factor", "high_freq_factor")
    )
    before = _real(rule, "original_max_position_embeddings")
    frequency = rotary_frequencies(theta, head_dim)  # [half]
    turns = before * frequency / (2 * math.pi)  # within the context of old
    share = np.clip((turns - low) / (high - low), 0, 1)  # 1 = left alone
    return tuple((1 / ((1 - share) / factor + share)).tolist())


def _rope(told: Mapping, head_dim: int) -> tuple[float, tuple[float, ...]]:
    """Base of the rotary positions, and what their frequencies are divided by."""
    rule = told.get("rope_parameters") or told["rope_scaling"] or {}
    kind = rule.get("rope_type", rule.get("type", "default"))
    theta = _real(
        {"rope_theta": rule.get("rope_theta", told["rope_theta"])}, "rope_theta"
    )
    if _real(rule, "partial_rotary_factor", 1.0) != 1.0:
        raise unsupported("partial_rotary_factor", rule["partial_rotary_factor"], [1.0])
    if kind == "default":
        return theta, ()
    if kind == "linear":
        return theta, (_real(rule, "factor"),) * (head_dim // 2)
    if kind == "llama3":
        return theta, llama3_factors(theta, head_dim, rule)
    raise unsupported("rope_type", kind, ("default", "linear", "llama3"))


def _mixers(told: Mapping, layers: int) -> tuple[tuple[str, ...], int | None]:
    """The mixer of each layer (of one kind: once), and the window if there is one."""
    window = told.get("sliding_window")
    if not told.get("use_sliding_window", True):
        window = None
    if window is not None:
        window = _whole(told, "sliding_window")
    first = told.get("max_window_layers", 0)
    names = ["window" if window and i >= first else "full" for i in range(layers)]
    if told["layer_types"] and told["model_type"] != "mistral":
        names = [_layer_type(one, window) for one in told["layer_types"]]
    if "no_rope_layers" in told:
        names = _without_positions(told, names, window)
    if len(names) != layers:
        raise ValueError(
            f"layer_types has {len(names)} entries, num_hidden_layers is {layers}."
        )
    pattern = names[:1] if len(set(names)) == 1 else names
    return tuple(pattern), window if "window" in names else None


def _layer_type(name: str, window: int | None) -> str:
    known = {"full_attention": "full"} | (
        {"sliding_attention": "window"} if window else {}
    )
    if name not in known:
        raise unsupported("layer_types", name, known)
    return known[name]


def _without_positions(told: Mapping, names: list[str], window) -> list[str]:
    """SmolLM3: layers whose entry in `no_rope_layers` is 0 have no positions."""
    if window:
        raise unsupported("use_sliding_window", True, [False])
    every, turns = told["no_rope_layer_interval"], told["no_rope_layers"]
    if turns is None:
        turns = [(i + 1) % every for i in range(len(names))]
    return ["full" if turn else "unplaced" for turn in turns]


def _tokenizer(folder: Path, described: Mapping) -> tuple[str, int]:
    """The tokenizer's definition ("" without a file), and the token that starts a text.

    A text starts as the tokenizer starts it. One that puts nothing in front was trained
    on documents behind `<|endoftext|>`, if there is such a token.
    """
    path, own = folder / "tokenizer.json", described.get("bos_token_id")
    own = own[0] if isinstance(own, list) and own else own
    if not path.exists():
        return "", 0 if own is None else own
    rules = folder / "tokenizer_config.json"
    adds = _read_json(rules).get("add_bos_token") if rules.exists() else None
    vocab = _whole(described, "vocab_size")
    return vocabulary.from_json(_read_json(path), bos=own, adds_bos=adds, vocab=vocab)


def _open_weights(folder: Path) -> list[tensors.Tensors]:
    whole, index = (folder / name for name in WEIGHTS)
    if whole.exists():
        return [tensors.Tensors(whole)]
    if not index.exists():
        raise FileNotFoundError(
            f"{folder} has neither {' nor '.join(WEIGHTS)}; weights in other formats "
            "(.bin, .pth) are not read."
        )
    told = _read_json(index).get("weight_map")
    if not isinstance(told, dict) or not all(isinstance(f, str) for f in told.values()):
        raise ValueError(f"{index} is damaged: it has no weight_map.")
    files = sorted({Path(file).name for file in told.values()})
    if missing := [name for name in files if not (folder / name).exists()]:
        raise FileNotFoundError(
            f"{folder} lacks {len(missing)} of {len(files)} files with weights, such "
            f"as {missing[0]}; download it again."
        )
    return [tensors.Tensors(folder / name) for name in files]


def _read_json(path: Path) -> dict:
    if not path.exists():
        raise FileNotFoundError(
            f"There is no {path}: a model's folder has config.json, safetensors and "
            "tokenizer.json."
        )
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: it holds no fields.")
    return found


def _whole(told: Mapping, field: str, default: int | None = None) -> int:
    value, most = told.get(field), MOST.get(field, WIDTH)
    value = default if value is None else value
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not 1 <= value <= most:
        raise ValueError(
            f"{field} is {value!r}: it should be a whole number from 1 to {most:,}."
        )
    return value


def _real(told: Mapping, field: str, default: float | None = None) -> float:
    value = told.get(field, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{field} is {value!r}: it should be a number.")
    return float(value)
