"""The heartbeat: the browser says that a picture is drawn, and so asks for the next.

A loop on the server would be simpler and wrong: it draws as fast as it computes, the
browser falls behind by seconds, and a click on Pause waits in that queue.
"""

import streamlit as st


# Milliseconds from a picture to asking for the next. A busy browser adds its own. While
# we only wait for a program, fewer pictures leave more of the machine to the compiler.
PLAYING, WAITING = 60, 500

_ASK_FOR_THE_NEXT = """
export default function ({ data, setTriggerValue }) {
  const timer = setTimeout(() => setTriggerValue("drawn", data.picture), data.pause);
  return () => clearTimeout(timer);
}
"""


def pulse(picture: int, *, pause: int = PLAYING) -> None:
    """Have the fragment run again once `picture`, a fresh number, is drawn."""
    component = st.components.v2.component("pulse", js=_ASK_FOR_THE_NEXT)
    data = {"picture": picture, "pause": pause}
    component(key="pulse", data=data, height=1, on_drawn_change=lambda: None)
