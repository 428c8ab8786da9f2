"""What attention weighs and costs: counted for `ttt_core.mixers.kind.Kind`.

Useful operations only, two for each multiply-add (`lab.training.flops` has the rules):
for each token `4 d (d + kv)` in the projections and `2 taps (d + 2 kv)` in their short
convolutions, and for each key that it sees `4 d` in scores and weighted values, with
`d` = d_model, which is also heads * head_dim unless `head_width` says otherwise, and
`kv` = kv_heads * head_dim.
"""

from ttt_core.config import ModelConfig


def count_weights(config: ModelConfig) -> int:
    """Entries of the four projections, and of the filters on three of them."""
    q, kv = (n * config.head_dim for n in (config.heads, config.kv_heads))
    return 2 * config.d_model * (q + kv) + config.qkv_taps * (q + 2 * kv)


def count_keys(tokens: int, window: int | None = None) -> int:
    """Keys seen by the first `tokens` together; `window=None`: all keys before."""
    seen = tokens if window is None else min(tokens, window)
    return seen * (seen + 1) // 2 + (tokens - seen) * seen


def keys_flops(config: ModelConfig, tokens: int, window: int | None = None) -> int:
    """Scores and weighted values of the first `tokens`, over all heads."""
    return 4 * config.heads * config.head_dim * count_keys(tokens, window)


def inner_keys_flops(
    config: ModelConfig, tokens: int, window: int | None = None
) -> int:
    """The same in the inner backward pass over `tokens`, which are whole chunks.

    Scores and queries over all keys, keys and values over the token's own chunk: what
    earlier chunks left is data to this one.
    """
    own = tokens // config.chunk * keys_flops(config, config.chunk)
    return keys_flops(config, tokens, window) + own


def attention_flops(config: ModelConfig, tokens: int, window: int | None = None) -> int:
    """Operations of an attention mixer on the first `tokens` of a sequence."""
    projections = 2 * tokens * count_weights(config)
    return projections + keys_flops(config, tokens, window)


def inner_attention_flops(
    config: ModelConfig, tokens: int, window: int | None = None
) -> int:
    """The same in the inner backward pass: the projections once, for their input."""
    projections = 2 * tokens * count_weights(config)
    return projections + inner_keys_flops(config, tokens, window)
