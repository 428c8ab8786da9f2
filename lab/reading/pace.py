"""How long will counted work still take? Said while it is done."""

import time
from dataclasses import dataclass, field

from lab.reading.notes import about


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
        return f"{about(each * (total - done))} left"
