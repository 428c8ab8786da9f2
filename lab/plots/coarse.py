"""A long reading with no more points than a screen can show.

A picture that grows with the reading takes longer and longer to send and to draw, for
points that lie within one pixel. So neighbouring chunks are taken together, as if the
model had learned in larger chunks: what is drawn stays as large as it was.
"""

import dataclasses

import numpy as np

from lab.traces import Trace


POINTS = 512


def together(trace: Trace, most: int = POINTS) -> int:
    """How many chunks make one point, a power of two, so that at most `most` result."""
    count = 1
    while trace.filled > most * count:
        count *= 2
    return count


def coarse(trace: Trace, most: int = POINTS) -> Trace:
    """`trace` with at most `most` chunks: means of losses, the last drift and recall.

    The end of the reading that makes no whole point is left out; a reading of at most
    `most` chunks stays as it is.
    """
    size = together(trace, most)
    if size == 1:
        return trace
    points = trace.filled // size

    def parts(name: str) -> np.ndarray:
        values = getattr(trace, name)[: points * size]
        return values.reshape(points, size, *values.shape[1:])

    means = ("loss", "loss_twin", "grad_norm", "update_norm")
    values = {name: parts(name).mean(axis=1) for name in means}
    values |= {name: parts(name).any(axis=1) for name in ("learned", "refused")}
    after = ("drift", "needle_nll", "needle_rank")
    values |= {name: parts(name)[:, -1] for name in after}
    header = dataclasses.replace(trace.header, chunk=size * trace.header.chunk)
    return dataclasses.replace(trace, header=header, **values)
