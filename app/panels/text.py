"""The text around the place where the model is, coloured by what learning gained."""

import streamlit as st

from app.player import Player
from lab import plots


TOKENS = 256


def panel(player: Player) -> None:
    """The last few chunks that were read, and the text that follows in grey."""
    trace = player.shown
    chunk = trace.header.chunk
    start = max(0, trace.read - TOKENS) // chunk * chunk
    st.markdown("###### The text, token by token")
    with st.container(height=450, key="text", autoscroll=True):
        st.html(plots.coloured_text(trace, start=start, ahead=250))
    st.caption(
        "**What to look for:** blue tokens were cheaper for the model that learns, "
        "orange ones for its frozen twin; names and phrases that come back should turn "
        "blue. Dotted lines: the weights change here. Hover over a token to see its "
        "numbers."
    )
