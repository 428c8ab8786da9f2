"""How fast does a reading go, and how long will the rest take?

What counts is the time on the clock, drawing included, over the last few steps. A pause
is no part of it: whoever goes on after one begins anew (`begin`).
"""

import time
from collections import deque


REMEMBERED = 24  # steps


class Speed:
    """Tokens read, step by step, with the time of each step."""

    def __init__(self):
        self._notes: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)

    def begin(self) -> None:
        """Forget the steps so far, because nobody read since."""
        self._notes.clear()

    def note(self, read: int) -> None:
        """Note that `read` tokens of the document are read now."""
        self._notes.append((time.monotonic(), read))

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens a second over the last steps; None before there are two."""
        if len(self._notes) < 2:
            return None
        (begin, first), (end, last) = self._notes[0], self._notes[-1]
        return (last - first) / (end - begin) if end > begin else None

    def left(self, tokens: int) -> float | None:
        """Seconds that so many more tokens will take; None if that is not known."""
        speed = self.tokens_per_second
        return tokens / speed if speed else None
