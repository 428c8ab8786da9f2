"""Learning from single tokens: fast weights as a start plus the rows learned since.

With one token a chunk, the gradient of a matrix is a product of two rows: the input `x`
that the matrix was given and the cotangent `d` of its output. So after some tokens

    W = W_start + sum_s  x_s^T v_s,         v_s = -eta * scale * d_s
    y = x W     = x W_start + (x X^T) V     with the rows stacked, X and V

and nothing as large as `W` need be written, clipped, measured or stored for each token.
`adapt_low_rank` is `ttt_core.inner.adapt` for that case, exact to rounding: it reads a
group of tokens with rows, then adds them to the weights and begins the next group.
`inner_step` stays the definition, and tests compare the two, meta-gradients included.
In the backward pass, too, no gradient of a whole matrix is made in every step of the
scan: `ttt_core.scale.tapes`.

What it is worth: seconds of one outer step (batch 32 of 128 tokens, width 128, CPU with
2 cores, both forms in turn, best of 5), by sequences that are read at once:

|            | rows, 2 | rows, 4 | dense, 2 | dense, 4 | dense, 8 |
|------------|---------|---------|----------|----------|----------|
| `toy`, b=1 | 1.4     | 1.5     | 7.3      | 4.4      | 4.7      |

At b = 16 rows lose (1.6 s against 1.3 s), so chunks of several tokens are read densely.
"""

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ttt_core.config import ModelConfig
from ttt_core.fast import block_norms
from ttt_core.inner import Chunk, Learner, Report, masked_mean
from ttt_core.layers import MLP, at_least_float32
from ttt_core.model import Transformer, cross_entropy
from ttt_core.remat import keep_all, keep_inputs, keep_products
from ttt_core.scale.tapes import anchor_of, blank_tape, note, open_tape, taped
from ttt_core.scans import scan_groups
from ttt_core.shapes import PyTree, Scalar


def group_size(config: ModelConfig) -> int:
    """Chunks of a group, or 0 where dense gradients are the better form.

    Rows pay for chunks of a single token, read in groups of few against the widths of
    the matrices: at most an eighth. They serve the plain rule only.
    """
    plain = config.inner.rule == "sgd" and config.compute_dtype == "float32"
    if not (config.learns and plain and config.chunk == 1):
        return 0
    return min(config.d_model, config.d_fast) // 8


def adapt_low_rank(
    model: Transformer,
    learner: Learner,
    chunks: Chunk,
    *,
    lr: Scalar,
    clip: Scalar,
    remat: int | None = None,
) -> tuple[Learner, Report]:
    """Read token after token as `adapt` does with `inner_step` and the plain rule.

    `chunks` has leading axes `[n_chunks, 1]`; reports have `[n_chunks]`. The backward
    pass keeps a copy of the fast weights for every group of `group_size` chunks;
    `remat=n` makes groups of `n` and recomputes all within.
    """
    keep = keep_all if remat is None else keep_inputs
    knobs = jnp.asarray(lr), jnp.asarray(clip)
    anchor = anchor_of(learner.fast.down.dtype, model, learner, chunks, knobs)
    shared = {"origin": learner.fast, "knobs": knobs, "anchor": anchor}
    read = keep(partial(_read_group, model, **shared))
    return scan_groups(read, learner, chunks, remat or group_size(model.config))


# gate and up side by side, [d_model, two_d_fast]; down, [d_fast, d_model]
Matrices: TypeAlias = tuple[Float[Array, "_ _"], Float[Array, "_ _"]]


class Factors(eqx.Module):
    """Rows of one block: inputs and changes of (gate, up) side by side, and of down."""

    x: Float[Array, "rows d_model"]
    gate_up: Float[Array, "rows two_d_fast"]
    hidden: Float[Array, "rows d_fast"]
    down: Float[Array, "rows d_model"]


