"""Learning from very short chunks: fast weights as a start plus the rows learned since.

With `b` tokens a chunk, the gradient of a matrix is a product of `b` rows: the inputs
`x_s` that it was given and what came back to its outputs, `d_s`. So after some chunks

    W = W_start + sum_s  x_s  v_s^T,        v_s = -eta * scale * d_s
    y = x W     = x W_start + (x X^T) V     with the rows stacked, X and V

and nothing as large as `W` need be written, clipped, measured or stored for each chunk.
`adapt_low_rank` is `ttt_core.inner.adapt` for that case, exact to rounding: it reads a
group of chunks with rows, then adds them to the weights and begins the next group.
`inner_step` stays the definition, and tests compare the two, meta-gradients included.

In the backward pass, too, no gradient of a whole matrix is made in every step of the
scan: `ttt_core.scale.tapes`.
"""

import functools
import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ttt_core.chunks import masked_mean
from ttt_core.config import ModelConfig
from ttt_core.fast import block_norms
from ttt_core.inner import Chunk, Learner, Report
from ttt_core.layers import MLP, at_least_float32
from ttt_core.model import Transformer
from ttt_core.remat import keep_all, keep_inputs, keep_products
from ttt_core.scale.tapes import anchor_of, blank_tape, note, open_tape, taped
from ttt_core.shapes import PyTree, Scalar


def group_size(config: ModelConfig) -> int:
    """Chunks of a group, or 0 where dense gradients are the better form.

    Rows pay where they are few against the widths of the matrices: at most an eighth.
    They serve the plain rule only.
    """
    rows = min(config.d_model, config.d_fast) // 8
    plain = config.inner.rule == "sgd" and config.compute_dtype == "float32"
    return rows // config.chunk if config.learns and plain else 0


def adapt_low_rank(
    model: Transformer,
    learner: Learner,
    chunks: Chunk,
    *,
    rate: Scalar,
    clip: Scalar,
    remat: int | None = None,
) -> tuple[Learner, Report]:
    """Read chunk after chunk as `adapt` does with `inner_step` and the plain rule.

    `chunks` has a leading axis `[n_chunks]`, and so have the reports. The backward pass
    keeps a copy of the fast weights for every group of chunks, `group_size` of them;
    `remat=n` makes groups of `n` and recomputes all within.
    """
    n_chunks, keep = len(chunks.mask), keep_all if remat is None else keep_inputs
    size = min(remat or group_size(model.config), n_chunks)
    whole = n_chunks // size * size if size else 0
    knobs = jnp.asarray(rate), jnp.asarray(clip)
    anchor = anchor_of(learner.fast.down.dtype, model, learner, chunks, knobs)
    shared = {"origin": learner.fast, "knobs": knobs, "anchor": anchor}
    read = keep(functools.partial(_read_group, model, **shared))
    cut = lambda a: a[:whole].reshape(-1, size, *a.shape[1:])
    learner, reports = jax.lax.scan(read, learner, jax.tree.map(cut, chunks))
    reports = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), reports)
    if whole == n_chunks:
        return learner, reports
    learner, last = read(learner, jax.tree.map(lambda a: a[whole:], chunks))
    return learner, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), reports, last)


class Factors(eqx.Module):
    """Rows of one block: inputs and changes of (gate, up) side by side, and of down."""

    x: Float[Array, "rows d_model"]
    gate_up: Float[Array, "rows two_d_fast"]
    hidden: Float[Array, "rows d_fast"]
    down: Float[Array, "rows d_model"]


class GrowingMLP(eqx.Module):
    """A gated MLP as it was at the start of a group, plus the rows learned since.

    `start`: (gate and up side by side, down), with their `tapes`. `probe`: a tree of
    zeros whose gradient is what a chunk teaches, as `Factors`.
    """

    start: tuple[Array, Array]
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


