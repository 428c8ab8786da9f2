"""What each picture of a reading says, in one sentence with its number.

A heading that names the answer is read before a heading that names the axes.
"""

import numpy as np

from lab.plots.curves import clip_of
from lab.plots.needle import verdict
from lab.traces import Trace


SOON = "nothing to see before the second chunk"


def loss(trace: Trace) -> str:
    """The mean costs so far, of whole chunks that both have read."""
    both = np.isfinite(trace.loss_twin)
    if not both.any():
        return "What the text costs: nothing is read yet"
    learning, frozen = trace.loss[both].mean(), trace.loss_twin[both].mean()
    if trace.header.its_own_twin:
        return f"The text costs {learning:.2f} nats per token"
    return (
        f"The text costs {learning:.2f} nats per token with learning, {frozen:.2f} "
        "without"
    )


def gain(trace: Trace) -> str:
    """What learning saved so far."""
    found = trace.mean_gain[np.isfinite(trace.mean_gain)]
    if len(found) < 2:
        return f"What learning saves: {SOON}"
    verb = "saves" if found[-1] >= 0 else "costs"
    return f"Learning {verb} {abs(found[-1]):.3f} nats per token so far"


def drift(trace: Trace) -> str:
    """How far the fast weights are from their start."""
    if not trace.filled or not trace.drift.shape[1]:
        return "The fast weights have not moved"
    return f"The fast weights have moved by {100 * trace.drift[-1].mean():.1f} %"


def gradients(trace: Trace) -> str:
    """How many steps were shortened, and how many were refused."""
    if not trace.filled:
        return f"How large the gradients are: {SOON}"
    bound, refused = clip_of(trace), int(trace.refused.sum())
    above = 0 if bound is None else int((trace.grad_norm > 1.01 * bound).sum())
    steps = f"{above:,} of {trace.filled:,} inner steps were shortened to the clip"
    if bound is None:
        known = trace.grad_norm[np.isfinite(trace.grad_norm)]
        steps = "No inner gradient is finite"
        if len(known):
            steps = f"Inner gradients have a norm of {np.median(known):.2f}, the median"
    return f"{steps}; {refused:,} refused" if refused else f"{steps}; none was refused"


def overview(trace: Trace) -> str:
    """How much of the reading is done, and how far the weights have moved."""
    share, moved = trace.read / max(1, trace.header.total), drift(trace)
    return f"{share:.0%} of the reading is done; {moved[:1].lower()}{moved[1:]}"


def recall(trace: Trace) -> str:
    """What is left of the needle, and what that means."""
    known = trace.recall(learning=True)
    known = known[np.isfinite(known)]
    if not len(known):
        return "The needle is still ahead"
    return f"The needle is worth {known[-1]:+.2f} nats to its answer: {verdict(trace)}"
