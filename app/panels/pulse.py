"""The heartbeat: the browser reports that a picture is drawn, and so asks for the next.

A loop on the server would be simpler and wrong: the server would draw as fast as it
computes, the browser would fall behind by seconds, and a click on Pause would wait in
the queue.
"""

import streamlit as st


# The browser waits this many milliseconds before it asks for the next picture. While
# a program compiles, fewer pictures leave more of the machine to the compiler.
PLAYING, WAITING = 60, 500

_ASK_FOR_THE_NEXT = """
export default function ({ data, setTriggerValue }) {
  const timer = setTimeout(() => setTriggerValue("drawn", data.picture), data.pause);
  return () => clearTimeout(timer);
}
"""


def pulse(picture: int, *, pause: int = PLAYING) -> None:
    """Let the fragment run again once `picture`, a fresh number, has been drawn."""
    component = st.components.v2.component("pulse", js=_ASK_FOR_THE_NEXT)
    data = {"picture": picture, "pause": pause}
    component(key="pulse", data=data, height=1, on_drawn_change=lambda: None)