class GrowingMLP(eqx.Module):
    """A gated MLP as it was at the start of a group, plus the rows learned since.

    `start`: its `Matrices`, with their `tapes`. `probe`: a tree of zeros whose gradient
    is what a token teaches, as `Factors`.
    """

    start: Matrices
    tapes: PyTree
    rows: Factors
    probe: Factors

    def __call__(self, x: Float[Array, "seq d_model"]) -> Float[Array, "seq d_model"]:
        rows, probe, (wide, down) = self.rows, self.probe, self.start
        both = taped(x, wide, self.tapes[0]) + (x @ rows.x.T) @ rows.gate_up
        gate, up = jnp.split(note(x, both, (probe.x, probe.gate_up)), 2, axis=-1)
        hidden = jax.nn.silu(gate) * up
        y = taped(hidden, down, self.tapes[1]) + (hidden @ rows.hidden.T) @ rows.down
        return note(hidden, y, (probe.hidden, probe.down))


def _read_group(
    model: Transformer,
    learner: Learner,
    chunks: Chunk,
    *,
    origin: MLP,
    knobs: tuple[Array, Array],
    anchor: Array,
) -> tuple[Learner, Report]:
    """One group: a scan over its tokens; their rows are then added to the weights."""
    steps = len(chunks.mask)
    head = model.embed.T if model.head is None else model.head  # [d_model, vocab]
    weights = (_join(learner.fast), head)
    open_one = lambda w: open_tape(w, blank_tape(w, (steps, 1), anchor))
    tapes = jax.tree.map(open_one, weights)
    # Their gradients are recorded on the tapes.
    starts, head = jax.lax.stop_gradient(weights)

    def step(carry, this):
        rows, states = carry
        index, chunk, (tapes, head_tapes) = this
        mlps = partial(map, GrowingMLP, starts, tapes, rows)
        loss = _chunk_loss(model, (head, head_tapes), mlps, chunk, states)
        probes = [_no_rows(start, 1) for start in starts]
        factors, states, report = _learn(loss, probes, chunk.mask, *knobs)
        write = partial(jax.lax.dynamic_update_slice_in_dim, axis=0)
        put = lambda rows, new: write(rows, new, index)
        return (jax.tree.map(put, rows, factors), states), report

    blank = [_no_rows(start, steps) for start in starts]
    over = (jnp.arange(steps), chunks, tapes)
    (rows, states), reports = jax.lax.scan(
        keep_products(step), (blank, learner.states), over
    )
    drift = _drift(learner.fast, origin, rows)
    reports = eqx.tree_at(lambda report: report.drift, reports, drift)
    return Learner(_add_rows(learner.fast, rows), learner.rule_state, states), reports


def _chunk_loss(
    model: Transformer,
    taped_head: tuple[Array, PyTree],
    mlps: Callable[[list[Factors]], Iterable[GrowingMLP]],
    chunk: Chunk,
    states: PyTree,
) -> Callable[[list[Factors]], tuple[Array, tuple[Array, PyTree]]]:
    """`ttt_core.chunks.chunk_loss` as a function of the probes."""

    def loss(probes):
        hidden, moved = _run_fast(model, chunk.inputs, states, list(mlps(probes)))
        logits = at_least_float32(taped(model.final_norm(hidden), *taped_head))
        nll = cross_entropy(logits, chunk.targets)
        return masked_mean(nll, chunk.mask), (nll, moved)

    return loss


def _learn(
    loss: Callable[[list[Factors]], tuple[Array, tuple[Array, PyTree]]],
    probes: list[Factors],
    mask: Bool[Array, " chunk"],
    lr: Float[Array, ""],
    clip: Float[Array, ""],
) -> tuple[list[Factors], PyTree, Report]:
    """`inner_step` on rows: `(rows to add, mixer states, report)`."""
    (value, (nll, states)), factors = jax.value_and_grad(loss, has_aux=True)(probes)
    norm = _norm(factors)
    lr = lr.astype(norm.dtype)
    computable = jnp.isfinite(value) & jnp.isfinite(norm) & jnp.isfinite(lr)
    learned = computable & jnp.any(mask) & (lr != 0)
    # Values are cleaned before they are multiplied: the outer gradient stays finite.
    clean = lambda tree: jax.tree.map(lambda a: jnp.where(learned, a, 0), tree)
    clip = jnp.minimum(clip.astype(norm.dtype), jnp.finfo(norm.dtype).max)
    step = clean(lr) * clip / jnp.maximum(clean(norm), clip)
    changes = lambda f: Factors(f.x, -step * f.gate_up, f.hidden, -step * f.down)
    rows = [changes(f) for f in clean(factors)]
    value, norm, step = jax.lax.stop_gradient((value, norm, step))
    moved = clean(jnp.abs(step) * norm)
    unknown = jnp.zeros(len(rows), norm.dtype)  # `_drift` fills it in, for the group
    return rows, states, Report(nll, value, norm, moved, unknown, learned, ~computable)


