"""The bar that moves the reading: reset, play, pause, one chunk, speed, scrubber."""

import streamlit as st

from app import player as players
from app import session
from app.panels import keys
from app.plain import plain
from app.player import Player
from lab.plots import events
from lab.reading import notes


SPEEDS = (1, 4, 16, 64)


def bar(player: Player) -> None:
    """Draw the bar; its buttons act before the next picture."""
    with st.container(horizontal=True, vertical_alignment="center", key="transport"):
        _buttons(player)
        st.segmented_control(
            "Chunks per picture",
            SPEEDS,
            format_func=lambda speed: f"{speed}×",
            label_visibility="collapsed",
            help="Chunks per picture, or as many as a live picture has time for.",
            **session.bound("speed"),
        )
        _scrubber(player)


def headline(player: Player) -> None:
    """The place in the reading and the gain so far, in one line."""
    trace = player.shown
    with st.container(key="headline", gap=None):
        st.markdown(
            f"**Chunk {player.chunk:,}** of {player.total:,} · "
            f"{trace.read:,} tokens read · {_saved(trace)}{_pace(player)}{_in(trace)}"
        )
        keys.space("play")


def _in(trace) -> str:
    """The chapter that is being read, if the text has any."""
    heading = events.now_in(trace)
    return f" · in *{plain(heading)}*" if heading else ""


def _pace(player: Player) -> str:
    """How fast a live reading goes and how long it will take, or what it waits for."""
    if not (player.reading and session.get("playing")):
        return ""
    if player.waiting:
        return f" · the next chunk waits for this: {plain(player.waiting)}"
    pace = player.reading.pace
    if not (speed := pace.tokens_per_second):
        return ""
    left = notes.about(pace.left(player.trace.header.total - player.trace.read))
    return f" · {speed:,.0f} tokens/s, {left} left"


def _buttons(player: Player) -> None:
    playing = session.get("playing")
    st.button(
        "Reset",
        icon=":material/replay:",
        on_click=_reset,
        key="reset",
        help="Back to the first token and the weights from before it.",
    )
    st.button(
        "Pause" if playing else "Play",
        icon=":material/pause:" if playing else ":material/play_arrow:",
        type="primary",
        on_click=_toggle,
        key="play",
    )
    st.button(
        "One chunk",
        icon=":material/skip_next:",
        on_click=_one,
        key="one",
        disabled=player.ended or player.waiting is not None,
        help="Read one more chunk and take one gradient step.",
    )


def _scrubber(player: Player) -> None:
    """A slider that only shows during play, and becomes a new widget after each move.

    A slow browser keeps reporting old positions of its slider, and a report on a slider
    that is no longer there is not heard (`_scrub`), so no old position is taken for a
    request.
    """
    playing, key = session.get("playing"), _scrubber_key()
    st.session_state[key] = player.chunk
    st.slider(
        "Chunk",
        0,
        max(1, player.total),
        key=key,
        on_change=None if playing else _scrub,
        args=(key,),
        disabled=playing,
        label_visibility="collapsed",
        format="chunk %d",
    )


def _saved(trace) -> str:
    if words := trace.header.its_own_twin:
        return plain(f"{trace.header.model} {words}, so it is its own twin")
    interval = trace.gain_interval()
    if interval is None:
        return "too early to say what learning saves"
    mean, half = interval
    if abs(mean) <= half:
        size = f"{mean:+.3f} ± {half:.3f} nats per token"
        return f"learning makes no clear difference ({size})"
    verb = "saves" if mean > 0 else "costs"
    return f"learning {verb} **{abs(mean):.3f} ± {half:.3f}** nats per token"


def _toggle() -> None:
    if session.get("playing"):
        session.put(playing=False)
        return
    player = players.current()
    if player is None:
        return  # the recording is gone, and `current` has said so
    if player.ended:
        players.move(0)
    if player.reading:
        player.reading.pace.begin()
    session.put(playing=True, text_place=None)


def _one() -> None:
    session.put(playing=False)
    if player := players.current():
        players.advance_or_say(player, chunks=1)


def _reset() -> None:
    session.put(playing=False)
    players.move(0)


def _scrub(key: str) -> None:
    # The browser reports the slider that stood here before, too, after it is gone.
    if key == _scrubber_key():
        players.scrub(st.session_state[key])


def _scrubber_key() -> str:
    return f"scrubber-{'playing' if session.get('playing') else session.get('moves')}"
