"""A Transformer without test-time training in plain NumPy, float64: a second opinion.

Loops and full masks, absolute positions, one sequence. Nothing is taken from `ttt_core`
but the weights.
"""

import numpy as np


def token_nll(model, tokens, window):
    """Nats of `tokens[1:]`; `window` keys are seen, itself included (None = all)."""
    config, x = model.config, np.asarray(model.embed, np.float64)[tokens[:-1]]
    for block, fast in _blocks(model):
        x = _block(config, block, fast, x, window)
    x = _norm(x, model.final_norm, config)
    head = np.asarray(model.embed).T if model.head is None else np.asarray(model.head)
    logits = x @ head.astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    chosen = logits[np.arange(len(x)), tokens[1:]]
    return np.log(np.exp(logits).sum(-1)) - chosen


def attention(q, k, v, window, theta):
    """`q [seq, heads, width]`, fewer key heads are shared by neighbours; no state."""
    seq, heads, width = q.shape
    group = heads // k.shape[1]
    q, k = rotate(q, np.arange(seq), theta), rotate(k, np.arange(seq), theta)
    out = np.zeros_like(q)
    for head in range(heads):
        for t in range(seq):
            first = 0 if window is None else max(0, t - window + 1)
            keys, values = (a[first : t + 1, head // group] for a in (k, v))
            scores = keys @ q[t, head] / np.sqrt(width)
            weights = np.exp(scores - scores.max())
            out[t, head] = weights @ values / weights.sum()
    return out


def rotate(x, positions, theta):
    """Rotary positions on interleaved pairs, as complex numbers."""
    width = x.shape[-1]
    angle = positions[:, None] * theta ** (-np.arange(0, width, 2) / width)
    turned = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angle)[:, None, :]
    return np.stack([turned.real, turned.imag], -1).reshape(x.shape)


def _blocks(model):
    """`(arrays of one block, its fast MLP or None)` in the order of the layers."""
    at = 0
    for stacks, is_fast in ((model.slow_stacks, False), (model.fast_stacks, True)):
        for stack in stacks:
            for row in range(stack.repeats):
                for block in stack.unit:
                    fast = _pick(model.fast_mlps, at) if is_fast else None
                    yield _pick(block, row), fast
                    at += is_fast


def _pick(tree, row):
    import jax

    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64)[row], tree)


def _block(config, block, fast, x, window):
    if block.around_mixer is not None:
        y = _mix(config, block.mixer, _norm(x, block.around_mixer.pre, config), window)
        x = _add(config, block.around_mixer, x, y)
    if fast is not None:
        y = _mlp(fast, _norm(x, block.around_fast.pre, config))
        x = _add(config, block.around_fast, x, y)
    if block.around_slow is not None:
        y = _mlp(block.slow_mlp, _norm(x, block.around_slow.pre, config))
        x = _add(config, block.around_slow, x, y)
    return x


def _mix(config, mixer, x, window):
    weights = mixer.projections
    split = lambda y, heads: y.reshape(len(x), heads, config.head_dim)
    filters = weights.filters or (None, None, None)
    project = lambda w, near: x @ w if near is None else _near(x @ w, near.kernel)
    q = split(project(weights.wq, filters[0]), config.heads)
    pairs = zip((weights.wk, weights.wv), filters[1:], strict=True)
    k, v = (split(project(*pair), config.kv_heads) for pair in pairs)
    if config.qk_norm:
        q, k = _norm(q, weights.q_norm, config), _norm(k, weights.k_norm, config)
    window = window if hasattr(mixer, "window") else None
    y = attention(q, k, v, window, config.rope_theta)
    return y.reshape(len(x), -1) @ weights.wo


def _near(x, kernel):
    """`x` and, for each token, the weighted tokens up to it."""
    before = np.concatenate([np.zeros((len(kernel) - 1, x.shape[1])), x])
    sums = [kernel * before[t : t + len(kernel)] for t in range(len(x))]
    return x + np.stack(sums).sum(axis=1)


def _norm(x, norm, config):
    scale = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + config.norm_eps)
    return x / scale * np.asarray(norm.weight, np.float64)


def _add(config, around, x, y):
    return x + (_norm(y, around.post, config) if config.post_norm else y)


def _mlp(mlp, x):
    gate = x @ mlp.gate
    return (gate / (1 + np.exp(-gate)) * (x @ mlp.up)) @ mlp.down
