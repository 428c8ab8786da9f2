"""How is a training conducted? Options that change no number of a training."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Conduct:
    """How a training is conducted: no option decides what is learned.

    Another number of devices, which `elastic` accepts, or another `cut` changes numbers
    by rounding only.

    Args:
        until: stop after this stage; the same command without it continues.
        elastic: resume even on other devices than those of the first start.
        checkpoint_every: seconds between checkpoints; changes no number.
        track: mirror the metrics to a program that shows curves; needs no account.
        cut: cut weights and fast weights into this many pieces over the devices.
    """

    until: str | None = None
    elastic: bool = False
    checkpoint_every: float = 120.0
    track: Literal["tensorboard", "trackio", "wandb"] | None = None
    cut: int = 1