def _run_fast(
    model: Transformer,
    hidden: Float[Array, "seq d_model"],
    states: tuple[PyTree, ...],
    mlps: list[GrowingMLP],
) -> tuple[Float[Array, "seq d_model"], tuple[PyTree, ...]]:
    """`ttt_core.model.run_fast` with a fast MLP of its own for each block."""
    moved, mlps = [], iter(mlps)
    for stack, before in zip(model.fast_stacks, states, strict=True):
        mine = list(itertools.islice(mlps, stack.repeats * len(stack.unit)))
        hidden, after = stack.loop(hidden, before, mine)
        moved.append(after)
    return hidden, tuple(moved)


def _join(fast: MLP) -> list[Matrices]:
    """The matrices of each fast block."""
    wide = jnp.concatenate([fast.gate, fast.up], axis=-1)
    return [(wide[i], fast.down[i]) for i in range(len(wide))]


def _no_rows(start: Matrices, rows: int) -> Factors:
    wide, down = start
    zeros = lambda width: jnp.zeros((rows, width), wide.dtype)
    return Factors(*map(zeros, (*wide.shape, *down.shape)))


def _add_rows(fast: MLP, rows: list[Factors]) -> MLP:
    """The weights plus all rows, block by block."""
    wide = jnp.stack([r.x.T @ r.gate_up for r in rows])
    gate, up = jnp.split(wide, 2, axis=-1)
    down = jnp.stack([r.hidden.T @ r.down for r in rows])
    return jax.tree.map(jnp.add, fast, MLP(gate, up, down))


def _norm(factors: list[Factors]) -> Float[Array, ""]:
    """Norm of the gradient that the factors stand for, over all blocks."""
    total = sum(jnp.sum(_overlap(f, f)) for f in factors)
    # Rounding may leave a sum of squares just below zero.
    return jnp.sqrt(jnp.maximum(total, 0) + jnp.finfo(total.dtype).tiny)


def _overlap(a: Factors, b: Factors) -> Float[Array, "rows rows_"]:
    """Inner products of the matrices that single rows stand for."""
    wide = (a.x @ b.x.T) * (a.gate_up @ b.gate_up.T)
    return wide + (a.hidden @ b.hidden.T) * (a.down @ b.down.T)


def _drift(
    fast: MLP, origin: MLP, rows: list[Factors]
) -> Float[Array, "steps fast_blocks"]:
    """`|W - W0| / |W0|` of each block after each token of a group."""
    fast, origin, rows = jax.lax.stop_gradient((fast, origin, rows))
    moved = jax.tree.map(jnp.subtract, fast, origin)
    squares = []
    for (wide, down), r, before in zip(
        _join(moved), rows, block_norms(moved) ** 2, strict=True
    ):
        along = jnp.sum(r.gate_up * (r.x @ wide), -1)
        along += jnp.sum(r.down * (r.hidden @ down), -1)
        among = _overlap(r, r)
        added = 2 * along + 2 * jnp.sum(jnp.tril(among, -1), -1) + jnp.diagonal(among)
        squares.append(before + jnp.cumsum(added))  # [steps]
    scale = block_norms(origin)[None]
    distance = jnp.sqrt(jnp.maximum(jnp.stack(squares, -1), 0))
    return distance / jnp.maximum(scale, jnp.finfo(scale.dtype).tiny)
