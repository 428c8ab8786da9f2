"""How many floating-point operations a training token is worth: counted, not measured.

Only products of matrices count, two operations a multiply-add, and only what the
mathematics needs: nothing recomputed, no masked half of a score matrix, no band wider
than the window. So the count is the same for every implementation, and its share of a
machine's peak says what that machine was good for.

Per token, with `d` = d_model:

    mixer        what the mixer says of itself (`ttt_core.mixers.kind.Kind.flops`)
    MLP          6 d d_ff      or 6 d d_fast
    head         2 d vocab

*Plain training*: the backward pass has two products for each of the forward pass, one
for its input and one for its weights; altogether 3 x forward.

*Meta-training* adds the inner backward pass, from the head down to the lowest fast MLP:

    head, slow MLPs        their forward cost again: the gradient of the input only
    fast MLPs              twice their forward cost: input and weights; in the lowest
                           fast block the input of `gate` and `up` needs no gradient
    mixers above the       what the mixer says (`Kind.inner_flops`): products with
    lowest fast MLP        weights their forward cost again; what earlier chunks left
                           is data to this one, so products with it have one gradient,
                           and products within the chunk have two

The outer backward pass then has two products for each of the forward *and* of the inner
backward pass: 3 x (forward + inner). Blocks below the first fast one have no inner
backward pass, and neither has the last chunk: its update is never used.
"""

import dataclasses

from ttt_core import ModelConfig
from ttt_core.mixers import kinds_of


METHODS = ("meta", "plain")


@dataclasses.dataclass(frozen=True)
class Flops:
    """Floating-point operations per token of one training step, by pass.

    `forward`: the loss. `inner`: the inner gradient. `backward`: the outer gradient.
    """

    forward: float
    inner: float
    backward: float

    @property
    def total(self) -> float:
        """All three passes."""
        return self.forward + self.inner + self.backward


def train_flops_per_token(
    config: ModelConfig, seq: int, method: str = "meta", trained: str = "all"
) -> float:
    """Useful floating-point operations per token of one outer step.

    Args:
        config: the model.
        seq: tokens of a training sequence.
        method: "meta" differentiates through learning while reading (a configuration
            that does not learn has nothing to add), "plain" trains without it.
        trained: "all", or "fast": W0 alone, and no outer backward pass goes below the
            first fast block.

    **Raises** `ValueError` for another method or `seq < 1`.

    >>> train_flops_per_token(ttt.preset("tiny-e2e"), 2048) / 1e6  # about 22
    """
    return count_flops(config, seq, method, trained).total


def count_flops(
    config: ModelConfig, seq: int, method: str = "meta", trained: str = "all"
) -> Flops:
    """`train_flops_per_token` by pass: forward, inner gradient, outer gradient."""
    if method not in METHODS:
        raise ValueError(f"`method` is one of {', '.join(METHODS)}: got {method!r}.")
    if seq < 1:
        raise ValueError(f"`seq` must be >= 1: got {seq}.")
    forward, inner = _forward(config, seq), 0
    if method == "meta" and config.learns:
        inner = _inner(config, (-(-seq // config.chunk) - 1) * config.chunk)
    below = _below(config, seq) if trained == "fast" else 0
    return Flops(forward / seq, inner / seq, 2 * (forward - below + inner) / seq)


def _forward(config: ModelConfig, tokens: int) -> int:
    mixers = sum(kind.flops(config, tokens) for kind in kinds_of(config))
    alone = config.fast_blocks if config.in_place else 0
    slow = (config.layers - alone) * _mlp(config, config.d_ff)
    fast = config.fast_blocks * _mlp(config, config.d_fast)
    return mixers + tokens * (slow + fast + _head(config))


def _below(config: ModelConfig, tokens: int) -> int:
    """The forward pass of the blocks below the first fast one."""
    blocks = kinds_of(config)[: config.layers - config.fast_blocks]
    mixers = sum(kind.flops(config, tokens) for kind in blocks)
    return mixers + tokens * len(blocks) * _mlp(config, config.d_ff)


def _inner(config: ModelConfig, tokens: int) -> int:
    """The inner backward pass over the first `tokens`, whole chunks."""
    _, *above = kinds_of(config)[-config.fast_blocks :]
    mixers = sum(kind.inner_flops(config, tokens) for kind in above)
    own = 0 if config.in_place else _mlp(config, config.d_ff)
    mlps = own + 2 * _mlp(config, config.d_fast)
    not_needed = 4 * config.d_model * config.d_fast
    each = config.fast_blocks * mlps + _head(config) - not_needed
    return mixers + tokens * each


def _mlp(config: ModelConfig, width: int) -> int:
    return 6 * config.d_model * width


def _head(config: ModelConfig) -> int:
    return 2 * config.d_model * config.vocab
