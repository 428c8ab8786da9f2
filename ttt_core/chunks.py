"""How a Transformer reads its chunks: the losses and the steps that `inner` scans.

The slow blocks have already run when a chunk comes here: `chunk.inputs` are their
outputs `[chunk, d_model]`. What is left depends on the fast weights.
"""

from collections.abc import Callable
from functools import partial

from ttt_core.fast import merge, split
from ttt_core.inner import (
    Chunk,
    Learner,
    Loss,
    Report,
    adapt,
    inner_step,
    score_step,
)
from ttt_core.model import Transformer, init_states, run_fast, run_slow, token_nll
from ttt_core.remat import keep_inputs, keep_products
from ttt_core.rules import masked_mean
from ttt_core.scale.low_rank import adapt_low_rank, group_size
from ttt_core.shapes import Hidden, PyTree, Scalar, Tokens


def chunk_loss(model: Transformer) -> Loss:
    """The loss of a chunk as a function of the fast weights: what is learned from."""
    _, slow = split(model)

    def loss(fast: PyTree, chunk: Chunk, states: PyTree):
        model = merge(fast, slow)
        hidden, states = run_fast(model, chunk.inputs, states)
        nll = token_nll(model, hidden, chunk.targets)
        return model.rule.objective(nll, chunk.mask), (nll, states)

    return loss


def head_loss(model: Transformer) -> Loss:
    """The loss of a chunk whose inputs have passed all blocks already."""

    def loss(fast: PyTree, chunk: Chunk, states: PyTree):
        del fast
        nll = token_nll(model, chunk.inputs, chunk.targets)
        return masked_mean(nll, chunk.mask), (nll, states)

    return loss


def reading_step(
    model: Transformer, loss: Loss, *, lr: Scalar, clip: Scalar
) -> Callable[[Learner, Chunk], tuple[Learner, Report]]:
    """The step by which this model reads a chunk, its knobs bound.

    A model that does not learn has no use for `lr` and `clip`, and computes no inner
    gradient.
    """
    origin, _ = split(model)
    if not model.config.learns:
        return partial(score_step, loss=loss, origin=origin)
    knobs = {"rule": model.rule, "lr": lr, "clip": clip, "origin": origin}
    return partial(inner_step, loss=loss, **knobs)


def start_whole(
    model: Transformer, inputs: Tokens, *, remat: int | None
) -> tuple[Hidden, Learner, Loss]:
    """`(hidden, learner, loss)`: where training starts to read a whole sequence.

    The blocks whose weights stay have run over all of it: the slow ones, or all of a
    model that does not learn. `hidden` are their outputs, of which chunks are cut;
    `loss` is what is left to compute for one.
    """
    keep = keep_products if remat is None else keep_inputs
    hidden, _ = run_slow(model, inputs, None, remat=keep)
    fast, _ = split(model)
    if model.config.learns:
        states = init_states(model, max(len(inputs), model.config.chunk)).fast_blocks
        return hidden, Learner(fast, model.rule.init(fast), states), chunk_loss(model)
    hidden, _ = run_fast(model, hidden, None, remat=keep)
    return hidden, Learner(fast, (), ()), head_loss(model)


def adapt_chunks(
    model: Transformer,
    learner: Learner,
    chunks: Chunk,
    loss: Loss,
    *,
    lr: Scalar,
    remat: int | None,
) -> tuple[Learner, Report]:
    """`adapt` from what `start_whole` returns, to chunks of its `hidden`.

    Chunks of a single token are read by `ttt_core.scale.low_rank`: the same numbers to
    rounding, several times as fast.
    """
    clip = model.config.inner.clip
    if group_size(model.config) and len(chunks.mask):
        return adapt_low_rank(model, learner, chunks, lr=lr, clip=clip, remat=remat)
    step = reading_step(model, loss, lr=lr, clip=clip)
    if remat is None:
        step = keep_products(step, vocab=model.config.vocab)
    return adapt(learner, chunks, step, remat=remat)
