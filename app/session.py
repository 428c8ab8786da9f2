"""Everything the explorer remembers about one visitor, in one list.

Widgets lose their values when a visitor leaves the page, so lasting values are kept
here under their own names; `bound` ties a widget to a value. Values worth sharing also
appear in the URL: `?doc=sotu/1981-Carter-1&chunk=40&needle=passkey-7&depth=0.3`.
"""

import math
from collections.abc import Mapping

import streamlit as st


DEFAULTS = {
    # What is shown is "recorded" or "live"; `recording` names the recording.
    "source": "recorded",
    "recording": None,
    # A live reading reads a name of the catalogue, PASTE or UPLOAD, with their texts.
    "document": "sotu/1981-Carter-1",
    "pasted": "",
    "uploaded": None,
    "model": "tiny-e2e",
    "cap": 16_384,
    # The needle to plant is "none", "passkey" or "sentence".
    "needle": "none",
    "seed": 7,
    "sentence": "",
    "depth": 0.3,
    # The transport shows `chunk`, None for the last; `moves` counts moves of the
    # scrubber, `picture` counts pictures; `reading` is a lab.reading.session.Reading.
    "chunk": None,
    "moves": 0,
    "picture": 0,
    "playing": False,
    "speed": 4,
    "starting": False,
    "reading": None,
    "problem": None,
}
PASTE = "Paste a text"
UPLOAD = "Upload a text file"
SEEDS = 10_000  # pass-keys to choose from


def begin() -> bool:
    """Fill in missing values at the top of a page, on the first visit from the URL.

    The result is whether this is the first visit.
    """
    fresh = "source" not in st.session_state
    for name, value in DEFAULTS.items():
        st.session_state.setdefault(name, value)
    if fresh:
        put(**from_url(st.query_params))
    return fresh


def get(name: str):
    """The lasting value called `name`."""
    return st.session_state[name]


def put(**values) -> None:
    """Set lasting values.

    **Raises** `KeyError` for an unknown name.
    """
    for name, value in values.items():
        if name not in DEFAULTS:
            raise KeyError(f"{name!r} is not one of the session's values.")
        st.session_state[name] = value


def bound(name: str) -> dict:
    """Arguments that tie a widget to the lasting value `name`."""
    key = f"widget-{name}"
    st.session_state[key] = get(name)
    return dict(key=key, on_change=_keep, args=(name,))


def _keep(name: str) -> None:
    value = st.session_state[f"widget-{name}"]
    # A segmented control can be switched off by a click, which changes nothing here.
    if value is not None:
        put(**{name: value})


def from_url(params: Mapping[str, str]) -> dict:
    """The lasting values in a URL's parameters; malformed ones are ignored."""
    values = {}
    if params.get("doc"):
        values["document"] = params["doc"]
    if params.get("model"):
        values["model"] = params["model"]
    if params.get("chunk", "").isdecimal():
        values["chunk"] = int(params["chunk"])
    if (depth := _number(params.get("depth"))) is not None:
        values["depth"] = min(max(depth, 0.0), 1.0)
    return values | _needle(params.get("needle", ""))


def share() -> None:
    """Put the values on screen into the URL, unless they are there already."""
    wanted = to_url()
    if {name: st.query_params.get(name) for name in wanted} != wanted or len(
        st.query_params
    ) != len(wanted):
        st.query_params.from_dict(wanted)


def to_url() -> dict[str, str]:
    """The URL's parameters for the values on screen, without empty ones."""
    needle = {"passkey": f"passkey-{get('seed')}", "sentence": get("sentence")}
    planted = needle.get(get("needle"), "")
    named = get("document") not in (PASTE, UPLOAD)
    values = {
        "doc": get("document") if named else "",
        "model": get("model"),
        "chunk": "" if get("chunk") is None else str(get("chunk")),
        "needle": planted[:300],
        "depth": f"{get('depth'):g}" if planted else "",
    }
    return {name: value for name, value in values.items() if value}


def _needle(text: str) -> dict:
    if not text:
        return {}
    if text == "none":
        return {"needle": "none"}
    seed = text.removeprefix("passkey-")
    if seed != text and seed.isdecimal():
        return {"needle": "passkey", "seed": min(int(seed), SEEDS - 1)}
    return {"needle": "sentence", "sentence": text[:300]}


def _number(text: str | None) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
