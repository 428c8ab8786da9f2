"""Small sizes for tests: one environment variable, `TTT_LAB_QUICK=1`, read here only.

Notebooks and long commands call `n = quick(64, 4)`: 64 for people, 4 for a test that
only checks that everything runs.
"""

import os
from typing import TypeVar


Size = TypeVar("Size")


def is_quick() -> bool:
    """Whether the environment asks for small sizes."""
    return os.environ.get("TTT_LAB_QUICK", "0") not in ("", "0")


def quick(full: Size, small: Size) -> Size:
    """`full`, or `small` if the environment sets `TTT_LAB_QUICK=1`.

    >>> quick(64, 4)  # doctest: +SKIP
    64
    """
    return small if is_quick() else full
