"""The page's address: which values its parameters set, and what they say of the screen.

`?doc=sotu/1981-Carter-1&model=tiny-e2e&chunk=40&needle=passkey-7&depth=0.3`

Anybody can write an address, so nothing in it is believed: a value that means nothing
is named in a sentence, and its default stays.
"""

import math
from collections.abc import Callable, Mapping

import streamlit as st

from app.session import PASTE, SEEDS, UPLOAD
from app.tour import STOPS


LONGEST = 300  # characters of a needle
DIGITS = 9  # of a number that anybody could mean


def read(params: Mapping[str, str]) -> tuple[dict, list[str]]:
    """The lasting values in an address, and a sentence on every value without sense.

    Parameters that this page does not know are left alone, as they are not its own.
    """
    values, problems = {}, []
    for name, meaning in _MEANINGS.items():
        if not (text := params.get(name, "")):
            continue
        try:
            values |= meaning(text)
        except ValueError as problem:
            problems.append(f"{name}={short(text)} in the address {problem}")
    return values, problems


def asks(params: Mapping[str, str]) -> bool:
    """Whether an address asks for a reading, in whatever words."""
    return any(params.get(name) for name in _MEANINGS)


def share(values: Mapping) -> None:
    """Put the lasting `values` into the address, unless they are there already."""
    wanted = write(values)
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def write(values: Mapping) -> dict[str, str]:
    """The parameters for the lasting `values`, without empty ones."""
    kinds = {"passkey": f"passkey-{values['seed']}", "sentence": values["sentence"]}
    planted = kinds.get(values["needle"], "")
    named = values["document"] not in (PASTE, UPLOAD)
    params = {
        "doc": values["document"] if named else "",
        "model": values["model"],
        "chunk": "" if values["chunk"] is None else str(values["chunk"]),
        "needle": planted[:LONGEST],
        "depth": f"{values['depth']:g}" if planted else "",
        "tour": str(values.get("tour") or ""),
    }
    return {name: value for name, value in params.items() if value}


def short(text: str) -> str:
    """`text`, or its beginning if nobody would read the rest."""
    return text if len(text) <= 60 else f"{text[:60]}…"


def _chunk(text: str) -> dict:
    if not text.isdecimal() or len(text) > DIGITS:
        raise ValueError("is the number of no chunk; the last one is shown.")
    return {"chunk": int(text)}


def _depth(text: str) -> dict:
    try:
        depth = float(text)
    except ValueError:
        depth = math.nan
    if not 0 <= depth <= 1:
        raise ValueError("is no place between 0 and 1; the usual place stays.")
    return {"depth": depth}


def _tour(text: str) -> dict:
    if text not in [str(number) for number in range(1, len(STOPS) + 1)]:
        raise ValueError(f"is none of the stops 1 to {len(STOPS)} of the tour.")
    return {"tour": int(text)}


def _needle(text: str) -> dict:
    if text == "none":
        return {"needle": "none"}
    seed = text.removeprefix("passkey-")
    if seed == text or not seed.isdecimal():
        if len(text) > LONGEST:
            raise ValueError(f"is longer than {LONGEST} characters; none is planted.")
        return {"needle": "sentence", "sentence": text}
    if len(seed) > DIGITS or int(seed) >= SEEDS:
        raise ValueError(f"is none of the pass-keys 0 to {SEEDS - 1}; none is planted.")
    return {"needle": "passkey", "seed": int(seed)}


_MEANINGS: dict[str, Callable[[str], dict]] = {
    "doc": lambda text: {"document": text},
    "model": lambda text: {"model": text},
    "chunk": _chunk,
    "needle": _needle,
    "tour": _tour,
    "depth": _depth,
}
