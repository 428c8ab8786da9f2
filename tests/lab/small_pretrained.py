"""A small pretrained model to import: a folder as Hugging Face lays it out."""

import json

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lab import tensors
from lab.tensors import Spec


SIZES = {
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
}
SPECIAL = ("<|endoftext|>", "<|start|>")
TEXT = "the fog came in on little cat feet and looked over harbor and city " * 20


def train_tokenizer(entries=290, text=TEXT, special=SPECIAL) -> dict:
    """The contents of a tokenizer.json, special tokens first."""
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator([text], trainer)
    return json.loads(model.to_str())


def arrays(described: dict, seed=0) -> dict[str, np.ndarray]:
    """Random weights of a Llama of these sizes."""
    d, ff, vocab = (described[f"{n}_size"] for n in ("hidden", "intermediate", "vocab"))
    kv = d // described["num_attention_heads"] * described["num_key_value_heads"]
    shapes = {"model.embed_tokens.weight": (vocab, d), "model.norm.weight": (d,)}
    if not described["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocab, d)
    for i in range(described["num_hidden_layers"]):
        rows = {"q": d, "k": kv, "v": kv, "o": d}
        at = f"model.layers.{i}."
        shapes |= {f"{at}self_attn.{n}_proj.weight": (m, d) for n, m in rows.items()}
        shapes |= {f"{at}mlp.{n}_proj.weight": (ff, d) for n in ("gate", "up")}
        shapes[f"{at}mlp.down_proj.weight"] = (d, ff)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{at}{norm}.weight"] = (d,)
    random = np.random.default_rng(seed)
    draw = lambda shape: 0.2 * random.normal(size=shape) + (len(shape) == 1)
    return {name: draw(shape).astype(np.float32) for name, shape in shapes.items()}


def write_arrays(path, found: dict[str, np.ndarray]):
    """A safetensors file."""
    specs = {name: Spec(a.dtype.name, a.shape) for name, a in found.items()}
    tensors.write(path, specs, found.__getitem__)


def write_folder(folder, **changes):
    """config.json, model.safetensors and tokenizer.json in a new folder."""
    folder.mkdir(parents=True)
    described = SIZES | changes
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "tokenizer.json").write_text(json.dumps(train_tokenizer()))
    write_arrays(folder / "model.safetensors", arrays(described))
    return folder
