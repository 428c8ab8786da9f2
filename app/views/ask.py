"""Ask it: what was read is asked, continued, completed, on forks that change nothing.

The page is one fragment, as "Watch it read" is: each run does a moment's work (a chunk
or two is read, a few tokens are written) and draws; the browser asks for the next run.
So Stop is heard at once. Nothing is computed here; see `lab.reading.asking`.
"""

import time

import streamlit as st

from app import address, arrival, cache, player, session
from app.panels import begin, columns, grid, learning, memory, question
from app.panels.pulse import PLAYING, WAITING, pulse
from app.plain import plain


INTRO = """
A text that was read is in two places: in the window of attention, and in the weights.
Take either away, and ask. Questions go to copies, so nothing is learned from them.
"""
WHO = {"reading": "The current reading", "memory": "A memory file"}
MOMENT = 0.6  # seconds of reading in one run


@st.fragment
def stage() -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="who-row"):
        st.segmented_control(
            "Who answers",
            WHO,
            format_func=WHO.get,
            label_visibility="collapsed",
            **session.bound("answerer"),
        )
        if session.get("answerer") == "reading":
            begin.another()
    _work()
    _problem()
    is_memory = session.get("answerer") == "memory"
    source = memory.source() if is_memory else begin.source()
    if source is not None:
        question.panel(source)
        columns.panel(source)
        question.again(source)
        st.divider()
        if not is_memory:
            grid.panel(source.reading)
            memory.keeping(source.reading)
        else:
            memory.mixing()
    _go_on()


def _work() -> None:
    """A moment of whatever is on its way: a reading, an answer, a grid."""
    if session.get("starting"):
        begin.begin_if_asked()
    reading = session.get("reading")
    if session.get("playing") and reading and session.get("source") == "live":
        _read_on(reading)
    for name in ("asking", "grid"):
        work = session.get(name)
        if work is not None and not work.done:
            work.step()


def _read_on(reading) -> None:
    until = time.monotonic() + MOMENT
    try:
        while not reading.done and not reading.waiting and time.monotonic() < until:
            reading.step()
    except ValueError as problem:
        session.put(problem=str(problem), playing=False)
    if reading.done:
        session.put(playing=False, chunk=None)


def _go_on() -> None:
    """Ask for the next run, as long as something is on its way."""
    reading = session.get("reading")
    waits = session.get("starting") or (reading is not None and reading.waiting)
    works = [session.get(name) for name in ("asking", "grid")]
    busy = any(work is not None and not work.done for work in works)
    if session.get("playing") or session.get("starting") or busy:
        session.put(picture=session.get("picture") + 1)
        pulse(session.get("picture"), pause=WAITING if waits else PLAYING)
    else:
        address.share(player.settings(player.current()), also="ask")


def _problem() -> None:
    if session.get("problem"):
        st.error(plain(session.get("problem")), icon=":material/error:")


if session.begin():
    arrival.arrive()
if session.get("source") == "recorded":
    # A recording holds numbers and no weights: there is nothing to play here.
    session.put(playing=False)
st.title("Ask it", anchor=False)
st.markdown(INTRO)
stage()
if cache.models():
    cache.shelf().order(learning.called(), now=False, after=0.5)
