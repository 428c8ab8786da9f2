"""Values shared by visitors, in bounded caches. Callers must not change them."""

import json
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from app.shelf import Shelf
from lab import published, traces
from lab.data import documents
from lab.reading.programs import Programs
from lab.traces import Header, Trace


def recordings() -> dict[str, Header]:
    """Headers of the recorded readings by name."""
    return _recordings()[0]


@st.cache_resource(max_entries=8, show_spinner=False)
def recording(name: str) -> Trace:
    """One recorded reading; its arrays are shared and must not be written to."""
    return published.recording(name)


def models() -> dict[str, str]:
    """Names of the published models, and a remark on those that do not learn text."""
    return _models()[0]


def damaged() -> list[str]:
    """A sentence on every recording and card that is left out."""
    return _recordings()[1] + _models()[1]


@st.cache_data(max_entries=1, ttl=60)
def document_names() -> list[str]:
    """Names of the catalogue's documents that can be read now."""
    return documents.names(prepared=True)


@st.cache_data(max_entries=8, show_spinner=False)
def text(document: str) -> str:
    """The text of a document of the catalogue."""
    return documents.load(document).text


@st.cache_resource(max_entries=1, show_spinner=False)
def shelf() -> Shelf:
    """Every model in use by somebody, with its programs, and every live reading."""
    return Shelf()


@st.cache_data(max_entries=1, ttl=60)
def _recordings() -> tuple[dict[str, Header], list[str]]:
    # Only a file that has been read to its end is known to be whole.
    return _whole("traces/*.npz", lambda path: traces.load(path).header)


@st.cache_data(max_entries=1, ttl=60)
def _models() -> tuple[dict[str, str], list[str]]:
    card = lambda path: json.loads(path.read_text("utf-8"))
    return _whole("models/*.json", lambda path: published.remark(card(path)))


def _whole(pattern: str, read: Callable[[Path], object]) -> tuple[dict, list[str]]:
    """The published files that `read` can read, by name, and a sentence on the rest."""
    found, problems = {}, []
    for path in sorted(published.HERE.glob(pattern), key=lambda path: path.stem):
        try:
            found[path.stem] = read(path)
        except (ValueError, OSError, LookupError, TypeError, AttributeError):
            problems.append(f"{path.name} is damaged, so it is left out.")
    return found, problems


def programs(model: str) -> Programs:
    """A model and its programs; they are made once somebody has `ordered` them."""
    return shelf().programs(model)
