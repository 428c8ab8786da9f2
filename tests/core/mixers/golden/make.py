"""What the published PyTorch layers compute: a few small arrays for each mixer.

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch transformers
    /tmp/torch/bin/python tests/core/golden/make.py

writes `mamba2.npz`, `gated_delta.npz` and `kv_binding.npz` beside this file, which is
all that the tests read: they need no PyTorch. Made with torch 2.14.1 and transformers
5.23.0. `weight.NAME` are a layer's weights, `x` its input, `y` its output, all without
a batch axis.

Mamba 2 is transformers' `Mamba2Mixer`; Gated DeltaNet its `Qwen3NextGatedDeltaNet`, and
its two bare rules, by chunks and token by token. The authors of LaCT (arXiv 2505.23884)
publish no installable layer, so that one is written here from their equations: loops,
and the inner gradients by automatic differentiation. Their `block_causal_lact_swiglu`
gave the same memory's answers in float64 when this was written; the sliding window
beside it, and the sum of both, follow their layer.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional


HERE = Path(__file__).parent
SEQ, D_MODEL = 21, 8


def save(name, **arrays):
    """One file of arrays in half of what float64 would take."""
    arrays = {key: np.asarray(a, np.float32) for key, a in arrays.items()}
    np.savez_compressed(HERE / f"{name}.npz", **arrays)


def weights_of(layer):
    """Every parameter of a layer under `weight.NAME`."""
    found = layer.named_parameters()
    return {f"weight.{name}": p.detach().numpy() for name, p in found}


def shake(layer, scale=0.5):
    """Random values for every parameter, so that none is left at a special one."""
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return layer.eval()


@torch.no_grad()
def mamba2():
    """The published mixer in evaluation mode; two chunks and a ragged end."""
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    config = Mamba2Config(
        hidden_size=D_MODEL,
        num_heads=4,
        head_dim=4,
        expand=2,
        state_size=6,
        n_groups=1,
        conv_kernel=4,
        chunk_size=8,
        use_bias=False,
        num_hidden_layers=1,
    )
    layer = shake(Mamba2Mixer(config, layer_idx=0))
    x = torch.randn(1, SEQ, D_MODEL)
    save("mamba2", x=x[0], y=layer(x)[0], **weights_of(layer))


@torch.no_grad()
def gated_delta():
    """The published layer, and its rule alone from a memory that is not empty."""
    from transformers import Qwen3NextConfig
    from transformers.models.qwen3_next import modeling_qwen3_next as published

    config = Qwen3NextConfig(
        hidden_size=D_MODEL,
        linear_num_value_heads=2,
        linear_num_key_heads=2,
        linear_key_head_dim=6,
        linear_value_head_dim=4,
        linear_conv_kernel_dim=4,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        rms_norm_eps=1e-6,
    )
    layer = shake(published.Qwen3NextGatedDeltaNet(config, layer_idx=0))
    x = torch.randn(1, SEQ, D_MODEL)
    rule = {
        "query": torch.randn(1, SEQ, 2, 6),
        "key": torch.randn(1, SEQ, 2, 6),
        "value": torch.randn(1, SEQ, 2, 4),
        "g": -torch.rand(1, SEQ, 2),
        "beta": torch.rand(1, SEQ, 2),
        "initial_state": torch.randn(1, 2, 6, 4),
    }
    switches = {"output_final_state": True, "use_qk_l2norm_in_kernel": True}
    chunked = published.torch_chunk_gated_delta_rule(**rule, **switches, chunk_size=8)
    stepped = published.torch_recurrent_gated_delta_rule(**rule, **switches)
    found = {"chunked": chunked, "stepped": stepped}
    outputs = {f"rule.{way}.y": y[0] for way, (y, _) in found.items()}
    outputs |= {f"rule.{way}.memory": memory[0] for way, (_, memory) in found.items()}
    inputs = {f"rule.{name}": a[0] for name, a in rule.items()}
    arrays = inputs | outputs | weights_of(layer)
    save("gated_delta", x=x[0], y=layer(x)[0], **arrays)


def kv_binding(heads=2, chunk=5, window=7, theta=10_000.0):
    """LaCT from its equations, in float64: one token and one head at a time."""
    width, hidden = D_MODEL // heads, 6
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64) * 0.5
    square = lambda: draw(D_MODEL, D_MODEL)
    w = {name: square() for name in ("wq", "wk", "wv", "wo")}
    w |= {
        name: 1 + draw(D_MODEL) for name in ("q_norm", "k_norm", "q_scale", "k_scale")
    }
    w |= {name: draw(D_MODEL) for name in ("q_offset", "k_offset")}
    w |= {"w0": draw(heads, hidden, width), "w2": draw(heads, hidden, width)}
    w |= {"w1": draw(heads, width, hidden), "norm": 1 + draw(width)}
    w |= {"rate": draw(D_MODEL, 3 * heads), "rate_bias": draw(3 * heads) - 2}
    w |= {"momentum": draw(D_MODEL, heads), "momentum_bias": draw(heads)}
    w |= {"share": draw(D_MODEL, heads), "share_bias": draw(heads)}
    x = 2 * draw(SEQ, D_MODEL)

    rms = lambda a: a / torch.sqrt(a.pow(2).mean(-1, keepdim=True) + 1e-6)
    q, k, v = x @ w["wq"], x @ w["wk"], x @ w["wv"]
    q, k = rms(q) * w["q_norm"], rms(k) * w["k_norm"]
    near = attended(*(a.view(SEQ, heads, width) for a in (q, k, v)), window, theta)
    q, k = q * w["q_scale"] + w["q_offset"], k * w["k_scale"] + w["k_offset"]
    q, k, v = (functional.silu(a).view(SEQ, heads, width) for a in (q, k, v))
    q, k = (a / (a.norm(dim=-1, keepdim=True) + 1e-5) for a in (q, k))
    q, k = rotated(q, theta), rotated(k, theta)
    rate = functional.softplus(x @ w["rate"] + w["rate_bias"]).view(SEQ, heads, 3)
    kept = torch.sigmoid(x @ w["momentum"] + w["momentum_bias"])

    answers = torch.zeros(SEQ, heads, width, dtype=torch.float64)
    for head in range(heads):
        start = [w[name][head] for name in ("w0", "w1", "w2")]
        now, speed = list(start), [torch.zeros_like(a) for a in start]
        for begin in range(0, SEQ, chunk):
            tokens = range(begin, min(begin + chunk, SEQ))
            for t in tokens:
                answers[t, head] = swiglu(now, q[t, head])
            gained = [torch.zeros_like(a) for a in start]
            for t in tokens:
                slopes = uphill(now, k[t, head], v[t, head])
                for i in range(3):  # rates come in the order w0, w1, w2
                    gained[i] += rate[t, head, i] * slopes[i]
            share = torch.stack([kept[t, head] for t in tokens]).mean()
            speed = [g + share * s for g, s in zip(gained, speed, strict=True)]
            moved = [a + s for a, s in zip(now, speed, strict=True)]
            now = [
                a / (a.norm(dim=1, keepdim=True) + 1e-5) * b.norm(dim=1, keepdim=True)
                for a, b in zip(moved, start, strict=True)
            ]
    share = functional.silu(x @ w["share"] + w["share_bias"])
    y = near + rms(answers) * w["norm"] * share[..., None]
    y = y.reshape(SEQ, D_MODEL) @ w["wo"]
    save("kv_binding", x=x, y=y, **{f"weight.{name}": a for name, a in w.items()})


def swiglu(weights, x):
    """`w1 (silu(w0 x) * (w2 x))`."""
    w0, w1, w2 = weights
    return w1 @ (functional.silu(w0 @ x) * (w2 @ x))


def uphill(weights, key, value):
    """Gradients of `<f(key), value>` with respect to w0, w1 and w2."""
    leaves = [a.detach().requires_grad_() for a in weights]
    return torch.autograd.grad(swiglu(leaves, key) @ value, leaves)


def attended(q, k, v, window, theta):
    """Softmax attention of each token to the last `window` ones, itself included."""
    q, k, y = rotated(q, theta), rotated(k, theta), torch.zeros_like(v)
    for t in range(len(q)):
        seen = slice(max(0, t + 1 - window), t + 1)
        scores = torch.einsum("hd,shd->hs", q[t], k[seen]) / q.shape[-1] ** 0.5
        y[t] = torch.einsum("hs,shd->hd", scores.softmax(-1), v[seen])
    return y


def rotated(a, theta):
    """Rotary positions on interleaved pairs, as everywhere in this lab."""
    half = torch.arange(0, a.shape[-1], 2, dtype=torch.float64) / a.shape[-1]
    angle = torch.arange(len(a), dtype=torch.float64)[:, None] * theta**-half
    turn = torch.polar(torch.ones_like(angle), angle)[:, None]
    pairs = torch.view_as_complex(a.reshape(*a.shape[:-1], -1, 2).contiguous())
    return torch.view_as_real(pairs * turn).reshape(a.shape)


if __name__ == "__main__":
    torch.manual_seed(0)
    mamba2()
    gated_delta()
    kv_binding()
