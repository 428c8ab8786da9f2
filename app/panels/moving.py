"""The moving picture: what happens to a text, and to the weights that read it."""

import streamlit as st

from app import cache


FIRST = "marjoribanks-1866-needle"  # moves, where it is


def picture() -> None:
    """A recorded reading as a moving picture; nothing where nothing is recorded."""
    names = cache.recordings()
    if not names:
        return
    name = FIRST if FIRST in names else next(iter(names))
    script, style, frames = cache.moving(name)
    component = st.components.v2.component("moving", js=script, css=style)
    component(key="moving", data=frames)
