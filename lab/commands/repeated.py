"""`--set a=1 --set b=2` is `--set a=1 b=2`: an option of several values, said twice.

A parser keeps the last of the two, and so would drop a setting without a word.
"""

import dataclasses
from collections.abc import Callable
from typing import get_origin, get_type_hints


def joined(function: Callable, words: list[str]) -> list[str]:
    """A command line's words, the values of a repeated option behind its first name.

    Args:
        function: the function of a verb; only options that hold tuples are joined.
        words: what was typed behind the verb.

    **Raises** `ValueError` for such an option without a value.
    """
    several, parts, first = _several(function), [[]], {}
    for word in words:
        if not word.startswith("--"):
            parts[-1].append(word)
            continue
        name, equals, value = word.partition("=")
        own = name.lstrip("-").replace("-", "_")
        if own not in several:
            parts.append([word])
            continue
        parts.append(first.setdefault(own, [name]))  # here once more, if said twice
        if equals:
            parts[-1].append(value)
    for name, *values in first.values():
        if not values:
            raise ValueError(f"{name} needs a value behind it: got none.")
    unique = {id(part): part for part in parts}
    return [word for part in unique.values() for word in part]


def _several(function: Callable) -> set[str]:
    """The names of the options that hold tuples, those of dataclasses too."""
    found = set()
    for name, kind in get_type_hints(function).items():
        if dataclasses.is_dataclass(kind) and name != "return":
            found |= _several(kind)
        elif get_origin(kind) is tuple:
            found.add(name)
    return found
