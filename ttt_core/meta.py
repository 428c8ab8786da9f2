"""The outer loop: train the weights from which reading starts.

`meta_loss` reads a sequence exactly as a stream would, learning from each chunk, and is
the mean loss of all its tokens under the evolving weights (paper, equation 6):

    L(W0, slow) = mean_i  mean over chunk i of  loss_t(W_{i-1})

Its gradient with respect to the whole model is the meta-gradient: it flows through the
chain of inner updates (clip included), the keys and values carried from chunk to chunk,
and the slow blocks. No truncation, no first-order shortcut.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from ttt_core.chunks import adapt_chunks, start_whole
from ttt_core.inner import Chunk, Report, masked_mean
from ttt_core.model import Transformer
from ttt_core.scans import cut_groups, scan_groups
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

    (From 2 on, the slow blocks' own backward pass needs the most.)

    **Raises** `ValueError` for fewer than two tokens, ids outside the vocabulary (where
    they are not traced), a mask of another length, or `remat < 1`.
    """
    check_tokens(tokens, model.config.vocab, at_least=2)
    seq, chunk = len(tokens) - 1, model.config.chunk
    mask = jnp.ones(seq, bool) if mask is None else jnp.asarray(mask)
    _check_arguments(seq, mask, remat)
    knobs = {"lr": jnp.asarray(rate) * model.config.inner.lr, "remat": remat}

    hidden, learner, loss = start_whole(model, tokens[:-1], remat=remat)
    chunks, tail = cut_groups(Chunk(hidden, tokens[1:], mask), chunk)
    learner, reports = adapt_chunks(model, learner, chunks, loss, **knobs)
    scored = [(reports.nll, chunks.mask)]  # [n_chunks, chunk]
    if len(tail.mask):
        _, (nll, _) = loss(learner.fast, tail, learner.states)
        scored.append((nll[None], tail.mask[None]))

    nll = jnp.concatenate([nll.reshape(-1) for nll, _ in scored])  # [seq]
    reports = eqx.tree_at(lambda report: report.nll, reports, nll)
    return _mean_of_chunks(scored, chunk), reports


def _mean_of_chunks(
    scored: list[tuple[Float[Array, "_ _"], Bool[Array, "_ _"]]], chunk: int
) -> Float[Array, ""]:
    """Mean of the chunks' means; a shorter one counts by its share of a `chunk`."""
    means = [masked_mean(nll, mask) for nll, mask in scored]
    weights = [
        jnp.any(mask, axis=-1).astype(nll.dtype) * (mask.shape[-1] / chunk)
        for nll, mask in scored
    ]
    means, weights = jnp.concatenate(means), jnp.concatenate(weights)
    total = jnp.sum(weights)
    return jnp.sum(weights * means) / jnp.where(total > 0, total, 1)


def _check_arguments(seq: int, mask: Bool[Array, "..."], remat: int | None):
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
    trained: PyTree | None = None,
) -> tuple[Float[Array, ""], Report, Transformer]:
    """`(loss, reports, gradient)`, averaged over a batch of sequences.

    Every sequence learns its own fast weights from the same W0. `mask [batch, seq]`
    says which targets count, in the inner loss and the outer, None = all.
    `accumulate=n` goes through the batch in `n` parts, one after the other: activation
    memory is divided by `n`, and a CPU, which memory slows down, is faster. `trained`:
    a tree like the model that says of each array whether it is trained (None = all);
    the gradient is None elsewhere, and no backward pass goes below the first such.

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

    is_trained = eqx.is_inexact_array if trained is None else trained
    params, kept = eqx.partition(model, is_trained)

    def part_loss(params, part):
        model = eqx.combine(params, kept)
        one = partial(meta_loss, model, rate=rate, remat=remat)
        losses, reports = _map_sequences(one, *part)
        return jnp.mean(losses) / accumulate, reports

    value_and_grad = eqx.filter_value_and_grad(part_loss, has_aux=True)

    def add_part(total, part):
        (loss, reports), grads = value_and_grad(params, part)
        return jax.tree.map(jnp.add, total, (loss, grads)), reports

    zeros = jax.tree.map(jnp.zeros_like, params)
    start = (jnp.zeros((), model.final_norm.weight.dtype), zeros)
    size = batch // accumulate
    (loss, grads), reports = scan_groups(add_part, start, (tokens, mask), size)
    return loss, reports, grads


def _map_sequences(function: Callable, *sequences: PyTree) -> PyTree:
    """`vmap` over sequences; a single sequence goes without.

    Products with a batch axis of length one are not recognised as plain ones, and cost
    a copy.
    """
    if len(sequences[0]) > 1:
        return jax.vmap(function)(*sequences)
    only = jax.tree.map(lambda a: a[0], sequences)
    return jax.tree.map(lambda a: a[None], function(*only))


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
    model, opt_state, _ = apply_gradient(model, opt_state, grads, optimizer)
    return model, opt_state, loss, reports


def apply_gradient(
    model: Transformer,
    opt_state: PyTree,
    grads: Transformer,
    optimizer: optax.GradientTransformation,
) -> tuple[Transformer, PyTree, Transformer]:
    """The outer optimiser's step along a meta-gradient.

    Returns `(model, opt_state, updates)`; `updates` is what was added to the weights.
    Arrays whose gradient is None stay as they are, unknown to the optimiser.
    """
    has_gradient = lambda leaf, param: None if leaf is None else param
    is_none = lambda leaf: leaf is None
    params = jax.tree.map(has_gradient, grads, model, is_leaf=is_none)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes float and int scalars
        updates, opt_state = optimizer.update(grads, opt_state, params)
    return eqx.apply_updates(model, updates), opt_state, updates
