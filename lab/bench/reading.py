"""Does reading cost the same after 200,000 tokens as at the start?

One compiled program, two states: the first chunks of a text and a state that has read
it for long. They take turns, so that a machine that slows down slows both; medians of
each.
"""

import dataclasses
import resource
import time

import numpy as np


@dataclasses.dataclass(frozen=True)
class Reading:
    """Seconds per chunk early and late `[repeats]`, and what a state weighs."""

    early: np.ndarray
    late: np.ndarray
    chunk: int
    late_position: int
    state_bytes: int
    compile_seconds: float
    peak_bytes: int

    @property
    def ratio(self) -> float:
        """Median time of a late chunk against that of an early one."""
        return float(np.median(self.late) / np.median(self.early))

    @property
    def tokens_per_second(self) -> float:
        """Tokens read per second, from the median over all chunks."""
        return self.chunk / float(np.median(np.concatenate([self.early, self.late])))


def measure_reading(
    model, tokens: np.ndarray, *, late: int = 200_000, repeats: int = 200, report=None
) -> Reading:
    """Time chunks at the start of `tokens` against chunks after `late` tokens.

    `report(done, total)` follows the tokens read on the way to the late state.
    **Raises** `ValueError` where the text is shorter than that.
    """
    import jax

    import ttt_core as ttt

    chunk = model.config.chunk
    late = late // chunk * chunk
    if len(tokens) < late + chunk:
        raise ValueError(
            f"the text has {len(tokens)} tokens, the benchmark reads {late + chunk}; "
            "take a longer document or a smaller --late."
        )

    def timed(state, piece):
        began = time.perf_counter()
        state, report = ttt.read_chunk(model, state, piece)
        jax.block_until_ready((state, report))
        return time.perf_counter() - began

    first = ttt.init_state(model, capacity=late + chunk)
    compile_seconds = timed(first, tokens[:chunk])
    state = first
    for start in range(0, late, chunk):
        state, _ = ttt.read_chunk(model, state, tokens[start : start + chunk])
        if report and start // chunk % 50 == 0:
            jax.block_until_ready(state)
            report(start, late)
    jax.block_until_ready(state)

    pairs = [
        (timed(first, tokens[:chunk]), timed(state, tokens[late : late + chunk]))
        for _ in range(repeats)
    ]
    early, later = np.asarray(pairs).T
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    weight = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    return Reading(early, later, chunk, late, weight, compile_seconds, peak)
