"""The inner loop: fast weights learn from the text, one chunk at a time.

`inner_step` is the paper's one equation (section 2.3, equation 5) as one function:

    W_i = W_{i-1} - eta * clip( grad_W  mean over chunk i of  loss_t(W_{i-1}) )

Every token is scored with the weights from before its chunk, and only then learned
from. `adapt` scans it over the chunks of a text. Neither depends on Transformers:
`loss` is any function of `(fast, chunk, states)`, so both can be read, tested and tried
on two numbers. Both are pure and differentiable through everything, the clip included;
jit, vmap and grad are the caller's.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ttt_core.fast import drift, global_norm
from ttt_core.remat import keep_inputs
from ttt_core.rules import AbstractRule, masked_mean
from ttt_core.scans import scan_groups
from ttt_core.shapes import PyTree, Scalar


class Report(eqx.Module):
    """What was measured while reading.

    From `read_chunk` and `inner_step`, for one chunk: `nll [chunk]`, `drift
    [fast_blocks]` and scalars. From `read` and `meta_loss`: `nll [tokens]` of all the
    call's tokens, and a leading axis `[n_chunks]` on everything else.

    `nll`: nats per token, with the weights from before the token's chunk. `loss`: its
    mean over the chunk's unmasked tokens. `grad_norm`: norm of the inner gradient,
    before the clip. `update_norm`: how far the step moved the weights. `drift`: `|W -
    W0| / |W0|` of each fast block after the step. `learned`: whether weights changed.
    `refused`: whether the step was not finite, and so not taken.
    """

    nll: Float[Array, " tokens"]
    loss: Float[Array, "*n"]
    grad_norm: Float[Array, "*n"]
    update_norm: Float[Array, "*n"]
    drift: Float[Array, "*n fast_blocks"]
    learned: Bool[Array, "*n"]
    refused: Bool[Array, "*n"]


class Learner(eqx.Module):
    """What reading a chunk changes: the carry of the scan."""

    fast: PyTree
    rule_state: PyTree
    states: PyTree


class Chunk(eqx.Module):
    """One chunk for a language model: inputs (whatever `loss` takes), targets, mask."""

    inputs: PyTree
    targets: PyTree
    mask: Bool[Array, "*n chunk"]


Loss = Callable[[PyTree, Chunk, PyTree], tuple[Scalar, tuple[Array, PyTree]]]


@jax.named_scope("ttt.inner_step")
def inner_step(
    learner: Learner,
    chunk: Chunk,
    loss: Loss,
    *,
    rule: AbstractRule,
    lr: Scalar,
    clip: Scalar,
    origin: PyTree,
) -> tuple[Learner, Report]:
    """Score one chunk, then learn from it.

    `loss(fast, chunk, states) -> (mean loss, (nll [chunk], states))`. `lr` and `clip`
    are data; `origin` is W0, which `Report.drift` is measured from.

    A step whose loss, gradient or new weights are not all finite is refused: weights
    and rule state stay, mixer states move on, and `refused` is set. A chunk whose
    targets are all masked teaches nothing and leaves weights and rule state alone as
    well. In both cases the gradient of an outer loss stays finite: values are cleaned
    before they are multiplied.
    """
    value_and_grad = jax.value_and_grad(loss, has_aux=True)
    (value, (nll, states)), grads = value_and_grad(learner.fast, chunk, learner.states)
    norm, before = global_norm(grads), (learner.fast, learner.rule_state)
    lr = jnp.asarray(lr, norm.dtype)

    computable = _all_finite((value, norm, lr))
    grads, lr = jax.tree.map(_where(computable), (grads, lr))
    clipped = clip_by_norm(grads, clip)
    proposal = rule.step(clipped, learner.rule_state, learner.fast, lr)
    finite = computable & _all_finite(proposal)
    learned = finite & jnp.any(chunk.mask) & (lr != 0)
    fast, rule_state = jax.tree.map(_where(learned), proposal, before)

    if not rule.is_plain:
        value = masked_mean(nll, chunk.mask)  # what was read, not what was descended
    value, norm = jax.lax.stop_gradient((value, norm))
    moved = _movement(learned, learner.fast, fast, origin)
    report = Report(nll, value, norm, *moved, learned, ~finite)
    return Learner(fast, rule_state, states), report


def _where(condition: Bool[Array, ""]) -> Callable[..., Array]:
    """A function of one or two leaves: the first where `condition`, else the second."""
    return lambda leaf, other=0: jnp.where(condition, leaf, other)


def _all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether no number of a tree is NaN or infinite."""
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.asarray(True)


def _movement(
    learned: Bool[Array, ""], before: PyTree, after: PyTree, origin: PyTree
) -> tuple[Float[Array, ""], Float[Array, " fast_blocks"]]:
    """`(update_norm, drift)` of a step that moved weights from `before` to `after`."""
    before, after, origin = jax.lax.stop_gradient((before, after, origin))
    length = global_norm(jax.tree.map(jnp.subtract, after, before))
    return jnp.where(learned, length, 0), drift(after, origin)


def score_step(
    learner: Learner, chunk: Chunk, loss: Loss, *, origin: PyTree
) -> tuple[Learner, Report]:
    """Score one chunk and learn nothing: the step of a model that does not learn."""
    value, (nll, states) = loss(learner.fast, chunk, learner.states)
    none, no = jnp.zeros_like(value), jnp.asarray(False)
    unmoved = jnp.zeros_like(drift(origin, origin))
    report = Report(nll, jax.lax.stop_gradient(value), none, none, unmoved, no, no)
    return Learner(learner.fast, learner.rule_state, states), report


def clip_by_norm(tree: PyTree, clip: Scalar) -> PyTree:
    """Scale a tree down to global norm `clip` (may be inf); differentiable at zero."""
    norm = global_norm(tree)
    clip = jnp.minimum(jnp.asarray(clip, norm.dtype), jnp.finfo(norm.dtype).max)
    scale = clip / jnp.maximum(norm, clip)
    return jax.tree.map(lambda g: g * scale.astype(g.dtype), tree)


@jax.named_scope("ttt.adapt")
def adapt(
    learner: Learner,
    chunks: Chunk,
    step: Callable[[Learner, Chunk], tuple[Learner, Report]],
    *,
    remat: int | None = None,
) -> tuple[Learner, Report]:
    """Read chunk after chunk: a scan of `step`, an `inner_step` with its knobs bound.

    `chunks` has a leading axis `[n_chunks]`, and so have the reports. `remat=n` keeps
    only every n-th learner for the backward pass and recomputes the chunks between,
    one at a time: memory for `n_chunks / n + n` copies of the fast weights and one
    chunk's activations, against those of all chunks with `remat=None`.
    """
    if remat is None:
        return jax.lax.scan(step, learner, chunks)
    read = partial(jax.lax.scan, keep_inputs(step))
    return scan_groups(
        read if remat == 1 else keep_inputs(read), learner, chunks, remat
    )
