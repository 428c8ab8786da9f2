"""Recorded readings to open with a click: what is special about each, its gain."""

import streamlit as st

from app import arrival, cache, player, session
from app.plain import plain
from lab.traces import Header


IN_A_ROW = 5
# Titles and words of the recordings that ship; any other is shown with its document.
ABOUT = {
    "carter-1981-needle": (
        "Carter's farewell, 1981",
        "The largest gain of the five. Of a planted number of seven digits, learning "
        "keeps little.",
    ),
    "miss-brown-1884": (
        "Miss Brown, 1884",
        "Read by a real language model, SmolLM2, which writes English and had little "
        "to learn.",
    ),
    "lincoln-1862": (
        "Lincoln, 1862",
        "An address as old as the novels that the model was trained on; no speech "
        "was among them.",
    ),
    "dodo-1893": (
        "Dodo, a novel of 1893",
        "By an author whom the model has never read: names and manners of speech are "
        "learned on the way.",
    ),
    "marjoribanks-1866-needle": (
        "Miss Marjoribanks, 1866",
        "A planted name is remembered for 14,000 tokens, by a model that was trained "
        "to remember such sentences.",
    ),
}


def panel() -> None:
    """The recorded readings side by side, with a button each."""
    headers = cache.recordings()
    if not headers:
        st.info("No reading is recorded here yet: *Watch it read* reads one live.")
        return
    names = [*(n for n in ABOUT if n in headers), *(headers.keys() - ABOUT.keys())]
    for row in range(0, len(names), IN_A_ROW):
        some = names[row : row + IN_A_ROW]
        for column, name in zip(st.columns(IN_A_ROW), some, strict=False):
            with column:
                _card(name, headers[name])


def _card(name: str, header: Header) -> None:
    title, words = ABOUT.get(name, (header.document, f"Read by {header.model}."))
    # The button stands above the words, within the first screen.
    with st.container(border=True, height="stretch", gap="xsmall", key=f"card-{name}"):
        st.markdown(f"**{plain(title)}**")
        st.markdown(_gain(name, header))
        if st.button("Open", key=f"open-{name}", width="stretch"):
            _open(name)
        st.caption(plain(words))


def _gain(name: str, header: Header) -> str:
    """What learning saved in the recording, in a line."""
    if words := header.its_own_twin:
        return plain(f"{header.model} {words}")
    interval = cache.gain(name)
    if interval is None:
        return "too short to say what learning saves"
    mean, half = interval
    return f":blue[**{mean:+.3f}**] ± {half:.3f} nats per token"


def _open(name: str) -> None:
    session.put(source="recorded", playing=False, problem=None)
    arrival.show(name)
    player.move(None)
    st.switch_page("views/watch.py")