def _read_group(model, learner: Learner, chunks: Chunk, *, origin: MLP, knobs, anchor):
    """One group: a scan over its chunks; their rows are then added to the weights."""
    steps, chunk = chunks.mask.shape
    head = model.embed.T if model.head is None else model.head
    weights = (_join(learner.fast), head)
    open_one = lambda w: open_tape(w, blank_tape(w, (steps, chunk), anchor))
    tapes = jax.tree.map(open_one, weights)
    starts, head = jax.lax.stop_gradient(weights)  # what they are owed is on the tapes

    def step(carry, this):
        rows, states = carry
        index, text, (tapes, head_tapes) = this
        mlps = functools.partial(map, GrowingMLP, starts, tapes, rows)
        loss = _chunk_loss(model, (head, head_tapes), mlps, text, states)
        probes = [_no_rows(start, chunk) for start in starts]
        factors, states, report = _learn(loss, probes, text.mask, *knobs)
        write = functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=0)
        put = lambda rows, new: write(rows, new, index * chunk)
        return (jax.tree.map(put, rows, factors), states), report

    blank = [_no_rows(start, steps * chunk) for start in starts]
    over = (jnp.arange(steps), chunks, tapes)
    (rows, states), reports = jax.lax.scan(
        keep_products(step), (blank, learner.states), over
    )
    drift = _drift(learner.fast, origin, rows, steps)
    reports = eqx.tree_at(lambda report: report.drift, reports, drift)
    return Learner(_add_rows(learner.fast, rows), learner.rule_state, states), reports


def _chunk_loss(model, taped_head, mlps: Callable, chunk: Chunk, states) -> Callable:
    """`ttt_core.chunks.chunk_loss` as a function of the probes."""

    def loss(probes):
        hidden, moved = _run_fast(model, chunk.inputs, states, list(mlps(probes)))
        logits = at_least_float32(taped(model.final_norm(hidden), *taped_head))
        chosen = jnp.take_along_axis(logits, chunk.targets[:, None], axis=-1)[:, 0]
        nll = jax.nn.logsumexp(logits, axis=-1) - chosen
        return masked_mean(nll, chunk.mask), (nll, moved)

    return loss


def _learn(loss: Callable, probes, mask: Bool[Array, " chunk"], rate, clip):
    """`inner_step` on rows: `(rows to add, mixer states, report)`."""
    (value, (nll, states)), factors = jax.value_and_grad(loss, has_aux=True)(probes)
    norm = _norm(factors)
    rate = rate.astype(norm.dtype)
    computable = jnp.isfinite(value) & jnp.isfinite(norm) & jnp.isfinite(rate)
    learned = computable & jnp.any(mask) & (rate != 0)
    # Cleaned before they are multiplied: the outer gradient stays finite.
    clean = lambda tree: jax.tree.map(lambda a: jnp.where(learned, a, 0), tree)
    clip = jnp.minimum(clip.astype(norm.dtype), jnp.finfo(norm.dtype).max)
    step = clean(rate) * clip / jnp.maximum(clean(norm), clip)
    changes = lambda f: Factors(f.x, -step * f.gate_up, f.hidden, -step * f.down)
    rows = [changes(f) for f in clean(factors)]
    value, norm, step = jax.lax.stop_gradient((value, norm, step))
    moved = clean(jnp.abs(step) * norm)
    unknown = jnp.zeros(len(rows), norm.dtype)  # `_drift` knows
    return rows, states, Report(nll, value, norm, moved, unknown, learned, ~computable)


def _run_fast(model: Transformer, hidden, states, mlps: list[GrowingMLP]):
    """`ttt_core.model.run_fast` with a fast MLP of its own for each block."""
    moved, mlps = [], iter(mlps)
    for stack, before in zip(model.fast_stacks, states, strict=True):
        mine = list(itertools.islice(mlps, stack.repeats * len(stack.unit)))
        hidden, after = stack.loop(hidden, before, mine)
        moved.append(after)
    return hidden, tuple(moved)


def _join(fast: MLP) -> list[tuple[Array, Array]]:
    """(gate and up side by side, down) of each fast block."""
    wide = jnp.concatenate([fast.gate, fast.up], axis=-1)
    return [(wide[i], fast.down[i]) for i in range(len(wide))]


def _no_rows(start, rows: int) -> Factors:
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
    fast: MLP, origin: MLP, rows: list[Factors], steps: int
) -> Float[Array, "steps fast_blocks"]:
    """`|W - W0| / |W0|` of each block after each chunk of a group."""
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
        squares.append(before + jnp.cumsum(added).reshape(steps, -1)[:, -1])
    scale = block_norms(origin)[None]
    distance = jnp.sqrt(jnp.maximum(jnp.stack(squares, -1), 0))
    return distance / jnp.maximum(scale, jnp.finfo(scale.dtype).tiny)
