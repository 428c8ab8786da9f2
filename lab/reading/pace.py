"""How long will it take? Said before anything is read, and while it is being read."""

import time
from dataclasses import dataclass, field


# Measured on two cores: weights times tokens a second, learner and frozen twin
# together: tiny-e2e (2.1 M weights) reads 2,700 tokens/s, smollm2-inplace (134.5 M) 64.
WORK = 7e9


def beforehand(weights: int, tokens: int) -> float:
    """Seconds that a model of so many weights takes for so many tokens, about."""
    return tokens * weights / WORK


def words(seconds: float) -> str:
    """A stretch of time as people say it.

    >>> [words(s) for s in (0.4, 12, 100, 9000)]
    ['1 s', '12 s', '2 min', '2.5 h']
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@dataclass
class Pace:
    """Time left of work that is counted, from the time that the first part took."""

    began: float = field(default_factory=time.monotonic)
    first: int | None = None

    def left(self, done: int, total: int) -> str:
        """Words on the time left, such as "3 s left"; "" before anything is known."""
        if self.first is None or done < self.first:
            self.began, self.first = time.monotonic(), done
        if done <= self.first:
            return ""
        each = (time.monotonic() - self.began) / (done - self.first)
        return f"{words(each * (total - done))} left"
