"""Fast weights for a model that was trained without any.

`with_fast_weights` takes a trained model (a pretrained language model, say) and makes
its last blocks learn while reading, in one of two ways, both exact at first: until the
first inner step the logits are those of the model with the attention that was asked
for.

    added      a second gated MLP in each of the blocks, as in the paper (section 2.3):
               its hidden units are copies of the block's own, its down-projection is
               zero, so it says nothing until it has learned something
    in place   the block's own MLP learns, and there is no second

Attention may become a sliding window, with attention sinks
(`ttt_core.mixers.sinks`): a pretrained model falls apart without them.

    model = with_fast_weights(full, fast_blocks=7, window=512, sinks=4, key=key)
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import MLP, build_mlp
from ttt_core.mixers import KINDS
from ttt_core.model import Transformer, unstack
from ttt_core.rules import RULES
from ttt_core.shapes import PyTree
from ttt_core.stacks import Block, Stack, Sublayer, plan_stacks


WINDOWED = ("full", "window", "sinks")  # mixers whose projections serve any window


def with_fast_weights(
    model: Transformer,
    *,
    fast_blocks: int,
    window: int | None = None,
    sinks: int = 0,
    chunk: int = 64,
    in_place: bool = False,
    d_fast: int | None = None,
    lr: float | None = None,
    clip: float | None = None,
    key: PRNGKeyArray,
) -> Transformer:
    """The model with its last `fast_blocks` blocks learning while it reads.

    Args:
        model: a model without fast blocks.
        fast_blocks: blocks that get fast weights, the last ones.
        window: keys that a token sees, itself included; None leaves attention as it is.
        sinks: first tokens that stay visible beyond the window; 0 = the paper's window.
        chunk: tokens between two inner steps.
        in_place: whether the blocks' own MLPs learn; else an MLP is added to each.
        d_fast: hidden width of the added MLPs (default: that of the model's own).
        lr, clip: inner rate and clip (default: the model's configuration's).
        key: decides which hidden units the added MLPs begin with.

    **Raises** `ValueError` for a model that has fast blocks already, for sinks without
    a window, for mixers that a window cannot replace, for `d_fast` together with
    `in_place`, and for numbers that do not fit the model.
    """
    _check(model.config, window, sinks, in_place, d_fast)
    config = _configure(
        model.config, fast_blocks, window, sinks, chunk, in_place, d_fast, lr, clip
    )
    blocks = [block for block, _ in unstack(model)]
    if window is not None:
        blocks = [_look_near(block, config) for block in blocks]
    boundary = config.layers - fast_blocks
    slow, last = blocks[:boundary], blocks[boundary:]
    if in_place:
        mlps, last = [block.slow_mlp for block in last], list(map(_give_up, last))
    else:
        keys = jax.random.split(key, fast_blocks)
        mlps = [_silent(config, b, k) for b, k in zip(last, keys, strict=True)]
        last = list(map(_make_room, last))
    return dataclasses.replace(
        model,
        slow_stacks=restack(slow, config.kinds[:boundary]),
        fast_stacks=restack(last, config.kinds[boundary:]),
        fast_mlps=_stacked(mlps) if mlps else (),
        rule=RULES[config.inner.rule](fast_blocks),
        config=config,
    )


def restack(blocks: list[Block], kinds: tuple[str, ...]) -> tuple[Stack, ...]:
    """Single blocks as stacks of repeating units: the inverse of `model.unstack`."""
    stacks, start = [], 0
    for unit, repeats in plan_stacks(kinds):
        size = len(unit)
        rows = [blocks[start + i : start + size * repeats : size] for i in range(size)]
        stacks.append(Stack(tuple(map(_stacked, rows)), repeats))
        start += size * repeats
    return tuple(stacks)


def _stacked(rows: list[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)


def _configure(
    config: ModelConfig,
    fast_blocks: int,
    window: int | None,
    sinks: int,
    chunk: int,
    in_place: bool,
    d_fast: int | None,
    lr: float | None,
    clip: float | None,
) -> ModelConfig:
    """The configuration of the model that learns."""
    changes = {"fast_blocks": fast_blocks, "chunk": chunk, "in_place": in_place}
    changes["d_fast"] = config.d_ff if d_fast is None else d_fast
    changes |= {k: v for k, v in (("lr", lr), ("clip", clip)) if v is not None}
    if window is not None:
        name = "sinks" if sinks else "window"
        mixers = [name if kind in WINDOWED else kind for kind in config.kinds]
        changes |= {"window": window, "mixers": _shortest(tuple(mixers))}
    if sinks:
        changes["sinks"] = sinks
    return config.replace(**changes)


def _shortest(mixers: tuple[str, ...]) -> tuple[str, ...]:
    """One name where all blocks have the same mixer."""
    return mixers[:1] if len(set(mixers)) == 1 else mixers


def _look_near(block: Block, config: ModelConfig) -> Block:
    """The block with the configuration's window around its own projections."""
    name = next(kind for kind in config.mixers if kind in WINDOWED)
    if not hasattr(block.mixer, "projections"):
        return block
    made = eqx.filter_eval_shape(KINDS[name].build, config, key=jax.random.key(0))
    mixer = dataclasses.replace(made, projections=block.mixer.projections)
    return dataclasses.replace(block, mixer=mixer)


def _give_up(block: Block) -> Block:
    """A block whose own MLP has become the fast one; its norms stay around it."""
    return dataclasses.replace(
        block, slow_mlp=None, around_fast=block.around_slow, around_slow=None
    )


def _make_room(block: Block) -> Block:
    """A block with norms for a second MLP: copies of those around its own."""
    own = block.around_slow or block.around_mixer
    return dataclasses.replace(block, around_fast=Sublayer(own.pre, own.post))


def _silent(config: ModelConfig, block: Block, key: PRNGKeyArray) -> MLP:
    """A gated MLP whose output is zero, with hidden units of the block's own.

    Random units of a pretrained model's size would hardly respond: its norms are
    small. Units beyond the block's own are random.
    """
    made = build_mlp(config.d_model, config.d_fast, config.init_std, key=key)
    if block.slow_mlp is not None:
        own, wanted = block.slow_mlp, min(config.d_ff, config.d_fast)
        chosen = jax.random.permutation(key, config.d_ff)[:wanted]
        copy = lambda into, weights: into.at[:, :wanted].set(
            weights[:, chosen].astype(into.dtype)
        )
        made = MLP(copy(made.gate, own.gate), copy(made.up, own.up), made.down)
    return dataclasses.replace(made, down=jnp.zeros_like(made.down))


def _check(
    config: ModelConfig,
    window: int | None,
    sinks: int,
    in_place: bool,
    d_fast: int | None,
):
    if config.fast_blocks:
        raise ValueError(
            f"this model has {config.fast_blocks} fast blocks already; give one "
            "without, such as a pretrained model as its authors published it."
        )
    if sinks and window is None:
        raise ValueError(
            f"`sinks` are what stays visible beyond a window: got sinks={sinks} and no "
            "window; give one, such as window=512."
        )
    others = sorted(set(config.kinds) - {*WINDOWED, "none"})
    if window is not None and others:
        raise ValueError(
            f"a window cannot replace {' and '.join(others)}: leave `window` out, and "
            "the mixers stay as they are."
        )
    if in_place and not config.d_ff:
        raise ValueError("`in_place` needs a model with MLPs: its `d_ff` is 0.")
    if in_place and d_fast is not None:
        raise ValueError(
            f"`d_fast` is the width of added MLPs: got d_fast={d_fast} with in_place, "
            "where the blocks' own MLPs learn; leave it out."
        )


def trained_parts(model: Transformer, part: str = "all") -> PyTree:
    """Which arrays a training changes: a tree like the model, of booleans.

    "all": every array. "fast": the fast MLPs (W0) and the norms around them, while the
    rest stays as it was pretrained; the blocks below need no backward pass then.

    **Raises** `ValueError` for another part, or for "fast" without fast weights.
    """
    if part not in PARTS:
        raise ValueError(f"`part` is one of {', '.join(PARTS)}: got {part!r}.")
    every = jax.tree.map(eqx.is_inexact_array, model)
    if part == "all":
        return every
    if not model.config.fast_blocks:
        raise ValueError("this model has no fast weights, so none can be trained.")
    none = jax.tree.map(lambda _: False, every)
    return eqx.tree_at(_fast_parts, none, _fast_parts(every))


PARTS = ("all", "fast")


def _fast_parts(model: Transformer) -> list[PyTree]:
    units = [block for stack in model.fast_stacks for block in stack.unit]
    return [model.fast_mlps, *(block.around_fast for block in units)]
