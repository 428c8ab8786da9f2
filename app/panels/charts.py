"""The pictures that move during a reading, each with a line on what to look for."""

import streamlit as st

from app.plain import plain
from app.player import Player
from lab import plots, traces


def loss(player: Player) -> None:
    """Loss per chunk of the learner and of its frozen twin."""
    _chart("loss", plots.loss_per_chunk(_drawn(player), extent=_extent(player)))
    _look(
        "both lines jump up and down together, because a hard passage is hard for "
        "both. What counts is whether blue runs *below* orange."
        f"{_points(player)}"
    )


def gain(player: Player) -> None:
    """Their difference."""
    _chart("gain", plots.gain(_drawn(player), extent=_extent(player)))
    _look(
        "the first chunk is zero, as nothing is learned yet. Then the pink mean should "
        "settle above zero; if the mean stays around zero, learning is of no use here."
    )


def drift(player: Player) -> None:
    """How far the fast weights have moved."""
    _chart("drift", plots.drift(_drawn(player), extent=_extent(player)))
    _look(
        "steep at first, then flatter. A line that shoots up means too high an inner "
        "rate; a flat line means that nothing is being learned."
    )


def overview(player: Player) -> None:
    """The whole reading in one strip."""
    extent = player.trace.header.total if player.reading else None
    cursor = player.chunk / plots.together(player.trace)
    figure = plots.overview(plots.coarse(player.trace), cursor=cursor, extent=extent)
    _chart("overview", figure)


def recall(player: Player) -> None:
    """What is still known of the needle."""
    if player.trace.header.needle is None:
        st.markdown("###### Needle recall")
        st.caption(
            "Nothing is planted in this reading. Choose *Read live* and plant a needle "
            "to see how long the model can repeat it."
        )
        return
    needle = player.trace.header.needle
    _chart("recall", plots.recall(_drawn(player), extent=_extent(player)))
    when = "" if needle.start < player.shown.read else ", still ahead"
    st.caption(
        f"Planted at token {needle.start:,}{when}: “{plain(needle.sentence)}” "
        f"Asked after each chunk: “{plain(needle.question)} …”"
    )
    _look(
        "above, how many nats the needle saves on the answer. Once the needle is out "
        "of attention's reach, orange is *exactly* zero; what blue still saves is in "
        "the weights. Below, the right answer's place among all guesses (dotted: "
        "without the needle)."
    )


def _drawn(player: Player) -> traces.Trace:
    """What is on screen, with no more points than a screen can show."""
    return plots.coarse(player.shown)


def _points(player: Player) -> str:
    """How many chunks one point of the curves stands for, where these are several."""
    count = plots.together(player.shown)
    return f" One point stands for {count} chunks." if count > 1 else ""


def _extent(player: Player) -> int:
    """The end of the x axis: fixed for a recording, doubling for a live reading."""
    chunk = player.trace.header.chunk
    total = max(player.total, 1)
    if player.reading is None:
        return total * chunk
    shown = 32
    while shown < player.chunk:
        shown *= 2
    return min(shown, total) * chunk


def _chart(key: str, figure) -> None:
    """The figure under a heading of the page, which follows light and dark mode."""
    heading, height = figure.layout.title.text, figure.layout.height
    figure.update_layout(title=None, margin_t=24, height=height - 32, dragmode=False)
    with st.container(gap=None):
        st.markdown(f"###### {heading}")
        st.plotly_chart(
            figure, key=f"chart-{key}", theme=None, config={"displayModeBar": False}
        )


def _look(words: str) -> None:
    st.caption(f"**What to look for:** {words}")
