"""A reading to be asked: the current one, or a new one begun on this page."""

import streamlit as st

from app import arrival, cache, session
from app.panels import learning
from app.panels import source as sources
from app.plain import one_line, plain
from app.session import PASTE, UPLOAD
from lab.data import needles
from lab.reading import notes, pace
from lab.reading.asking import Asking, OfReading


SLOW = 20  # seconds of reading that are worth a word beforehand


def source() -> OfReading | None:
    """What the current reading offers to be asked, after the chunk chosen."""
    reading = session.get("reading")
    if not _is_live():
        _choose(first=True)
        return None
    if reading.filled == 0 or (session.get("playing") and not reading.done):
        _progress(reading)
        return None
    _place(reading)
    return OfReading(reading, _chunk(reading))


def another() -> None:
    """Where there is a reading already: read another text, or with another model."""
    if _is_live():
        with st.popover("Read another text", icon=":material/auto_stories:"):
            _choose(first=False)


def begin_if_asked() -> None:
    """Make the reading once its model is open, and begin to read."""
    sources.begin_if_asked()
    if not session.get("starting"):
        session.put(place=None, asking=None, grid=None, pace=pace.Pace())


def _is_live() -> bool:
    return session.get("source") == "live" and session.get("reading") is not None


def _choose(*, first: bool) -> None:
    """Text, model, and the button that reads."""
    models = cache.models()
    if not models:
        st.info(
            "No trained model is published here yet. Train one with "
            "`ttt-lab train tiny-e2e`, then come back."
        )
        return
    if first:
        st.markdown("**Nothing is read yet.** Choose a text and a model, and read it.")
    parts = st.columns([3, 2, 2]) if first else [st.container() for _ in range(3)]
    what, who, cap = parts
    with what:
        _document()
    with who:
        _model(models)
    with cap:
        st.selectbox(
            "Read at most",
            sources.CAPS,
            format_func=lambda n: f"{n:,} tokens",
            **session.bound("cap"),
        )
    _hide()
    _beforehand()
    sources.chosen()
    st.button(
        "Read it",
        type="primary" if first else "secondary",
        icon=":material/auto_stories:",
        on_click=_start,
        disabled=session.get("starting"),
        key="read",
    )
    if session.get("starting"):
        st.caption(f"Before the first chunk: {plain(sources.chosen().now or 'ready')}.")


def _document() -> None:
    asked = session.get("document")
    known = [PASTE, *cache.document_names()]
    known += [asked] if asked not in known else []
    st.selectbox("Text", known, format_func=one_line, **session.bound("document"))
    if asked == PASTE:
        st.text_area("Your text", max_chars=2_000_000, **session.bound("pasted"))
    if asked == UPLOAD:
        st.caption("The file that you uploaded in *Watch it read*.")


def _model(models: dict[str, str]) -> None:
    title = lambda name: f"{name} ({models[name]})" if models.get(name) else name
    known = [*models]
    known += [session.get("model")] if session.get("model") not in known else []
    st.selectbox(
        "Model",
        known,
        format_func=lambda name: one_line(title(name)),
        **session.bound("model"),
    )


def _hide() -> None:
    """Whether a sentence is hidden in the text; its question is then at hand."""
    key = "widget-hide"
    st.session_state[key] = session.get("needle") != "none"
    st.toggle(
        "Hide a sentence in it, to ask for it",
        key=key,
        on_change=_set_needle,
        help=plain(arrival.sentence() or needles.passkey(session.get("seed")).sentence),
    )


def _set_needle() -> None:
    mine = "sentence" if session.get("sentence") else "passkey"
    session.put(needle=mine if st.session_state["widget-hide"] else "none")


def _beforehand() -> None:
    """How long it will take, where that is worth a word."""
    card = cache.cards().get(session.get("model"))
    speed = notes.tokens_per_second(card) if card else None
    seconds = session.get("cap") / speed if speed else 0
    if seconds > SLOW:
        st.caption(
            f"{plain(session.get('model'))} has {notes.size(card)}: about "
            f"{notes.about(seconds)} for {session.get('cap'):,} tokens on a machine "
            "with two cores, and the answers take their time too."
        )


def _start() -> None:
    cache.shelf().forget(learning.called())
    cache.shelf().order(learning.called(), now=True)
    session.put(starting=True, playing=False, problem=None, reading=None, source="live")


def _progress(reading) -> None:
    """The bar, time left, and a button that stops here."""
    read, total = reading.trace.read, len(reading.plan.ids)
    header, left = reading.trace.header, ""
    if session.get("pace"):
        left = session.get("pace").left(read, total)
    words = reading.waiting or left
    names = f"{plain(header.model)} reads {plain(header.document)}"
    st.progress(read / total, f"{names}: {read:,} of {total:,} tokens. {plain(words)}")
    if session.get("playing"):
        st.button("Stop here and ask", on_click=_pause, key="enough")
    else:
        st.button("Read on", type="primary", on_click=_read_on, key="go-on")


def _place(reading) -> None:
    """Who has read what; and after which of the chunks it is asked."""
    header, filled = reading.trace.header, reading.filled
    learned = "" if header.learns else f" It {plain(header.its_own_twin)}."
    chunks = "one chunk" if filled == 1 else f"{filled:,} chunks"
    words, place = st.columns([4, 5], gap="medium", vertical_alignment="center")
    with words:
        st.markdown(
            f"**{plain(header.model)}** has read **{reading.trace.read:,} tokens** of "
            f"{plain(header.document)}, in {chunks}.{learned}"
        )
        if not reading.done:
            st.button("Read on", on_click=_read_on, key="go-on")
    if filled > 1:
        with place:
            _slider(reading, filled)


def _slider(reading, filled: int) -> None:
    """Asked after which chunk."""
    key = "widget-place"
    st.session_state[key] = _chunk(reading) or filled
    st.slider(
        "Asked after chunk",
        1,
        filled,
        key=key,
        on_change=_move,
        args=(filled,),
        disabled=_busy(),
        format="%d",
        help="States on the way are kept, and reading goes on from the nearest: the "
        "bits are those of the reading at that chunk.",
    )


def _chunk(reading) -> int | None:
    """The chunk that is asked after; None for all that was read."""
    place = session.get("place")
    return None if place is None or place >= reading.filled else place


def _busy() -> bool:
    asking = session.get("asking")
    return asking is not None and not asking.done


def _move(filled: int) -> None:
    """Ask again what was asked, after another chunk."""
    place = st.session_state["widget-place"]
    session.put(place=None if place >= filled else place)
    if (asked := session.get("asking")) is not None:
        reading = session.get("reading")
        source = OfReading(reading, _chunk(reading))
        session.put(asking=Asking(source, asked.question))


def _pause() -> None:
    session.put(playing=False)


def _read_on() -> None:
    session.put(playing=True, asking=None, pace=pace.Pace())
