"""A name that a person typed: is it known, and if not, which one was meant?

Every list of names in the lab (recipes, sizes, settings, models, documents, trackers,
verbs) is searched by this file, so that every mistake gets the same sentence.
"""

import difflib
import itertools
import shutil
from collections.abc import Iterable


ONE_LINE = 72  # a longer list of names is set in columns
CLOSE = 0.6  # a name with this share of letters in common may be the one meant


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """`name`, if it is known.

    **Raises** `ValueError` with the sentence of `unknown` for an unknown name.
    """
    known = list(known)
    if name in known:
        return name
    raise ValueError(unknown(kind, name, known))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for an unknown name: it suggests a close name, or lists all names.

    >>> unknown("size", "tny", ("nano", "tiny"))
    "There is no size 'tny'; did you mean 'tiny'?"
    >>> unknown("size", "huge", ("nano", "tiny"))
    "There is no size 'huge'. Known: nano, tiny."
    """
    known = list(known)
    if near := closest(name, known):
        return f"There is no {kind} {name!r}; did you mean {near[0]!r}?"
    return f"There is no {kind} {name!r}. Known:{listed(known)}"


def listed(known: Iterable[str]) -> str:
    """The end of a sentence that lists names: on its line if short, else in columns.

    >>> listed(("nano", "tiny"))
    ' nano, tiny.'
    """
    known = list(known)
    line = f" {', '.join(known) or 'none'}."
    return line if len(line) <= ONE_LINE else "\n" + columns(known)


def columns(known: list[str]) -> str:
    """Names in as many columns as the terminal has room for, read downwards."""
    wide = 2 + max(map(len, known))
    many = max(1, (shutil.get_terminal_size().columns - 2) // wide)
    rows = -(-len(known) // many)
    parts = itertools.zip_longest(*_cut(known, rows), fillvalue="")
    lines = ("  " + "".join(name.ljust(wide) for name in row) for row in parts)
    return "\n".join(line.rstrip() for line in lines)


def _cut(known: list[str], rows: int) -> list[list[str]]:
    return [known[i : i + rows] for i in range(0, len(known), rows)]


def closest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Up to `most` known names that are close to `name`, the closest first."""
    return difflib.get_close_matches(name, list(known), n=most, cutoff=CLOSE)
