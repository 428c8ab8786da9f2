"""Has a training diverged? NaN or infinity in a metric, or a loss that stays too high.

A loss has *jumped* if it is above the median of the last normal steps by more than 1
nat and by more than 6 times the usual difference between neighbouring steps. (The usual
difference is a median. The spread of the losses around their median would not do: it is
wide when a loss falls fast.) A single jump passes by itself; ten in a row do not. No
loss counts as a jump during the warm-up of the outer rate.

The decision follows from the metrics lines alone. A resumed run begins with the lines
in its folder, and so decides like a run that was never stopped.
"""

import collections
import math

import numpy as np

from lab.recipes.experiment import Phase


WINDOW = 50  # normal steps in the median
FEWEST = 10  # there is no verdict on fewer normal steps
LEAST = 1.0  # nats
SPREADS = 6.0  # median differences of neighbouring steps
PATIENCE = 10  # jumped steps in a row
FINITE = ("loss", "grad_norm", "update_norm")


class Divergence:
    """Watches the metrics lines of one stage, in order."""

    def __init__(self, phase: Phase, lines: list[dict] = ()):
        """Begin after the `lines` of a resumed run, of this stage or others."""
        self._phase = phase
        self._normal = collections.deque(maxlen=WINDOW)
        self._jumped: list[dict] = []
        for line in lines:
            if line["stage"] == phase.stage.name:
                self.see(line)

    @property
    def since(self) -> int | None:
        """The first step of a jump that has not passed yet, None if there is none."""
        return self._jumped[0]["step"] if self._jumped else None

    def see(self, line: dict) -> str | None:
        """The problem after this line, as the beginning of a sentence, or None."""
        for name in FINITE:
            if not math.isfinite(line.get(name, 0.0)):
                self._jumped = self._jumped or [line]
                what = name.replace("_", " ")
                return f"the {what} is {line[name]} at step {line['step']}"
        limit = self._limit(line["step"])
        if line["loss"] <= limit:
            self._jumped = []
            self._normal.append(line["loss"])
            return None
        self._jumped.append(line)
        if len(self._jumped) < PATIENCE:
            return None
        return (
            f"the loss jumped from {self._normal[-1]:.3f} to "
            f"{line['loss']:.3f} nats and has stayed above {limit:.3f} for {PATIENCE} "
            f"steps, up to step {line['step']}"
        )

    def _limit(self, step: int) -> float:
        stage = self._phase.stage
        is_warm = step - self._phase.start >= round(stage.warmup * stage.steps)
        if not is_warm or len(self._normal) < FEWEST:
            return math.inf
        spread = np.median(np.abs(np.diff(self._normal)))
        return float(np.median(self._normal) + max(LEAST, SPREADS * spread))


def advice(phase: Phase) -> str:
    """A sentence on what to try after this stage has diverged."""
    stage, model = phase.stage, phase.model
    tries = [
        f"half the outer rate (--set {stage.name}.lr={stage.lr / 2:g})",
        f"a longer warm-up (--set {stage.name}.warmup={min(1.0, 2 * stage.warmup):g})",
    ]
    if model.learns:
        tries.append(f"half the inner rate (--set model.lr={model.inner.lr / 2:g})")
    return (
        f"As another run (--run NAME), try {tries[0]}, {' or '.join(tries[1:])}; the "
        "same command would diverge again."
    )
