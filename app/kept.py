"""Results that can be opened: the published ones, and those of one's own run folder.

Opening and drawing are shared by visitors. A text of a visitor's own is a file in
`.runs/.texts/`, named by what it says: whoever brings the same text finds what was
found in it, and nobody else is shown it.
"""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go
import streamlit as st

from lab import files, plots, results, runs
from lab.plots.results import FIGURES, TYPES
from lab.results import Kept


TEXTS = 40  # texts of visitors that are kept


class Stamped(NamedTuple):
    """A file in the state in which it was listed: another state is opened anew."""

    path: str
    changed: int


def listed(*kinds: str) -> list[Kept]:
    """Results of these kinds by name: the published ones, then those kept here."""
    found = [*_listed(str(results.PUBLISHED)), *_listed(str(runs.folder("evals")))]
    return [kept for kept in found if kept.kind in kinds]


def damaged() -> list[str]:
    """A sentence on each file of the run folder that cannot be opened."""
    return _damaged(str(runs.folder("evals")))


def is_own(kept: Kept) -> bool:
    """Whether a result was kept in the run folder, and is not published."""
    return kept.path.parent != results.PUBLISHED


def opened(kept: Kept):
    """The typed result in a file; it is shared and must not be written to.

    **Raises** `ValueError` for a damaged file, `FileNotFoundError` for a missing one.
    """
    return _opened(_stamped(kept.path), kept.kind)


def figure(kept: Kept, part: str, **knobs) -> go.Figure:
    """One figure of a result, of the caller's own, by its short name."""
    return _figure(_stamped(kept.path), kept.kind, part, tuple(sorted(knobs.items())))


def parts(kind: str) -> list[str]:
    """Short names of the figures of a kind."""
    return list(FIGURES[TYPES[kind]])


def as_json(kept: Kept) -> bytes:
    """The numbers, as the file holds them."""
    return kept.path.read_bytes()


def as_html(drawn: go.Figure) -> str:
    """A figure as a page of its own, which needs no network."""
    return drawn.to_html(include_plotlyjs=True, config={"displaylogo": False})


def own_text(name: str, text: str) -> str:
    """The name of the file that holds a visitor's text, as commands take it.

    **Raises** `ValueError` if it cannot be written.
    """
    path = _own(name, text)
    if not path.exists():
        try:
            files.write(path, text)
        except OSError as error:
            raise ValueError(
                f"The text cannot be kept in {path.parent} ({error.strerror}); make "
                "some space there, or let TTT_LAB_RUNS name another folder."
            ) from error
        _forget(path.parent)
    return str(path.relative_to(files.runs().parent))


def is_somebodys(document: str) -> bool:
    """Whether a result's document is a text that some visitor has brought."""
    return Path(document).parent.name == ".texts"


def same_text(document: str, name: str, text: str) -> bool:
    """Whether a result's document is this very text."""
    return bool(text.strip()) and Path(document).name == _own(name, text).name


def _own(name: str, text: str) -> Path:
    plain = re.sub(r"[^\w-]+", "-", Path(name).stem)[:40].strip("-") or "text"
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return files.runs() / ".texts" / f"{plain}-{digest}.txt"


def _forget(folder: Path) -> None:
    """Remove the oldest texts beyond those that are kept."""
    texts = sorted(folder.glob("*.txt"), key=lambda path: path.stat().st_mtime)
    for path in texts[:-TEXTS]:
        path.unlink(missing_ok=True)


def _stamped(path: Path) -> Stamped:
    return Stamped(str(path), path.stat().st_mtime_ns)


@st.cache_data(max_entries=4, ttl=3, show_spinner=False)
def _listed(folder: str) -> list[Kept]:
    return results.listed(Path(folder))


@st.cache_data(max_entries=2, ttl=3, show_spinner=False)
def _damaged(folder: str) -> list[str]:
    return results.damaged(Path(folder))


@st.cache_resource(max_entries=64, show_spinner=False)
def _opened(file: Stamped, kind: str):
    return results.open_result(Path(file.path), TYPES[kind])


@st.cache_data(max_entries=96, show_spinner=False)
def _figure(file: Stamped, kind: str, part: str, knobs: tuple) -> go.Figure:
    found = _opened(file, kind)
    return plots.result_figure(kind, found, part, **dict(knobs))
