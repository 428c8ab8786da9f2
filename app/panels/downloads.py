"""What may be taken along: the trace, a page that plays, a command, lines of Python."""

import re

import streamlit as st

from app.player import Player
from lab import traces
from lab.plots.playable import playable
from lab.reading import again
from lab.traces import Trace


def panel(player: Player) -> None:
    """The reading on screen as files, and the ways to make it again."""
    trace = player.trace
    name = file_name(trace.header.document)
    with st.container(horizontal=True, key="downloads"):
        st.download_button(
            "The trace",
            data=lambda: traces.to_bytes(trace),
            file_name=f"{name}.npz",
            mime="application/octet-stream",
            icon=":material/download:",
            on_click="ignore",
            key="download",
            help="Every number on this page; `lab.traces.load` opens the file.",
        )
        st.download_button(
            "A web page to send",
            data=lambda: playable(trace).encode(),
            file_name=f"{name}.html",
            mime="text/html",
            icon=":material/play_circle:",
            on_click="ignore",
            key="download-page",
            disabled=not trace.filled,
            help="One file of 5 MB that plays in any browser, without a network.",
        )
    with st.expander("Make this reading again"):
        _again(trace)


def file_name(name: str, other: str = "trace") -> str:
    """A name without the signs that a folder or a shell takes for more.

    `other`: the name where nothing is left.
    """
    return re.sub(r"[^\w.-]+", "-", name)[:80].strip(".-") or other


def _again(trace: Trace) -> None:
    words = again.command(trace)
    if again.OWN_TEXT in words:
        st.caption(f"`{again.OWN_TEXT}` stands for your text, as a file.")
    st.code(words, language="bash", wrap_lines=True)
    st.code(again.python(trace), language="python", wrap_lines=True)
