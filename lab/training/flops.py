"""How many floating-point operations does a training token need? Counted, not measured.

Only matrix products count, two operations per multiply-add, and only those that the
mathematics needs: nothing recomputed, no masked half of a score matrix, no band wider
than the window. So the count is the same for every implementation, and a speed in these
operations is a fair share of a machine's peak.

Per token, with `d` = d_model, `kv` = kv_heads * head_dim, and `keys` the mean number of
keys that a token sees (`min(t + 1, window)`, or `t + 1` in full attention):

    mixer        4 d (d + kv)  projections     + 4 keys d  scores and weighted values
    mamba2       2 d (3 v + 2 n + heads)           + 4 n v   written, read
    gated_delta  2 d (3 v + 2 n heads + 2 heads)   + 6 n v   asked, written, read
    kv_binding   2 d (4 d + 5 heads)  + 4 keys d   + 6 d w   answered (bound: 12)
    MLP          6 d d_ff      or 6 d d_fast
    head         2 d vocab

with `v = expand d`, `n` = state_dim, and `w` the hidden width of a binding head.

*Plain training*: the backward pass has two products for each of the forward pass, one
for its input and one for its weights; altogether 3 x forward.

*Meta-training* adds the inner backward pass, from the head down to the lowest fast MLP:

    head, slow MLPs        their forward cost again: the gradient of the input only
    fast MLPs              twice their forward cost: input and weights; in the lowest
                           fast block the input of `gate` and `up` needs no gradient
    mixers above the       their forward cost again, and for attention the scores and
    lowest fast MLP        queries over `keys`, keys and values over the token's own
                           chunk (earlier chunks are data to this one); for a
                           recurrence twice its forward cost, as both factors of each
                           product are this chunk's; for answers of kv_binding once, as
                           their weights are data until the chunk is bound

The outer backward pass then has two products for each of the forward *and* of the inner
backward pass: 3 x (forward + inner). Blocks below the first fast one have no inner
backward pass, and neither has the last chunk, whose update is never used.
"""

import dataclasses


METHODS = ("meta", "plain")
# Products of a recurrence, per token; for kv_binding the products of an answer.
RECURRENCES = {
    "mamba2": lambda c: round(4 * c.expand * c.d_model * c.state_dim),
    "gated_delta": lambda c: round(6 * c.expand * c.d_model * c.state_dim),
    "kv_binding": lambda c: round(6 * c.expand * c.d_model * c.head_dim),
}


@dataclasses.dataclass(frozen=True)
class Flops:
    """Floating-point operations per token of one training step, by pass.

    Attributes:
        forward: the loss.
        inner: the inner gradient.
        backward: the outer gradient.
    """

    forward: float
    inner: float
    backward: float

    @property
    def total(self) -> float:
        """All three passes."""
        return self.forward + self.inner + self.backward


def train_flops_per_token(config, seq: int, method: str = "meta") -> float:
    """Useful floating-point operations per token of one outer step.

    Args:
        config: a `ModelConfig`.
        seq: tokens of a training sequence.
        method: "meta" differentiates through learning while reading (which adds nothing
            for a configuration that does not learn), "plain" trains without learning.

    **Raises** `ValueError` for another method, `seq < 1` or a mixer without a count.

    >>> train_flops_per_token(ttt.preset("tiny-e2e"), 2048) / 1e6  # about 22
    """
    return count_flops(config, seq, method).total


def count_flops(config, seq: int, method: str = "meta") -> Flops:
    """`train_flops_per_token` by pass: forward, inner gradient, outer gradient."""
    if method not in METHODS:
        raise ValueError(f"`method` must be {' or '.join(METHODS)}: got {method!r}.")
    if seq < 1:
        raise ValueError(f"`seq` must be >= 1: got {seq}.")
    forward, inner = _forward(config, seq), 0
    if method == "meta" and config.learns:
        inner = _inner(config, (-(-seq // config.chunk) - 1) * config.chunk)
    return Flops(forward / seq, inner / seq, 2 * (forward + inner) / seq)


def total_keys(kind: str, window: int, tokens: int) -> int:
    """Total number of keys that the first `tokens` of a sequence see, by mixer."""
    if kind in ("none", "mamba2", "gated_delta"):
        return 0
    if kind not in ("window", "full", "kv_binding"):
        raise ValueError(
            f"the operations of the mixer {kind!r} are not counted yet; add them to "
            "lab/training/flops.py."
        )
    reach = tokens if kind == "full" else min(tokens, window)
    return reach * (reach + 1) // 2 + (tokens - reach) * reach


def _forward(config, tokens: int) -> int:
    blocks = sum(
        _attention(config, total_keys(kind, config.window, tokens))
        + _recurrence(config, kind, tokens)
        + tokens * (_projections(config, kind) + _mlp(config, config.d_ff))
        for kind in config.kinds
    )
    fast = config.fast_blocks * _mlp(config, config.d_fast)
    return blocks + tokens * (fast + _head(config))


def _inner(config, tokens: int) -> int:
    """Operations of the inner backward pass over the first `tokens`, whole chunks."""
    own = (tokens // config.chunk) * total_keys("full", 0, config.chunk)
    total = tokens * _head(config)
    for i, kind in enumerate(config.kinds[-config.fast_blocks :]):
        total += tokens * (_mlp(config, config.d_ff) + 2 * _mlp(config, config.d_fast))
        if i == 0:
            total -= tokens * 4 * config.d_model * config.d_fast
            continue
        total += tokens * _projections(config, kind)
        if kind in RECURRENCES:
            total += _inner_recurrence(config, kind, tokens)
        if keys := total_keys(kind, config.window, tokens):
            total += _attention(config, keys + own)
    return total


def _projections(config, kind: str) -> int:
    d, heads = config.d_model, config.heads
    values = round(config.expand * d)
    kv = config.kv_heads * config.head_dim
    widths = {
        "none": 0,
        "mamba2": 3 * values + 2 * config.state_dim + round(config.expand * heads),
        "gated_delta": 3 * values + 2 * heads * config.state_dim + 2 * heads,
        "kv_binding": 4 * d + 5 * heads,
    }
    return 2 * d * widths.get(kind, 2 * (d + kv))


def _recurrence(config, kind: str, tokens: int) -> int:
    """Operations on the first `tokens`; what the last of them bind is never used."""
    if kind not in RECURRENCES:
        return 0
    each = RECURRENCES[kind](config)
    if kind != "kv_binding":
        return each * tokens
    bound = (-(-tokens // config.bind_every) - 1) * config.bind_every
    return each * (tokens + 2 * max(bound, 0))


def _inner_recurrence(config, kind: str, tokens: int) -> int:
    each = RECURRENCES[kind](config)
    if kind != "kv_binding":
        return 2 * each * tokens
    chunks = tokens // config.chunk
    bound = (-(-config.chunk // config.bind_every) - 1) * config.bind_every
    after = config.chunk - config.bind_every if bound > 0 else 0
    return each * (tokens + chunks * (4 * max(bound, 0) + after))


def _attention(config, keys: int) -> int:
    return 4 * keys * config.d_model


def _mlp(config, width: int) -> int:
    return 6 * config.d_model * width


def _head(config) -> int:
    return 2 * config.d_model * config.vocab
