"""How is a training conducted? What a person may change without changing a number."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Conduct:
    """How a training is conducted: none of this decides what is learned.

    Another number of devices, which `elastic` accepts, and another `cut` round
    differently, and that is all.

    Args:
        until: stop after this stage; the same command without it goes on.
        elastic: resume even on other devices than the run was begun on.
        checkpoint_every: seconds between checkpoints; changes no number.
        track: mirror the metrics to a program that shows curves; needs no account.
        cut: cut weights and fast weights into so many pieces over the devices.
    """

    until: str | None = None
    elastic: bool = False
    checkpoint_every: float = 120.0
    track: Literal["tensorboard", "trackio", "wandb"] | None = None
    cut: int = 1
