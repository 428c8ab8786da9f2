"""This machine: what all visitors share, and what each of them costs."""

import streamlit as st

from app import cache
from app.panels import source
from app.plain import plain
from lab.reading import memory
from lab.runs import usable_cores


INTRO = """
All visitors read in one process, with the same models. Models are made ready one after
the other; one that somebody reads with, waits for or has chosen stays.
"""
MEGABYTE = 1e6


@st.fragment(run_every=2.0)
def state() -> None:
    """Numbers that change while visitors read, every two seconds."""
    readings = list(cache.shelf().readings)
    sizes = [memory.nbytes(reading) / MEGABYTE for reading in readings]
    memory_now = memory.process_bytes() / MEGABYTE
    st.table(
        {
            "Memory of this process": f"{memory_now:,.0f} MB",
            "Processor cores": str(usable_cores()),
            "Live readings in memory": str(len(readings)),
            "Memory of all live readings": f"{sum(sizes):,.1f} MB",
            "The largest of them": f"{max(sizes, default=0):,.1f} MB",
        }
    )
    st.caption(
        f"A visitor holds one live reading, of at most {source.CAPS[-1]:,} tokens; it "
        "stops when the visitor leaves, and is forgotten two minutes later."
    )
    _models()


def _models() -> None:
    models = cache.shelf().models
    st.markdown("###### Models in use")
    if not models:
        st.caption("None yet.")
        return
    st.table({plain(name): plain(_words(made)) for name, made in models.items()})


def _words(programs) -> str:
    return programs.error or programs.now or "ready"


st.title("This machine", anchor=False)
st.markdown(INTRO)
state()
