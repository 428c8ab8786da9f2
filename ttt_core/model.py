"""The model: embed -> slow blocks -> fast blocks -> logits.

    block:  x += post(mixer(pre(x)))
            x += post(fast_mlp(pre(x)))      only in the last `fast_blocks` blocks
            x += post(slow_mlp(pre(x)))      each with RMSNorms of its own

Blocks below the first fast one see no weights that change while reading, so they run
once over a whole sequence in training (`run_slow`); the rest runs chunk by chunk under
the evolving weights (`run_fast`).

Blocks are kept in *stacks*: a repeating unit of block kinds, its parameters and states
stacked over the repeats and scanned, so that compile time does not grow with depth. The
fast MLPs of all blocks stand apart from the stacks, as one `MLP` whose arrays are
stacked over the fast blocks: that is what `ttt_core.fast.split` takes out.
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import (
    MLP,
    RMSNorm,
    at_least_float32,
    build_mlp,
    build_norm,
    normal,
)
from ttt_core.mixers import BUILDERS
from ttt_core.remat import keep_all
from ttt_core.rules import RULES, AbstractRule
from ttt_core.shapes import PyTree


# Stacks with fast MLPs are scanned only beyond so many repeats. Within the scan over
# chunks, a scan over few layers spends a fifth of a meta-gradient's time on stacking
# and slicing what the backward pass needs, and saves little to compile.
LOOPED = 2


class Sublayer(eqx.Module):
    """The norms around one residual branch: `x + post(branch(pre(x)))`."""

    pre: RMSNorm
    post: RMSNorm | None

    def add(self, x: Float[Array, "seq d_model"], y: Float[Array, "seq d_model"]):
        """`x` plus the branch's output."""
        return x + (y if self.post is None else self.post(y))


class Block(eqx.Module):
    """One block; its fast MLP, if it has one, is handed in with the call."""

    mixer: PyTree
    slow_mlp: MLP | None
    around_mixer: Sublayer | None
    around_fast: Sublayer | None
    around_slow: Sublayer | None

    def __call__(self, x: Float[Array, "seq d_model"], state: PyTree, fast_mlp):
        """`(x, mixer state) -> (x, mixer state)`."""
        if self.around_mixer is not None:
            y, state = self.mixer(self.around_mixer.pre(x), state)
            x = self.around_mixer.add(x, y)
        if self.around_fast is not None:
            x = self.around_fast.add(x, fast_mlp(self.around_fast.pre(x)))
        if self.around_slow is not None:
            x = self.around_slow.add(x, self.slow_mlp(self.around_slow.pre(x)))
        return x, state


class Stack(eqx.Module):
    """`repeats` times a unit of blocks, every array stacked over the repeats."""

    unit: tuple[Block, ...]
    repeats: int = eqx.field(static=True)

    def init_state(self, capacity: int, dtype) -> tuple[PyTree, ...]:
        """Mixer states before the first token, stacked like the parameters."""
        make = lambda block: (
            () if block.mixer is None else block.mixer.init_state(capacity, dtype)
        )
        stacked = eqx.filter_vmap(make, axis_size=self.repeats)
        return tuple(stacked(block) for block in self.unit)

    def __call__(self, x, states, fast_mlps, *, remat: Callable = keep_all):
        """Run the unit `repeats` times: a scan, or a loop over few (`LOOPED`).

        `states`: as from `init_state`, or None for a whole sequence without states.
        `fast_mlps`: this stack's share, `[repeats * len(unit), ...]`, or None.
        `remat`: what the backward pass keeps of each unit (`ttt_core.remat`).
        """
        size = len(self.unit)
        if fast_mlps is not None and self.repeats <= LOOPED:
            pick = lambda i: jax.tree.map(lambda w: w[i], fast_mlps)
            mlps = [pick(i) for i in range(self.repeats * size)]
            return self.loop(x, states, mlps, remat=remat)
        cut = lambda w: w.reshape(self.repeats, size, *w.shape[1:])

        def body(x, layer):
            unit, states, fast = layer
            mlps = [jax.tree.map(lambda w, i=i: w[i], fast) for i in range(size)]
            return _run_unit(unit, x, states, mlps)

        layers = (self.unit, states, jax.tree.map(cut, fast_mlps))
        return jax.lax.scan(remat(body), x, layers)

    def loop(self, x, states, fast_mlps: Sequence, *, remat: Callable = keep_all):
        """As a call, unit after unit without a scan, each block with an MLP of its own.

        `fast_mlps`: one callable pytree for each of the `repeats * len(unit)` blocks.
        """
        size, new = len(self.unit), []
        for i in range(self.repeats):
            unit, before = jax.tree.map(lambda a, i=i: a[i], (self.unit, states))
            mlps = fast_mlps[i * size : (i + 1) * size]
            x, after = remat(_run_unit)(unit, x, before, mlps)
            new.append(after)
        return x, jax.tree.map(lambda *rows: jnp.stack(rows), *new)


def _run_unit(unit: tuple[Block, ...], x, states, fast_mlps: Sequence):
    """The blocks of a unit, one after the other; `states` may be None."""
    new = []
    for i, block in enumerate(unit):
        state = None if states is None else states[i]
        x, state = block(x, state, fast_mlps[i])
        new.append(state)
    return x, None if states is None else tuple(new)


