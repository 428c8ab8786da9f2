"""The page's address: which values its parameters set, and what they say of the screen.

`?doc=sotu/1981-Carter-1&model=tiny-e2e&chunk=40&needle=passkey-7&depth=0.3`
`/watch?doc=moby-dick&model=tiny-e2e&beside=tiny-swa,tiny-gdn&rule=adam&rate=0.01`
`/ask?ask=The safe opens with`, `/inside?look=strength`

Anybody can write an address, so nothing in it is believed: a value that means nothing
is named in a sentence, and its default stays.
"""

import math
from collections.abc import Callable, Mapping

import streamlit as st

from app.session import BESIDE, PASTE, RATES, SEEDS, UPLOAD
from app.tour import STOPS
from lab.analysis.looks import LOOKS
from lab.names import unknown
from lab.reading.changes import RULES


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


def view(params: Mapping[str, str]) -> str:
    """The page that shows what an address without a page asks for."""
    pages = {"look": "views/inside.py", "ask": "views/ask.py"}
    named = [page for name, page in pages.items() if params.get(name)]
    return named[0] if named else "views/watch.py"


def share(values: Mapping, *, also: str = "") -> None:
    """Put the lasting `values` into the address, unless they are there already.

    `also`: what belongs to this page only, "look" or "ask"; a look needs no more.
    """
    own = {"look": values["look"], "ask": values["question"][:LONGEST]}
    wanted = {} if also == "look" else write(values)
    wanted |= {also: own[also]} if own.get(also) else {}
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
        **(_live(values) if values["source"] == "live" else {}),
    }
    return {name: value for name, value in params.items() if value}


def _live(values: Mapping) -> dict[str, str]:
    """What is said of a live reading only: models beside it, and how it learns."""
    rate, beside = values["rate"], values["beside"]
    said = {"rate": f"{rate:g}" if rate != 1 else ""}
    if beside is not None:
        said["beside"] = ",".join(beside) or NONE
    if values["inner_of"] == values["model"]:
        said |= {
            name: str(values[f"inner_{part}"] or "") for name, part in _PARTS.items()
        }
    return said


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


def _look(text: str) -> dict:
    if text not in LOOKS:
        raise ValueError(f"is no look: {unknown('look', short(text), LOOKS)}")
    return {"look": text}


def _ask(text: str) -> dict:
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters; nothing is asked.")
    return {"question": text}


def _beside(text: str) -> dict:
    names = [] if text == NONE else [name.strip() for name in text.split(",")]
    if len(names) > BESIDE:
        raise ValueError(f"names {len(names)} models; {BESIDE} at most read along.")
    return {"beside": list(dict.fromkeys(filter(None, names)))}


def _rate(text: str) -> dict:
    known = {f"{rate:g}": rate for rate in RATES}
    if text not in known:
        raise ValueError(f"is none of the inner rates {', '.join(known)}; 1 stays.")
    return {"rate": known[text]}


def _rule(text: str) -> dict:
    if text not in RULES:
        raise ValueError(f"is no rule: {unknown('inner rule', short(text), RULES)}")
    return {"inner_rule": text}


def _size(part: str) -> Callable[[str], dict]:
    def read(text: str) -> dict:
        if not text.isdecimal() or not 1 <= len(text) <= DIGITS or int(text) == 0:
            raise ValueError(f"is the size of no {part}; that of the model stays.")
        return {f"inner_{part}": int(text)}

    return read


NONE = "none"
# What is changed in a model's way of learning, by its name in an address.
_PARTS = {"rule": "rule", "every": "chunk", "window": "window"}
_MEANINGS: dict[str, Callable[[str], dict]] = {
    "doc": lambda text: {"document": text},
    "model": lambda text: {"model": text},
    "chunk": _chunk,
    "needle": _needle,
    "tour": _tour,
    "depth": _depth,
    "beside": _beside,
    "rate": _rate,
    "rule": _rule,
    "every": _size("chunk"),
    "window": _size("window"),
    "look": _look,
    "ask": _ask,
}
