"""Which numbers may an option have? One table for all verbs, checked before they run.

The settings of a training have tables of their own (`lab.recipes.experiment`,
`ttt_core.config`).
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Iterator


# Option: least, most, what it is ("least" itself left out where the fourth is True).
NUMBERS = {
    "alpha": (0, 2, "how much of the memory, 1 = all of it"),
    "anchor": (0, 1, "share of the change that each chunk takes back"),
    "blocks": (1, 10**5, "last blocks that learn"),
    "budgets": (0, 10**4, "times the usual tokens of a training", True),
    "by": (0, 2, "times a memory"),
    "checkpoint_every": (0, 10**9, "seconds between checkpoints"),
    "chunk": (1, 2**17, "tokens between inner steps"),
    "clip": (0, math.inf, "largest norm of an inner gradient", True),
    "contexts": (1, 2**24, "tokens"),
    "count": (1, 10**6, "needles, each in a text of its own"),
    "cut": (1, 10**6, "pieces that weights are cut into"),
    "depths": (0, 1, "share of the text before a needle"),
    "devices": (1, 10**6, "devices that share the training"),
    "distances": (1, 2**24, "tokens between a fact and its question"),
    "efficiency": (0, 1, "share of its peak that a device keeps up", True),
    "facts": (1, 10**6, "facts that are asked for"),
    "full_to": (1, 2**30, "tokens that full attention reads"),
    "gap": (0, 2**20, "tokens between an older value and a fact"),
    "host_index": (0, 10**6, "position in the list of addresses"),
    "length": (1, 2**30, "tokens of a passage"),
    "lengths": (1, 2**24, "tokens"),
    "lr": (0, 10**6, "inner rate", True),
    "memory": (0, 10**6, "GiB of one device", True),
    "novels": (1, 10**6, "documents that are read"),
    "per_novel": (1, 10**6, "passages of a document"),
    "port": (1, 65_535, "the port that the explorer listens on"),
    "rate": (0, 10**6, "factor on the inner rate"),
    "rates": (0, 10**6, "inner rate"),
    "read": (1, 2**40, "tokens of the document that are read"),
    "region": (1, 2**30, "tokens"),
    "repeats": (1, 10_000, "turns of each system"),
    "repetition_penalty": (0, 100, "1 = none", True),
    "seed": (0, 2**32 - 1, "decides what is drawn"),
    "seeds": (1, 100, "trainings of each setting"),
    "seq": (2, 2**24, "tokens of a sequence"),
    "seqs": (2, 2**24, "tokens of a sequence"),
    "several": (0, 10**4, "needles in one text, 0 = none"),
    "shown": (0, 200, "tokens whose teachers are named"),
    "since": (2, 2**40, "the first chunk to forget"),
    "sinks": (0, 1024, "first tokens that stay visible"),
    "slower": (0, 1, "factor on the inner rate", True),
    "start": (0, 2**40, "the first token of the document that is read"),
    "starts": (0, 2**20, "tokens that count as the start"),
    "temperature": (0, 100, "0 = always the likeliest token"),
    "top_k": (0, 2**24, "tokens that are drawn from, 0 = all"),
    "top_p": (0, 1, "probability of the tokens that are drawn from", True),
    "values": (1, 2**20, "a window, a chunk, or a number of blocks"),
    "vocab": (257, 2**20, "entries: 256 bytes, one start of a document, and pieces"),
    "width": (1, 2**20, "hidden width of added MLPs"),
    "widths": (0, 64, "times the model's usual width", True),
    "window": (0, 2**20, "tokens that attention sees, 0 = as it is"),
    "workers": (1, 4096, "passages read side by side"),
}


def checked(function: Callable) -> Callable:
    """The function of a verb, which checks its numbers before it runs.

    **Raises** `ValueError` naming option, value and range.
    """

    @functools.wraps(function)
    def call(*positional, **named):
        bound = inspect.signature(function).bind(*positional, **named)
        for name, value in _options(bound.arguments):
            check(name, value)
        return function(*positional, **named)

    return call


def check(name: str, value):
    """Check the value of an option, or each of several; other options pass.

    **Raises** `ValueError` naming option, value and range.
    """
    option = f"--{name.replace('_', '-')}"
    for one in value if isinstance(value, tuple) else (value,):
        if name in NUMBERS and isinstance(one, int | float):
            from ttt_core.ranges import Range  # JAX waits until a number is known

            Range(*NUMBERS[name]).check(option, one)


def _options(arguments: dict) -> Iterator[tuple[str, object]]:
    """Names and values of all options, those of dataclasses too."""
    for name, value in arguments.items():
        if dataclasses.is_dataclass(value):
            fields = dataclasses.fields(value)
            yield from ((field.name, getattr(value, field.name)) for field in fields)
        else:
            yield name, value
