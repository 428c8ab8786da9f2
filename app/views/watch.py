"""Watch it read: a model compresses a document into its weights, before your eyes.

The page is one fragment. During play, each run of the fragment takes one step (live: as
many chunks as the speed asks for and the time allows) and draws everything; once the
browser has drawn the picture, it asks for the next run. So no button waits for more
than one picture. Nothing is computed here; see `lab.reading.session`.

From the top: what is read and the transport, then the text beside what learning saved,
then the third panel; the rest is drawn only for who asks for more.
"""

import streamlit as st

from app import address, arrival, cache, player, session
from app.panels import (
    about,
    charts,
    downloads,
    learning,
    models,
    source,
    text,
    transport,
)
from app.panels.pulse import PLAYING, WAITING, pulse
from app.plain import plain


INTRO = """
A language model reads a document chunk by chunk, and after each chunk takes one
gradient step on the text it has just read, so that the text ends up in the weights. Its
frozen twin starts with the same weights, reads the same words and never learns: where
the :blue[learner] is cheaper than the :orange[twin], something was remembered.
"""
# The title and the controls take two short lines, and a line that may stay empty keeps
# its height, so that nothing moves while a reading plays.
STYLE = """<style>
.st-key-source-row h1 {font-size: 1.35rem; padding: 0; white-space: nowrap}
.stMainBlockContainer:has(.st-key-watch) {padding-top: 4rem}
.st-key-watch {gap: .5rem}
.st-key-headline p {min-height: 1.5em}
.st-key-transport > :has(.stSlider) {flex: 1 1 220px; min-width: 220px; padding: 0 1rem}
.st-key-transport [data-testid="stSliderTickBar"] {display: none}
.st-key-text-bar, .st-key-transport {column-gap: .6rem; row-gap: .3rem}
.st-key-text-bar button {min-height: 2rem; padding: .1rem .55rem}
@media (hover: none) {.st-key-play button::after {display: none}}
</style>"""


@st.fragment
def stage() -> None:
    with st.container(key="watch"):
        _stage()


def _stage() -> None:
    if session.get("starting"):
        source.begin_if_asked()
    models.bring_along()
    form = source.is_open()
    shown = None if form or session.get("starting") else _step()
    source.panel(shown)
    _problems()
    if form:
        source.form()
    elif session.get("starting"):
        source.status()
    elif shown is None:
        _nothing()
    else:
        _panels(shown)
    if session.get("playing") or session.get("starting"):
        idle = session.get("starting") or (shown and shown.waiting)
        session.put(picture=session.get("picture") + 1)
        pulse(session.get("picture"), pause=WAITING if idle else PLAYING)
    else:
        address.share(player.settings(shown or player.current()))
    if cache.models():
        # This comes last, and a little later: no compiling delays the first picture.
        source.chosen()
        waits = session.get("starting") or session.get("playing")
        cache.shelf().order(learning.called(), now=waits, after=0.5)


def _step() -> player.Player | None:
    """The player, advanced by one picture if it is playing."""
    shown = player.current()
    if shown is None or not session.get("playing"):
        return shown
    return player.advance_or_say(shown)


def _nothing() -> None:
    """Words instead of pictures."""
    st.info(
        "No reading is recorded here yet. Record one with `ttt-lab stream --out "
        "lab/published/traces/first.npz`, or choose *Read live*."
    )


def _problems() -> None:
    if cache.damaged():
        st.warning(plain(" ".join(cache.damaged())), icon=":material/warning:")
    if session.get("problem"):
        st.error(plain(session.get("problem")), icon=":material/error:")


def _panels(shown: player.Player) -> None:
    transport.bar(shown)
    transport.headline(shown)
    words, curve = st.columns(2, gap="medium")
    with words:
        text.panel(shown)
    with curve:
        _main_chart(shown)
        charts.beside_said(shown)
        about.setup(shown)
        about.audited(shown)
    _third(shown)
    st.toggle(
        "More: loss, drift, words, where the numbers come from",
        **session.bound("more"),
    )
    if session.get("more"):
        _more(shown)
    downloads.panel(shown)


def _main_chart(shown: player.Player) -> None:
    """What learning saved; of a model that never learns, what others save."""
    if not shown.trace.header.its_own_twin:
        charts.gain(shown)
    elif player.beside():
        charts.beside(shown)
    else:
        charts.loss(shown)


def _third(shown: player.Player) -> None:
    """Below the two: models beside it, then the needle, or the whole reading."""
    if player.beside() and not shown.trace.header.its_own_twin:
        charts.beside(shown)
    if shown.trace.header.needle is not None:
        charts.recall(shown)
    elif not shown.trace.header.its_own_twin:
        charts.overview(shown)
        st.caption(
            "Nothing is planted in this reading. Choose *Read live* and plant a needle "
            "to see how long the model can repeat it."
        )


def _more(shown: player.Player) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        charts.loss(shown, key="loss-more")
        text.words(shown)
    with right:
        if not shown.trace.header.its_own_twin:
            charts.drift(shown)
            charts.gradients(shown)
        if shown.trace.header.needle is not None:
            charts.overview(shown)
        about.provenance(shown)
    st.markdown(INTRO)


if session.begin():
    arrival.arrive()
st.html(STYLE)
stage()
