"""Which numbers make sense? Ranges as data, and one sentence for all that lie outside.

A configuration keeps one table, name -> `Range`, and checks itself against the table
before anything is built: a slip of the keyboard (a rate of nan, a window of 2^31) is
answered at once, in a sentence, not after minutes by the compiler.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple


class Range(NamedTuple):
    """The values that a number may have.

    `least`, `most`: the bounds, both included; with `is_open` the least is left out.
    `about`: what the number is, as the sentence says it.
    """

    least: int | float
    most: int | float
    about: str
    is_open: bool = False

    def check(self, name: str, value: int | float):
        """Refuse a value outside, and nan.

        **Raises** `ValueError` with name, value, meaning and range.
        """
        above = value > self.least if self.is_open else value >= self.least
        if above and value <= self.most:
            return
        sign = ">" if self.is_open else ">="
        is_high = above and value > self.most
        bound = f"<= {shown(self.most)}" if is_high else f"{sign} {shown(self.least)}"
        raise ValueError(
            f"{name} must be {bound}: got {shown(value)} ({self.about}; {self})."
        )

    def __str__(self) -> str:
        start = "above" if self.is_open else "from"
        end = "inf, which is no limit" if math.isinf(self.most) else shown(self.most)
        return f"{start} {shown(self.least)} to {end}"


def check_ranges(config, ranges: Mapping[str, Range]):
    """Check the fields of a dataclass that have a range; None needs no check.

    **Raises** `ValueError` for the first number that lies outside of its range, and for
    what is no whole number where one belongs.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.type is int:
            check_whole(f"`{field.name}`", value)
        if field.name in ranges and value is not None:
            ranges[field.name].check(f"`{field.name}`", value)


def check_whole(name: str, value):
    """**Raises** `ValueError` for what is no whole number, as 2.5 or True."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"{name} must be a whole number: got {value!r}.")


def shown(value: int | float) -> str:
    """A number in at most twenty characters, as a person would write it.

    >>> shown(2**20), shown(1e-5), shown(10**300)
    ('1,048,576', '1e-05', '1e+300')
    """
    if isinstance(value, int) and abs(value) < 10**12:
        return f"{value:,}"
    try:
        return f"{value:.6g}" if abs(value) >= 10**12 else str(value)
    except OverflowError:  # more than a float can hold
        return f"a number of {math.log10(abs(value)):,.0f} digits"
