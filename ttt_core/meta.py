"""The outer loop: train the weights from which reading starts.

`meta_loss` reads a sequence exactly as a stream would, learning from each chunk, and is
the mean loss of all its tokens under the evolving weights (paper, equation 6):

    L(W0, slow) = mean_i  mean over chunk i of  loss_t(W_{i-1})

Its gradient with respect to the whole model is the meta-gradient: it flows through the
chain of inner updates (clip included), the keys and values carried from chunk to chunk,
and the slow blocks. No truncation, no first-order shortcut.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from ttt_core.chunks import (
    chunk_loss,
    first_learner,
    head_loss,
    masked_mean,
    reading_step,
)
from ttt_core.fast import split
from ttt_core.inner import Chunk, Learner, Report, adapt, score_step
from ttt_core.model import Transformer, init_states, run_fast, run_slow
from ttt_core.remat import keep_inputs, keep_products
from ttt_core.scale.low_rank import adapt_low_rank, group_size
from ttt_core.shapes import PyTree, Scalar, TokenRow
from ttt_core.tokens import check_tokens


@jax.named_scope("ttt.meta_loss")
def meta_loss(
    model: Transformer,
    tokens: TokenRow,
    mask: Bool[Array, " seq"] | Bool[np.ndarray, " seq"] | None = None,
    rate: Scalar = 1.0,
    remat: int | None = None,
) -> tuple[Float[Array, ""], Report]:
    """Mean next-token loss of a sequence while learning from it, differentiable.

    `tokens [seq + 1]`, BOS first: inputs are `tokens[:-1]`, targets `tokens[1:]`, any
    `seq >= 1`. `mask [seq]` says which targets count, None = all. A ragged tail is
    scored and never learned from. `rate` is a factor on `config.inner.lr`. The loss is
    `sum(w_i mean_i) / sum(w_i)` over chunks, `w_i` = length / chunk, 0 where a chunk's
    targets are all masked. Returns `(loss, Report)` with `nll [seq]` of every token,
    masked or not.

    `remat=n` recomputes chunks in the backward pass and keeps every n-th learner only
    (and every slow block's input only), for about a third more time. Temporary memory
    of the meta-gradient of one sequence of 2,048 tokens (32 chunks), tiny-e2e, CPU, as
    `ttt-lab bench remat` prints it:

    | remat | None | 1    | 2    | 4    | 8    | 16   |
    |-------|------|------|------|------|------|------|
    | MiB   | 246  | 72.9 | 59.4 | 59.4 | 59.4 | 59.4 |

    (From 2 on it is the slow blocks' own backward pass.)

    **Raises** `ValueError` for fewer than two tokens, ids outside the vocabulary (where
    they are not traced), a mask of another length, or `remat < 1`.
    """
    check_tokens(tokens, model.config.vocab, at_least=2)
    seq, chunk = len(tokens) - 1, model.config.chunk
    mask = jnp.ones(seq, bool) if mask is None else mask
    _check_arguments(seq, mask, remat)
    keep = keep_products if remat is None else keep_inputs
    hidden, _ = run_slow(model, tokens[:-1], None, remat=keep)
    learner, step, loss = _reader(model, rate, seq)
    if not model.config.learns:
        hidden, _ = run_fast(model, hidden, None, remat=keep)

    whole = seq // chunk * chunk
    text = Chunk(hidden, tokens[1:], mask)
    full = jax.tree.map(lambda a: a[:whole].reshape(-1, chunk, *a.shape[1:]), text)
    if whole and group_size(model.config):  # chunks of a few tokens
        lr = jnp.asarray(rate) * model.config.inner.lr
        knobs = {"rate": lr, "clip": model.config.inner.clip, "remat": remat}
        learner, reports = adapt_low_rank(model, learner, full, **knobs)
    else:
        if remat is None:
            step = keep_products(step, vocab=model.config.vocab)
        learner, reports = adapt(learner, full, step, remat=remat)
    means, weights = masked_mean(reports.nll, full.mask), jnp.any(full.mask, axis=-1)
    nll, weights = reports.nll.reshape(-1), weights.astype(means.dtype)
    if whole < seq:
        tail = jax.tree.map(lambda a: a[whole:], text)
        _, (scored, _) = loss(learner.fast, tail, learner.states)
        means = jnp.append(means, masked_mean(scored, tail.mask))
        share = jnp.any(tail.mask).astype(means.dtype) * (len(tail.mask) / chunk)
        weights = jnp.append(weights, share)
        nll = jnp.concatenate([nll, scored])

    total = jnp.sum(weights)
    mean = jnp.sum(weights * means) / jnp.where(total > 0, total, 1)
    return mean, eqx.tree_at(lambda report: report.nll, reports, nll)


def _reader(model: Transformer, rate: Scalar, seq: int):
    """The first learner, the step and its loss.

    Without learning all blocks have run already and only the head is left.
    """
    if model.config.learns:
        lr = jnp.asarray(rate) * model.config.inner.lr
        step = reading_step(model, lr, model.config.inner.clip)
        learner = first_learner(model, init_states(model, seq))
        return learner, step, chunk_loss(split(model)[1])
    learner, loss = Learner(model.fast_mlps, (), ()), head_loss(model)
    return learner, partial(score_step, loss=loss, origin=learner.fast), loss


def _check_arguments(seq: int, mask, remat):
    if mask.shape != (seq,):
        raise ValueError(
            f"`mask` says which targets count and must be [{seq}], one shorter than "
            f"`tokens`: got {list(mask.shape)}."
        )
    if remat is not None and remat < 1:
        raise ValueError(
            f"`remat` keeps every n-th chunk and must be >= 1: got {remat}; "
            "use None to keep everything."
        )


def meta_gradient(
    model: Transformer,
    tokens: Int[Array, "batch length"],
    *,
    mask: Bool[Array, "rows seq"] | None = None,
    rate: Scalar = 1.0,
    remat: int | None = None,
    accumulate: int = 1,
) -> tuple[Float[Array, ""], Report, Transformer]:
    """`(loss, reports, gradient)`, averaged over a batch of sequences.

    Every sequence learns its own fast weights from the same W0. `mask [batch, seq]`
    says which targets count, in the inner loss and the outer, None = all.
    `accumulate=n` goes through the batch in `n` parts, one after the other, which
    divides activation memory by `n` (and is faster on a CPU, where memory is what is
    slow).

    **Raises** `ValueError` where `accumulate` does not divide the batch, or for a mask
    of another shape.
    """
    batch = len(tokens)
    if mask is not None and len(mask) != batch:
        raise ValueError(
            f"`mask` has a row for each sequence: got {len(mask)} rows with {batch} "
            "sequences."
        )
    if accumulate < 1 or batch % accumulate:
        raise ValueError(
            f"`accumulate` must divide the batch: got accumulate={accumulate} with "
            f"{batch} sequences."
        )

    def part_loss(model, part):
        one = lambda text: meta_loss(model, *text, rate=rate, remat=remat)
        losses, reports = _map_sequences(one, part)
        return jnp.mean(losses) / accumulate, reports

    value_and_grad = eqx.filter_value_and_grad(part_loss, has_aux=True)

    def add_part(total, part):
        (loss, reports), grads = value_and_grad(model, part)
        return jax.tree.map(jnp.add, total, (loss, grads)), reports

    zeros = jax.tree.map(jnp.zeros_like, eqx.filter(model, eqx.is_inexact_array))
    start = (jnp.zeros((), model.final_norm.weight.dtype), zeros)
    cut = lambda a: a.reshape(accumulate, -1, a.shape[1])
    parts = jax.tree.map(cut, (tokens, mask))
    (loss, grads), reports = jax.lax.scan(add_part, start, parts)
    merge_parts = lambda a: a.reshape(batch, *a.shape[2:])
    return loss, jax.tree.map(merge_parts, reports), grads


def _map_sequences(function, sequences):
    """`vmap` over a tree of sequences. A single one goes without: products with a batch
    axis of length one are not recognised as plain ones, and cost a copy.
    """
    if len(jax.tree.leaves(sequences)[0]) > 1:
        return jax.vmap(function)(sequences)
    only = jax.tree.map(lambda a: a[0], sequences)
    return jax.tree.map(lambda a: a[None], function(only))


def meta_step(
    model: Transformer,
    opt_state: PyTree,
    tokens: Int[Array, "batch length"],
    optimizer: optax.GradientTransformation,
    *,
    mask: Bool[Array, "batch seq"] | None = None,
    rate: Scalar = 1.0,
    remat: int | None = None,
    accumulate: int = 1,
) -> tuple[Transformer, PyTree, Float[Array, ""], Report]:
    """One outer step on a batch: `(model, opt_state, loss, reports)`.

    Pure: jit (and donation) is the caller's. See `meta_gradient` for the knobs.
    """
    loss, reports, grads = meta_gradient(
        model, tokens, mask=mask, rate=rate, remat=remat, accumulate=accumulate
    )
    params = eqx.filter(model, eqx.is_inexact_array)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes float and int scalars
        updates, opt_state = optimizer.update(grads, opt_state, params)
    return eqx.apply_updates(model, updates), opt_state, loss, reports