class MixerStates(eqx.Module):
    """The states of all mixers: of the slow blocks and of the fast ones."""

    slow: tuple[PyTree, ...]
    fast: tuple[PyTree, ...]


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
    boundary = config.layers - config.fast_blocks
    fast_mlps = ()
    if config.fast_blocks:
        keys = jax.random.split(k_mlps, config.fast_blocks)
        make = lambda key: build_mlp(d, config.d_fast, std, key=key)
        fast_mlps = eqx.filter_vmap(make)(keys)
    return Transformer(
        embed=normal(k_embed, (config.vocab, d), std),
        slow_stacks=_build_stacks(config, config.kinds[:boundary], False, k_slow),
        fast_stacks=_build_stacks(config, config.kinds[boundary:], True, k_fast),
        fast_mlps=fast_mlps,
        final_norm=build_norm(d, config.norm_eps),
        head=None if config.tied else normal(k_head, (d, config.vocab), std),
        rule=RULES[config.inner.rule](config.fast_blocks),
        config=config,
    )


def _build_stacks(config, kinds, is_fast: bool, key) -> tuple[Stack, ...]:
    stacks = []
    for unit, repeats in plan_stacks(kinds):
        key, use = jax.random.split(key)
        keys = jax.random.split(use, (repeats, len(unit)))
        make = lambda keys, unit=unit: tuple(
            _build_block(config, kind, is_fast, k)
            for kind, k in zip(unit, keys, strict=True)
        )
        stacks.append(Stack(eqx.filter_vmap(make)(keys), repeats))
    return tuple(stacks)


def _build_block(config: ModelConfig, kind: str, is_fast: bool, key) -> Block:
    k_mixer, k_slow = jax.random.split(key)
    d, std = config.d_model, config.init_std
    has_slow = config.d_ff > 0
    around = lambda wanted: _build_sublayer(config) if wanted else None
    return Block(
        mixer=BUILDERS[kind](config, key=k_mixer),
        slow_mlp=build_mlp(d, config.d_ff, std, key=k_slow) if has_slow else None,
        around_mixer=around(kind != "none"),
        around_fast=around(is_fast),
        around_slow=around(has_slow),
    )


def _build_sublayer(config: ModelConfig) -> Sublayer:
    norm = build_norm(config.d_model, config.norm_eps)
    return Sublayer(norm, norm if config.post_norm else None)


def plan_stacks(kinds: tuple[str, ...]) -> list[tuple[tuple[str, ...], int]]:
    """Cut a row of block kinds into repeating units, so that few bodies are compiled.

    >>> plan_stacks(("window",) * 4)
    [(('window',), 4)]
    >>> plan_stacks(("window", "window", "full") * 2 + ("window",))
    [(('window', 'window', 'full'), 2), (('window',), 1)]
    """
    if not kinds:
        return []
    options = []
    for size in range(1, len(kinds) + 1):
        unit, repeats = kinds[:size], 1
        while kinds[repeats * size : (repeats + 1) * size] == unit:
            repeats += 1
        options.append((-repeats * size, size, repeats))
        if repeats * size == len(kinds):
            break
    covered = [o for o in options if o[2] > 1] or [options[-1]]
    _, size, repeats = min(covered)
    return [(kinds[:size], repeats), *plan_stacks(kinds[size * repeats :])]


def init_states(model: Transformer, capacity: int) -> MixerStates:
    """Mixer states before the first token, with room for `capacity` tokens."""
    dtype = activation_dtype(model)
    start = lambda stacks: tuple(stack.init_state(capacity, dtype) for stack in stacks)
    return MixerStates(start(model.slow_stacks), start(model.fast_stacks))


def activation_dtype(model: Transformer):
    """bfloat16 where the configuration says so, else the parameters' own dtype."""
    return (
        jnp.bfloat16 if model.config.compute_dtype == "bfloat16" else model.embed.dtype
    )


def run_slow(
    model: Transformer,
    inputs: Int[Array, " seq"],
    states: tuple[PyTree, ...] | None,
    *,
    remat: Callable = keep_all,
):
    """Embedding and the blocks below the first fast one.

    `states=None` reads `inputs` as a whole sequence; `remat` says what the backward
    pass keeps of it (`ttt_core.remat`). Returns `(hidden [seq, d_model], states)`.
    """
    hidden = model.embed[inputs].astype(activation_dtype(model))
    return _run(model.slow_stacks, hidden, states, None, remat=remat)


def run_fast(
    model: Transformer,
    hidden: Float[Array, "seq d_model"],
    states: tuple[PyTree, ...] | None,
    *,
    remat: Callable = keep_all,
):
    """The blocks that carry fast MLPs. Returns `(hidden, states)`."""
    fast = model.fast_mlps or None
    return _run(model.fast_stacks, hidden, states, fast, remat=remat)


def _run(stacks, hidden, states, fast_mlps, *, remat):
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


def compute_logits(
    model: Transformer, hidden: Float[Array, "seq d_model"]
) -> Float[Array, "seq vocab"]:
    """Next-token logits in at least float32."""
    return _logits(model.final_norm, _head(model), hidden)


def _head(model: Transformer) -> Float[Array, "d_model vocab"]:
    return model.embed.T if model.head is None else model.head


def _logits(norm: RMSNorm, head, hidden):
    hidden = norm(hidden)
    return at_least_float32(hidden @ head.astype(hidden.dtype))


def cross_entropy(
    logits: Float[Array, "seq vocab"], targets: Int[Array, " seq"]
) -> Float[Array, " seq"]:
    """Negative log-likelihood of each target, nats."""
    chosen = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def token_nll(
    model: Transformer,
    hidden: Float[Array, "seq d_model"],
    targets: Int[Array, " seq"],
) -> Float[Array, " seq"]:
    """Negative log-likelihood of each target, nats.

    Called for one chunk at a time: `[seq, vocab]` logits exist while this runs. Scans
    over chunks recompute them in the backward pass (`ttt_core.remat`).
    """
    return cross_entropy(compute_logits(model, hidden), targets)
