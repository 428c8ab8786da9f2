"""What `transformers` computes: a small random checkpoint of each architecture.

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch transformers
    /tmp/torch/bin/python tests/lab/interop/golden/make.py

writes a folder for each of `CASES` beside this file, as `save_pretrained` lays it out
(config.json, model.safetensors), and `expected.npz`: for each, `NAME.tokens [seq]` and
`NAME.logits [seq, vocab]`. The tests read these files and need no PyTorch. Made with
torch 2.13.0 and transformers 5.24.0.
"""

from pathlib import Path

import numpy as np
import torch
import transformers


HERE = Path(__file__).parent
SEQ = 40
SIZES = {
    "vocab_size": 48,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0}
CASES = {
    "llama": ("Llama", {"tie_word_embeddings": True, "rms_norm_eps": 1e-2}),
    "llama-untied": (
        "Llama",
        {"tie_word_embeddings": False, "rope_parameters": LINEAR},
    ),
    "llama3": ("Llama", {"head_dim": 8, "rope_parameters": LLAMA3}),
    "mistral": ("Mistral", {"sliding_window": 5}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen2-window": (
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", {"head_dim": 8}),
    "smollm3": ("SmolLM3", {"num_hidden_layers": 4}),
}
HALF = ("qwen2",)  # saved in bfloat16, computed in float32


@torch.no_grad()
def make(name, kind, changes):
    """One random model, saved, and its logits for random tokens."""
    torch.manual_seed(len(name))
    config = getattr(transformers, f"{kind}Config")(**SIZES | changes)
    family = getattr(transformers, f"{kind}ForCausalLM")
    model = family(config)
    for parameter in model.parameters():
        is_norm = parameter.ndim == 1
        torch.nn.init.normal_(parameter, mean=float(is_norm), std=0.3)
    if name in HALF:
        model = model.to(torch.bfloat16)
    model.save_pretrained(HERE / name)
    (HERE / name / "generation_config.json").unlink(missing_ok=True)
    tokens = torch.randint(0, config.vocab_size, (1, SEQ))
    how = {"dtype": torch.float32, "attn_implementation": "eager"}
    model = family.from_pretrained(HERE / name, **how).eval()
    logits = model(tokens).logits[0]
    return {f"{name}.tokens": tokens[0].numpy(), f"{name}.logits": logits.numpy()}


def main():
    """All cases."""
    found = {}
    for name, (kind, changes) in CASES.items():
        found |= make(name, kind, changes)
    arrays = {key: np.asarray(a, np.float32) for key, a in found.items()}
    np.savez_compressed(HERE / "expected.npz", **arrays)


if __name__ == "__main__":
    main()
