"""The text around the place where the model is, coloured by what learning gained.

A window of bounded size: it follows the reading, or stands where the visitor has gone,
by a click on a chart or with *Earlier* and *Later*.
"""

import streamlit as st

from app import cache, session
from app.plain import one_line
from app.player import Player
from lab.measure import again
from lab.plots import reader


TOKENS = 384  # about two screens of text
GRAINS = {"token": "Token", "sentence": "Sentence", "chunk": "Chunk"}


def panel(player: Player) -> None:
    """A window of the text that was read, and the text that follows in grey."""
    trace = player.shown
    first, stop, chunk = _window(player)
    _bar(player, first)
    place = session.get("text_place")
    # A new place is a new box, which begins at its top.
    key = "text" if place is None else f"text-at-{place}"
    with st.container(height=400, key=key, autoscroll=place is None):
        st.html(
            reader.reader(
                trace,
                start=first * chunk,
                stop=stop,
                by=session.get("grain"),
                ahead=250,
                words=cache.words(trace.text),
                marked=place,
            )
        )
    if trace.header.its_own_twin:
        st.caption("Nothing is learned from the text, so no word has a colour.")
        return
    st.html(reader.legend())
    st.caption(
        "**What to look for:** names and phrases that come back should turn blue. "
        "Dotted lines: the weights change here. Tap or point at a word to see its "
        "numbers."
    )


def words(player: Player) -> None:
    """The words and phrases on which learning saved most."""
    trace = player.shown
    found = cache.words(trace.text)
    tables = {
        "word": again.most_saved(found, trace),
        "phrase said before": again.phrases_saved(found, trace),
    }
    st.markdown("###### Where learning saved most")
    for kind, rows in tables.items():
        if not rows:
            continue
        st.dataframe(
            {
                kind: [one_line(row.words) for row in rows],
                "times": [row.times for row in rows],
                "nats saved": [round(row.nats, 1) for row in rows],
                "of these, beyond reach": [round(row.beyond, 1) for row in rows],
            },
            hide_index=True,
            width="stretch",
        )
    st.caption(
        "Sums over the text read so far. *Beyond reach*: saved where the word was last "
        "said too long ago for attention to see it."
    )


def _window(player: Player) -> tuple[int, int, int]:
    """The first chunk of the window, the token after its last, the chunk's length."""
    trace = player.shown
    chunk = trace.header.chunk
    chunks = max(1, TOKENS // chunk)
    place = session.get("text_place")
    if place is None:
        first = max(0, trace.read - TOKENS) // chunk
        return first, trace.read, chunk
    first = min(max(0, place - chunks // 3), max(0, trace.read // chunk - 1))
    return first, min(trace.read, (first + chunks) * chunk), chunk


def _bar(player: Player, first: int) -> None:
    """Where the window stands, and the buttons that move it."""
    last = max(0, player.shown.read // player.trace.header.chunk - 1)
    step = max(1, TOKENS // player.trace.header.chunk)
    place = session.get("text_place")
    with st.container(horizontal=True, vertical_alignment="center", key="text-bar"):
        st.segmented_control(
            "Coloured as one",
            GRAINS,
            format_func=GRAINS.get,
            label_visibility="collapsed",
            **session.bound("grain"),
        )
        here = first if place is None else place
        buttons = (
            ("earlier", "arrow_back", "Earlier text", max(0, here - step), first == 0),
            ("later", "arrow_forward", "Later text", min(last, here + step), False),
            ("follow", "vertical_align_bottom", "Follow the reading", None, False),
        )
        for key, icon, said, goal, off in buttons:
            st.button(
                "",
                icon=f":material/{icon}:",
                help=said,
                key=key,
                on_click=session.put,
                kwargs={"text_place": goal},
                disabled=off or (place is None and key != "earlier"),
            )
