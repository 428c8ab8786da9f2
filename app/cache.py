"""Values shared by visitors, in bounded caches. Callers must not change them."""

import streamlit as st

from app.shelf import Shelf
from lab import checkpoints, published, runs
from lab.data import documents
from lab.measure import certificates
from lab.measure.again import Words, words_of
from lab.plots import moving as drawn
from lab.reading import machine
from lab.reading.changes import AS_TRAINED, Changes
from lab.reading.programs import Programs
from lab.traces import Header, Trace


@st.cache_data(max_entries=1, ttl=60)
def recordings() -> dict[str, Header]:
    """Headers of the recorded readings by name."""
    return published.recordings()


@st.cache_resource(max_entries=8, show_spinner=False)
def recording(name: str) -> Trace:
    """One recorded reading; its arrays are shared and must not be written to."""
    return published.recording(name)


@st.cache_data(max_entries=32, show_spinner=False)
def gain(name: str) -> tuple[float, float] | None:
    """What learning saved in a recording, with its interval."""
    return recording(name).gain_interval()


@st.cache_data(max_entries=4, show_spinner=False)
def moving(name: str) -> tuple[str, str, dict]:
    """Script, style and frames of a recording as a moving picture."""
    return drawn.SCRIPT, drawn.STYLE, drawn.moving(recording(name))


@st.cache_data(max_entries=1, ttl=60)
def compiled() -> tuple[int, int]:
    """Number and bytes of the compiled programs that this machine keeps."""
    return machine.compiled()


@st.cache_data(max_entries=1, ttl=60)
def models() -> dict[str, str]:
    """Names of the published models, added ones and this machine's runs, with remarks.

    The remark says which do not learn text. A published name hides others of that name.
    """
    cards = runs.models() | checkpoints.kept() | published.models()
    names = [*published.models(), *checkpoints.kept(), *runs.models()]
    return {name: published.remark(cards[name]) for name in dict.fromkeys(names)}


@st.cache_data(max_entries=1, ttl=60, show_spinner=False)
def weights() -> dict[str, int]:
    """How many weights each model has; those whose cards do not say are left out."""
    cards = runs.models() | checkpoints.kept() | published.models()
    counts = {name: card.get("parameters") for name, card in cards.items()}
    return {name: count for name, count in counts.items() if isinstance(count, int)}


@st.cache_data(max_entries=1, ttl=60)
def cards() -> dict[str, dict]:
    """The cards of the same models by name."""
    found = runs.models() | checkpoints.kept() | published.models()
    # A plain dict, because a card's own class holds a path and cannot be kept here.
    return {
        name: {**card, "config": dict(card["config"])} for name, card in found.items()
    }


@st.cache_resource(max_entries=16, show_spinner=False)
def words(text: bytes) -> Words:
    """The words of a text that is being read, which must not be changed."""
    return words_of(text)


@st.cache_data(max_entries=32, ttl=60, show_spinner=False)
def audited(model_hash: str) -> str:
    """The newest certificate of a model in one line; "" = not audited here."""
    return certificates.line(model_hash)


@st.cache_data(max_entries=1, ttl=60)
def damaged() -> list[str]:
    """A sentence on every recording and card that is left out."""
    return published.damaged()


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


def programs(model: str, changes: Changes = AS_TRAINED) -> Programs:
    """A model and its programs; they are made once somebody has `ordered` them."""
    return shelf().programs(model, changes)
