"""A name that a person typed: is it known, and if not, which one was meant?

Every list of names in the lab (recipes, sizes, settings, models, documents, trackers,
verbs) is searched by this file, so that every mistake gets the same sentence.
"""

import difflib
from collections.abc import Iterable


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
    return f"There is no {kind} {name!r}. Known: {', '.join(known) or 'none'}."


def closest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Up to `most` known names that are close to `name`, the closest first."""
    return difflib.get_close_matches(name, list(known), n=most, cutoff=CLOSE)
