"""Start: what test-time training is, readings to open, and the state of this machine.

An address that asks for a reading leads on to *Watch it read*, as it always did.
"""

import streamlit as st

from app import address, arrival, cache, session
from app.panels import guide, moving, recordings
from app.plain import plain
from lab.reading import machine
from lab.runs import usable_cores


PAPER = "https://arxiv.org/abs/2512.23675"
INTRO = """
After each chunk of a text, the model takes one gradient step on what it has just read:
the text is compressed into some of its own weights. Beside it reads its frozen twin,
the same weights without learning.
"""
STYLE = """<style>
.stMainBlockContainer:has(.st-key-start-page) {padding-top: 4rem}
.st-key-start-page h1 {font-size: 1.7rem; padding: 0}
.st-key-start-page {gap: .7rem}
</style>"""


def page() -> None:
    with st.container(key="start-page"):
        st.html(STYLE)
        st.title("A language model that learns while it reads", anchor=False)
        words, way_in = st.columns([4, 1], vertical_alignment="center")
        words.markdown(INTRO)
        with way_in:
            guide.invitation()
        moving.picture()
        st.markdown("###### Recorded readings: what learning saved, against the twin")
        recordings.panel()
        _links()
        state()


def _links() -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="links"):
        if st.button("Read a text of mine", icon=":material/edit_note:", key="mine"):
            arrival.own_text()
            st.switch_page("views/watch.py")
        st.link_button("The paper", PAPER, icon=":material/open_in_new:")
    st.caption(
        "The course, notebooks from fast weights by hand to training on many devices: "
        "`make notebooks`. What was measured: `lab/published/README.md`."
    )


@st.fragment(run_every=2.0)
def state() -> None:
    """What this machine has, and what it is doing, every two seconds."""
    st.markdown("###### This machine")
    made = cache.shelf().models
    at_work = {n: p.now for n, p in made.items() if p.now and not p.finished}
    st.caption(" · ".join((*_things(made), _work(at_work))))


def _things(made: dict) -> list[str]:
    names, (count, size) = cache.models(), cache.compiled()
    learners = sum(not remark for remark in names.values())
    device = machine.device() if any(p.ready("model") for p in made.values()) else ""
    return [
        f"{len(names)} models, {learners} of which learn while they read",
        plain(device) or "device: asked when the first model is opened",
        f"{usable_cores()} processor cores",
        f"{count:,} compiled programs kept ({size / 1e6:,.0f} MB)",
    ]


def _work(at_work: dict[str, str]) -> str:
    if not at_work:
        return "nothing is compiling"
    told = (f"{plain(name)}: {plain(now)}" for name, now in at_work.items())
    return "; ".join(told)


if address.asks(st.query_params) and session.is_new():
    page_asked = address.view(st.query_params)
    st.switch_page(page_asked, query_params=st.query_params.to_dict())
if session.begin():
    arrival.arrive()
page()
