"""What a mixer says about itself, so that nothing else has to know it by name.

Every mixer's file ends with a `Kind`. The configuration asks there whether the sizes
fit, the model how the mixer is built, the mesh how its arrays are cut, whoever counts
what it costs, and whoever talks to people what it is called.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ttt_core.config import ModelConfig


class Cut(NamedTuple):
    """How an array is cut over devices that share the weights.

    `axis`: which one, from the end, since leading axes are stacks. `pieces`: the field
    of the configuration that counts what may be shared out, None = the axis itself.
    """

    axis: int
    pieces: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """A kind of sequence mixer; every function takes the `ModelConfig` first.

    Attributes:
        name: what `ModelConfig.mixers` calls it.
        title: what people call it.
        build: `(config, *, key) -> mixer`; None = the block has no mixer.
        check: raises `ValueError` where the configuration has no room for it.
        least: the fields that only some mixers read, with their least values.
        reach: tokens back that information travels in one block; None = without end.
        weights: entries of its matrices (nearly all of its parameters).
        flops: `(config, tokens)`, operations on the first `tokens` of a sequence.
        inner_flops: the same for the inner backward pass above the lowest fast MLP;
            `tokens` are whole chunks (`lab.training.flops` says what counts).
        cuts: where each of its arrays is cut over devices; None = it stays whole.
        is_recurrent: its state has one size and carries on all that was before.
        grows: its state grows with the text.
        remark: what a model with it learns while it takes no step on the text, if
            anything.
    """

    name: str
    title: str
    build: Callable | None
    check: Callable[[ModelConfig], None]
    least: Mapping[str, int]
    reach: Callable[[ModelConfig], int | None]
    weights: Callable[[ModelConfig], int]
    flops: Callable[[ModelConfig, int], int]
    inner_flops: Callable[[ModelConfig, int], int]
    cuts: Mapping[str, Cut | None]
    is_recurrent: bool = False
    grows: bool = False
    remark: str = ""


def check_expand(config: ModelConfig, count: int, unit: str):
    """Refuse an `expand` that does not make a whole number of `unit`, `count` of them.

    **Raises** `ValueError` with the multiple that would do.
    """
    whole = config.expand * count
    if whole < 1 or whole % 1:
        raise ValueError(
            f"`expand` times {unit} must be a whole number >= 1: got expand="
            f"{config.expand}, {unit}={count}; use a multiple of 1/{count}."
        )
