"""Numbers as cells."""

import math

import pytest

from lab.commands.tables import signed
from lab.measure.intervals import Interval


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Interval(0.3512, 0.315, 0.387, 4), "+0.351 ±0.036"),
        (Interval(-0.3512, -0.387, -0.315, 4), "-0.351 ±0.036"),
        (Interval(-1e-9, -1e-8, 1e-8, 4), "+0.000 ±0.000"),
        (Interval(-1e-9, math.nan, math.nan, 1), "+0.000"),
        (Interval(math.nan, math.nan, math.nan, 0), "none"),
    ],
)
def test_a_difference_has_a_sign_and_nothing_is_less_than_nothing(value, shown):
    assert signed(value) == shown
