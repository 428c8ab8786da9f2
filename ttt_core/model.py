"""The model: embed -> slow blocks -> fast blocks -> logits.

Blocks below the first fast one see no weights that change while reading, so they run
once over a whole sequence in training (`run_slow`); the rest runs chunk by chunk under
the evolving weights (`run_fast`). What a block is and how blocks are stacked:
`ttt_core.stacks`.

The fast MLPs of all blocks stand apart from the stacks, as one `MLP` whose arrays are
stacked over the fast blocks: that is what `ttt_core.fast.split` takes out.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import (
    MLP,
    RMSNorm,
    at_least_float32,
    build_mlp,
    build_norm,
    normal,
)
from ttt_core.remat import keep_all
from ttt_core.rules import RULES, AbstractRule
from ttt_core.shapes import DType, Hidden, PyTree, Tokens
from ttt_core.stacks import Block, Stack, build_stacks


class MixerStates(eqx.Module):
    """The states of all mixers, stack by stack: in slow blocks, and in fast ones."""

    slow_blocks: tuple[PyTree, ...]
    fast_blocks: tuple[PyTree, ...]


class Transformer(eqx.Module):
    """A whole model. `config` is static; everything else is arrays.

    `fast_mlps` is `()` in a model without fast blocks. `head` is None where the logits
    use the embedding (`config.tied`).
    """

    embed: Float[Array, "vocab d_model"]
    slow_stacks: tuple[Stack, ...]
    fast_stacks: tuple[Stack, ...]
    fast_mlps: MLP | tuple[()]
    final_norm: RMSNorm
    head: Float[Array, "d_model vocab"] | None
    rule: AbstractRule
    config: ModelConfig = eqx.field(static=True)


def build(config: ModelConfig, *, key: PRNGKeyArray) -> Transformer:
    """A freshly initialised model (`config.build(key=key)` is the public name)."""
    k_embed, k_slow, k_fast, k_mlps, k_head = jax.random.split(key, 5)
    d, std = config.d_model, config.init_std
    kinds, boundary = config.kinds, config.layers - config.fast_blocks
    fast_mlps = ()
    if config.fast_blocks:
        keys = jax.random.split(k_mlps, config.fast_blocks)
        make = lambda key: build_mlp(d, config.d_fast, std, key=key)
        fast_mlps = eqx.filter_vmap(make)(keys)
    return Transformer(
        embed=normal(k_embed, (config.vocab, d), std),
        slow_stacks=build_stacks(config, kinds[:boundary], is_fast=False, key=k_slow),
        fast_stacks=build_stacks(config, kinds[boundary:], is_fast=True, key=k_fast),
        fast_mlps=fast_mlps,
        final_norm=build_norm(d, config.norm_eps),
        head=None if config.tied else normal(k_head, (d, config.vocab), std),
        rule=RULES[config.inner.rule](config.fast_blocks),
        config=config,
    )


def init_states(model: Transformer, capacity: int) -> MixerStates:
    """Mixer states before the first token, with room for `capacity` tokens."""
    dtype = activation_dtype(model)
    start = lambda stacks: tuple(stack.init_state(capacity, dtype) for stack in stacks)
    return MixerStates(start(model.slow_stacks), start(model.fast_stacks))


def activation_dtype(model: Transformer) -> DType:
    """bfloat16 where the configuration says so, else the parameters' own dtype.

    That of parameters kept as bfloat16 is float32: they are rounded, sums are not.
    """
    own = model.embed.dtype
    if model.config.compute_dtype == "bfloat16":
        return jnp.bfloat16
    return own if jnp.finfo(own).bits >= 32 else jnp.float32


def run_slow(
    model: Transformer,
    inputs: Tokens,
    states: tuple[PyTree, ...] | None,
    *,
    remat: Callable = keep_all,
) -> tuple[Hidden, tuple[PyTree, ...] | None]:
    """Embedding and the blocks below the first fast one: `(hidden, states)`.

    `states=None` reads `inputs` as a whole sequence; `remat` says what the backward
    pass keeps of it (`ttt_core.remat`).
    """
    hidden = model.embed[inputs].astype(activation_dtype(model))  # [seq, d_model]
    return _run(model.slow_stacks, hidden, states, None, remat=remat)


def run_fast(
    model: Transformer,
    hidden: Hidden,
    states: tuple[PyTree, ...] | None,
    *,
    remat: Callable = keep_all,
) -> tuple[Hidden, tuple[PyTree, ...] | None]:
    """The blocks that carry fast MLPs: `(hidden, states)`."""
    fast = model.fast_mlps or None
    return _run(model.fast_stacks, hidden, states, fast, remat=remat)


def _run(
    stacks: tuple[Stack, ...],
    hidden: Hidden,
    states: tuple[PyTree, ...] | None,
    fast_mlps: MLP | None,
    *,
    remat: Callable,
) -> tuple[Hidden, tuple[PyTree, ...] | None]:
    """Stack after stack, each with its share of the fast MLPs."""
    new, start = [], 0
    for i, stack in enumerate(stacks):
        stop = start + stack.repeats * len(stack.unit)
        share = jax.tree.map(lambda w, a=start, b=stop: w[a:b], fast_mlps)
        state = None if states is None else states[i]
        hidden, state = stack(hidden, state, share, remat=remat)
        new.append(state)
        start = stop
    return hidden, None if states is None else tuple(new)


def unstack(model: Transformer) -> list[tuple[Block, MLP | None]]:
    """All blocks in order, each with its fast MLP (None where it has none).

    To look into them one by one: a forward pass runs the stacks.
    """
    row = lambda tree, i: jax.tree.map(lambda leaf: leaf[i], tree)
    blocks = [
        row(stack.unit, i)[place]
        for stack in (*model.slow_stacks, *model.fast_stacks)
        for i in range(stack.repeats)
        for place in range(len(stack.unit))
    ]
    slow = len(blocks) - model.config.fast_blocks
    mlps = [row(model.fast_mlps, i) for i in range(model.config.fast_blocks)]
    return list(zip(blocks, [None] * slow + mlps, strict=True))


def compute_logits(model: Transformer, hidden: Hidden) -> Float[Array, "seq vocab"]:
    """Next-token logits in at least float32."""
    head = model.embed.T if model.head is None else model.head  # [d_model, vocab]
    hidden = model.final_norm(hidden)
    return at_least_float32(hidden @ head.astype(hidden.dtype))


def cross_entropy(
    logits: Float[Array, "seq vocab"], targets: Tokens
) -> Float[Array, " seq"]:
    """Negative log-likelihood of each target, nats."""
    chosen = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def token_nll(
    model: Transformer, hidden: Hidden, targets: Tokens
) -> Float[Array, " seq"]:
    """Negative log-likelihood of each target, nats.

    Called for one chunk at a time: `[seq, vocab]` logits exist while this runs. Scans
    over chunks recompute them in the backward pass (`ttt_core.remat`).
    """
    return cross_entropy(compute_logits(model, hidden), targets)
