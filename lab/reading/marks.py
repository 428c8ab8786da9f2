"""The way back: states at a few chunks of a reading, from which it is read again.

A state is all that a reader remembers, so reading again from one gives the very bits
that the reading had, and costs no more than the chunks between. How many states are
kept is bounded, in number and in bytes: whenever there are too many, every second one
is given up, and half as many are kept from then on.
"""

import dataclasses
from collections.abc import Generator
from typing import Any

import numpy as np


MOST = 7  # states, the one before the first chunk included
ROOM = 16e6  # bytes that the states of one reader may take


class Marks:
    """States of one reader by the number of chunks it had read.

    Args:
        state: where the reader starts; this one is always kept.
        learns: whether its fast weights change. Those of a reader that never learns are
            the start's, and are kept once.
    """

    def __init__(self, state, *, learns: bool = True):
        self.states: dict[int, Any] = {0: state}
        self._learns = learns
        self._every = 1
        self._most = max(1, min(MOST, int(ROOM // _size(state))))

    def note(self, chunk: int, state) -> None:
        """Keep `state`, which has read `chunk` chunks, if it is one of the few."""
        if self._most == 1 or chunk % self._every:
            return
        self.states[chunk] = state if self._learns else self._with_start(state)
        while len(self.states) > self._most:
            self._every *= 2
            kept = {c: s for c, s in self.states.items() if c % self._every == 0}
            self.states = kept

    def until_next(self, chunk: int) -> int:
        """How many chunks after `chunk` the next state is kept."""
        return 2**30 if self._most == 1 else self._every - chunk % self._every

    def _with_start(self, state):
        return dataclasses.replace(state, fast=self.states[0].fast)

    def before(self, chunk: int) -> tuple[int, Any]:
        """The last chunk kept that is not after `chunk`, and the state there."""
        # A reader in another thread may replace the dictionary, but changes no state.
        states = self.states
        last = max(c for c in states if c <= chunk)
        return last, states[last]


def walk(model, state, ids: np.ndarray) -> Generator[int, None, Any]:
    """Read `ids` chunk by chunk: yields how many are read, returns the state there."""
    import ttt_core as ttt

    chunk = model.config.chunk
    for start in range(0, len(ids), chunk):
        state, _ = ttt.read(model, state, ids[start : start + chunk])
        yield min(start + chunk, len(ids))
    return state


def _size(state) -> int:
    import jax

    return max(1, sum(leaf.nbytes for leaf in jax.tree.leaves(state)))
