"""Watch it read: a model compresses a document into its weights, before your eyes.

The page is one fragment. During play, each run of the fragment takes one step (live:
one chunk) and draws everything; once the browser has drawn the picture, it asks for the
next run. So no button waits for more than one chunk. Nothing is computed here; see
`lab.reading.session`.
"""

import streamlit as st

from app import address, arrival, cache, player, session
from app.panels import about, charts, downloads, source, text, transport
from app.panels.pulse import PLAYING, WAITING, pulse
from app.plain import plain


INTRO = """
A language model reads a document chunk by chunk, and after each chunk takes one
gradient step on the text it has just read, so that the text ends up in the weights. Its
frozen twin starts with the same weights, reads the same words and never learns: where
the :blue[learner] is cheaper than the :orange[twin], something was remembered.
"""


@st.fragment
def stage() -> None:
    source.panel()
    if session.get("starting"):
        source.begin_if_asked()
    shown = _step()
    if cache.models() and not source.chosen().finished:
        source.status()
    _problems()
    if shown is None:
        _nothing()
    else:
        _panels(shown)
    if session.get("playing") or session.get("starting"):
        idle = session.get("starting") or (shown and shown.waiting)
        session.put(picture=session.get("picture") + 1)
        pulse(session.get("picture"), pause=WAITING if idle else PLAYING)
    else:
        address.share(player.settings(shown))
    if cache.models():
        # This comes last, and a little later: no compiling delays the first picture.
        waits = session.get("starting") or session.get("playing")
        cache.shelf().order(session.get("model"), now=waits, after=0.5)


def _step() -> player.Player | None:
    """The player, advanced by one picture if it is playing."""
    shown = player.current()
    if shown is None or not session.get("playing"):
        return shown
    try:
        return player.advance(shown, chunks=session.get("speed"))
    except ValueError as problem:
        session.put(problem=str(problem), playing=False)
        return shown


def _nothing() -> None:
    """Words instead of pictures."""
    if not cache.recordings():
        st.info(
            "No reading is recorded here yet. Record one with `ttt-lab stream --out "
            "lab/published/traces/first.npz`, or choose *Read live*."
        )
    elif not session.get("starting"):
        document, model = plain(session.get("document")), plain(session.get("model"))
        st.info(
            f"Nothing is read yet. *Start reading* lets {model} read {document}; "
            "*A recorded reading* shows what is recorded."
        )


def _problems() -> None:
    if cache.damaged():
        st.warning(plain(" ".join(cache.damaged())), icon=":material/warning:")
    if session.get("problem"):
        st.error(plain(session.get("problem")), icon=":material/error:")


def _panels(shown: player.Player) -> None:
    transport.bar(shown)
    if session.get("playing") and shown.waiting:
        st.caption(f"The next chunk waits for this: {plain(shown.waiting)}.")
    transport.headline(shown)
    about.setup(shown)
    curves, words = st.columns([5, 4], gap="medium")
    with curves:
        charts.loss(shown)
        charts.gain(shown)
        about.audited(shown)
    with words:
        text.panel(shown)
    left, right = st.columns([5, 4], gap="medium")
    with left:
        charts.recall(shown)
    with right:
        charts.drift(shown)
        charts.overview(shown)
    about.provenance(shown)
    downloads.panel(shown)


if session.begin():
    arrival.arrive()
st.title("Watch it read", anchor=False)
st.markdown(INTRO)
stage()
