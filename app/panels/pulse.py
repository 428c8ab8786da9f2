"""The heartbeat: the browser reports that a picture is drawn, and so asks for the next.

A loop on the server would be simpler and wrong: the server would draw as fast as it
computes, the browser would fall behind by seconds, and a click on Pause would wait in
the queue.

A report is lost if the connection is down at that moment. So the browser repeats a
report that nothing follows, as soon as the page is connected and the server idle.
"""

import streamlit as st


# The browser waits this many milliseconds before it asks for the next picture. While
# a program compiles, fewer pictures leave more of the machine to the compiler.
PLAYING, WAITING = 60, 500
LOST = 3_000  # milliseconds without an answer, connected and idle: ask again

_ASK_FOR_THE_NEXT = """
export default function ({ data, setTriggerValue }) {
  let asked = null;
  const page = () => document.querySelector("[data-testid=stApp]")?.dataset ?? {};
  const connected = () => page().testConnectionState === "CONNECTED";
  const idle = () => connected() && page().testScriptState === "notRunning";
  const ask = () => {
    asked = Date.now();
    if (connected()) setTriggerValue("drawn", data.picture);
  };
  // The time counts from the moment when the page is idle: a slow step is no loss.
  const watch = setInterval(() => {
    if (asked === null) return;
    if (!idle()) asked = Date.now();
    else if (Date.now() - asked > data.lost) ask();
  }, 500);
  const timer = setTimeout(ask, data.pause);
  return () => { clearTimeout(timer); clearInterval(watch); };
}
"""


def pulse(picture: int, *, pause: int = PLAYING) -> None:
    """Let the fragment run again once `picture`, a fresh number, has been drawn."""
    component = st.components.v2.component("pulse", js=_ASK_FOR_THE_NEXT)
    data = {"picture": picture, "pause": pause, "lost": LOST}
    component(key="pulse", data=data, height=1, on_drawn_change=lambda: None)
