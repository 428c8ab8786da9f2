"""Blocks, and how they stack up: a repeating unit, run again and again.

    block:  x += post(mixer(pre(x)))
            x += post(fast_mlp(pre(x)))      only in the last `fast_blocks` blocks
            x += post(slow_mlp(pre(x)))      each with RMSNorms of its own

A *stack* is a unit of block kinds (one window block; or five window and one full), its
parameters and states stacked over the repeats and scanned, so that compile time does
not grow with depth. Fast MLPs stand apart from the stacks and are handed in with each
call (`ttt_core.model.Transformer.fast_mlps`).
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import MLP, RMSNorm, build_mlp, build_norm
from ttt_core.mixers import KINDS
from ttt_core.remat import keep_all
from ttt_core.shapes import DType, Hidden, PyTree


# Stacks with fast MLPs are scanned only beyond so many repeats. Within the scan over
# chunks, a scan over few layers spends a fifth of a meta-gradient's time on stacking
# and slicing what the backward pass needs, and saves little to compile.
LOOPED = 2


class Sublayer(eqx.Module):
    """The norms around one residual branch: `x + post(branch(pre(x)))`."""

    pre: RMSNorm
    post: RMSNorm | None

    def add(self, x: Hidden, y: Hidden) -> Hidden:
        """`x` plus the branch's output."""
        return x + (y if self.post is None else self.post(y))


class Block(eqx.Module):
    """One block: a mixer and a slow MLP, None where the block has none."""

    mixer: PyTree
    slow_mlp: MLP | None
    around_mixer: Sublayer | None
    around_fast: Sublayer | None
    around_slow: Sublayer | None

    def __call__(
        self, x: Hidden, state: PyTree, fast_mlp: Callable[[Hidden], Hidden] | None
    ) -> tuple[Hidden, PyTree]:
        """`(x, mixer state) -> (x, mixer state)`; `fast_mlp`: None in a slow block."""
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

    def init_state(self, capacity: int, dtype: DType) -> tuple[PyTree, ...]:
        """Mixer states before the first token, stacked like the parameters."""
        make = lambda block: (
            () if block.mixer is None else block.mixer.init_state(capacity, dtype)
        )
        stacked = eqx.filter_vmap(make, axis_size=self.repeats)
        return tuple(stacked(block) for block in self.unit)

    def __call__(
        self,
        x: Hidden,
        states: tuple[PyTree, ...] | None,
        fast_mlps: MLP | None,
        *,
        remat: Callable = keep_all,
    ) -> tuple[Hidden, tuple[PyTree, ...] | None]:
        """Run the unit `repeats` times: a scan, or a loop over few (`LOOPED`).

        `states`: as from `init_state`, or None for a whole sequence without states; the
        states afterwards are returned. `fast_mlps`: this stack's share, arrays of
        `[repeats * len(unit), ...]`, or None. `remat`: what the backward pass keeps of
        each unit (`ttt_core.remat`).
        """
        size = len(self.unit)
        if self.repeats <= (1 if fast_mlps is None else LOOPED):
            pick = lambda i: jax.tree.map(lambda w: w[i], fast_mlps)
            mlps = [pick(i) for i in range(self.repeats * size)]
            return self.loop(x, states, mlps, remat=remat)
        cut = lambda w: w.reshape(self.repeats, size, *w.shape[1:])

        # scanned over the repeats: the unit's parameters, states and fast MLPs
        def body(x, layer):
            unit, states, fast = layer
            mlps = [jax.tree.map(lambda w, i=i: w[i], fast) for i in range(size)]
            return _run_unit(unit, x, states, mlps)

        layers = (self.unit, states, jax.tree.map(cut, fast_mlps))
        return jax.lax.scan(remat(body), x, layers)

    def loop(
        self,
        x: Hidden,
        states: tuple[PyTree, ...] | None,
        fast_mlps: Sequence[Callable | None],
        *,
        remat: Callable = keep_all,
    ) -> tuple[Hidden, tuple[PyTree, ...] | None]:
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


def unroll(
    stacks: tuple[Stack, ...], states: tuple[PyTree, ...]
) -> tuple[tuple[Stack, ...], tuple[PyTree, ...]]:
    """Each repeat as a stack of its own, and its states: a program without scans.

    A scan takes each layer's weights and states out of the stacked arrays, which costs
    a copy of all weights for each call: much for one token, little for a chunk.
    """
    rows = [(n, i) for n, stack in enumerate(stacks) for i in range(stack.repeats)]
    row = lambda tree, i: jax.tree.map(lambda leaf: leaf[i : i + 1], tree)
    alone = tuple(Stack(row(stacks[n].unit, i), 1) for n, i in rows)
    return alone, tuple(row(states[n], i) for n, i in rows)


def roll(stacks: tuple[Stack, ...], states: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
    """The states of unrolled stacks, stacked as those of `stacks`."""
    rolled, start = [], 0
    for stack in stacks:
        rows = states[start : start + stack.repeats]
        rolled.append(jax.tree.map(lambda *a: jnp.concatenate(a), *rows))
        start += stack.repeats
    return tuple(rolled)


def _run_unit(
    unit: tuple[Block, ...],
    x: Hidden,
    states: tuple[PyTree, ...] | None,
    fast_mlps: Sequence[Callable | None],
) -> tuple[Hidden, tuple[PyTree, ...] | None]:
    """The blocks of a unit, one after the other."""
    new = []
    for i, block in enumerate(unit):
        state = None if states is None else states[i]
        x, state = block(x, state, fast_mlps[i])
        new.append(state)
    return x, None if states is None else tuple(new)


def build_stacks(
    config: ModelConfig, kinds: tuple[str, ...], *, is_fast: bool, key: PRNGKeyArray
) -> tuple[Stack, ...]:
    """Fresh stacks for a row of mixer names; `is_fast`: with norms for fast MLPs."""
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


def _build_block(
    config: ModelConfig, kind: str, is_fast: bool, key: PRNGKeyArray
) -> Block:
    k_mixer, k_slow = jax.random.split(key)
    d, std = config.d_model, config.init_std
    build_mixer = KINDS[kind].build
    has_slow = config.d_ff > 0 and not (is_fast and config.in_place)
    around = lambda wanted: _build_sublayer(config) if wanted else None
    return Block(
        mixer=build_mixer(config, key=k_mixer) if build_mixer else None,
        slow_mlp=build_mlp(d, config.d_ff, std, key=k_slow) if has_slow else None,
        around_mixer=around(build_mixer is not None),
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
