"""The pictures that move during a reading, each with a line on what to look for.

Axes are made for the whole of a recording, or in steps for a live reading, and legends
keep their places: nothing jumps. A click on a point takes the text there.
"""

import streamlit as st

from app import player as players
from app import session
from app.plain import plain
from app.player import Player
from lab import plots, traces
from lab.plots import headlines
from lab.plots.beside import verdict


SHORTEST = 64  # chunks that the x axis of a live reading shows at least
LEFT, RIGHT = 56, 12  # margins, the same for all charts, so that their x axes agree


def loss(player: Player, key: str = "loss") -> None:
    """Loss per chunk of the learner and of its frozen twin."""
    figure = plots.loss_per_chunk(_drawn(player), **_axes(player))
    _chart(key, figure, headlines.loss(player.shown), player)
    _look(
        "both lines jump up and down together, because a hard passage is hard for "
        "both. What counts is whether blue runs *below* orange."
        f"{_points(player)}"
    )


def gain(player: Player) -> None:
    """Their difference."""
    figure = plots.gain(_drawn(player), **_axes(player))
    figure.update_layout(height=300)
    _chart("gain", figure, headlines.gain(player.shown), player)
    _look(
        "frozen minus learning, a bar per chunk. The first is zero, as nothing is "
        "learned yet; then the pink mean should settle above zero. Click a bar to "
        f"read its text.{_points(player)}"
    )


def drift(player: Player) -> None:
    """How far the fast weights have moved."""
    figure = plots.drift(_drawn(player), **_axes(player))
    _chart("drift", figure, headlines.drift(player.shown), player)
    _look(
        "steep at first, then flatter. A line that shoots up means too high an inner "
        "rate; a flat line means that nothing is being learned."
    )


def gradients(player: Player) -> None:
    """How large the inner gradients are, and where they are clipped."""
    figure = plots.gradients(_drawn(player), whole=player.shown, **_axes(player))
    _chart("gradients", figure, headlines.gradients(player.shown), player)
    _look(
        "what is above the red line is shortened to it before the step, so that no "
        "single page moves the weights too far. A red cross is a step that the guard "
        "refused because it was not finite; no size alone is refused."
    )


def overview(player: Player) -> None:
    """The whole reading in one strip."""
    cursor = player.chunk / plots.together(player.trace)
    figure = plots.overview(
        plots.coarse(player.trace), cursor=cursor, extent=_extent(player)
    )
    _chart("overview", figure, headlines.overview(player.shown), player)


def recall(player: Player) -> None:
    """What is still known of the needle."""
    needle = player.trace.header.needle
    figure = plots.recall(_drawn(player), **_axes(player))
    _chart("recall", figure, headlines.recall(player.shown), player)
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


def beside(player: Player) -> None:
    """Other models on the same text, each as what it saves."""
    others = {name: one.trace for name, one in players.beside().items()}
    first = player.shown
    figure = plots.side_by_side(first, others, extent=_extent(player))
    figure.update_layout(height=300)
    said = "; ".join(verdict(first, others))
    _chart("beside", figure, said or "The other models are being made ready", player)
    _look(
        "above zero, the other model pays less for the same words. Costs are compared "
        f"on the same bytes, per token of {plain(first.header.model)}."
    )


def beside_said(player: Player) -> None:
    """How the other models compare, where their figure is still out of sight."""
    others = {name: one.trace for name, one in players.beside().items()}
    if others and not player.trace.header.its_own_twin:
        said = "; ".join(verdict(player.shown, others))
        st.markdown(f"**{plain(said)}** (figure below).")


def _drawn(player: Player) -> traces.Trace:
    """What is on screen, with no more points than a screen can show."""
    return plots.coarse(player.shown)


def _points(player: Player) -> str:
    """How many chunks one point of the curves stands for, where these are several."""
    count = plots.together(player.shown)
    return f" One point stands for {count} chunks." if count > 1 else ""


def _axes(player: Player) -> dict:
    """The ends of the axes, which stay while the reading goes on."""
    return dict(extent=_extent(player), frame=plots.coarse(player.trace))


def _extent(player: Player) -> int:
    """The end of the x axis: fixed for a recording, doubling for a live reading."""
    chunk, total = player.trace.header.chunk, max(player.total, 1)
    if player.reading is None:
        return total * chunk
    shown = SHORTEST
    while shown < player.trace.filled:
        shown *= 2
    return min(shown, total) * chunk


def _chart(key: str, figure, said: str, player: Player) -> None:
    """The figure under what it says, in words that follow light and dark mode."""
    heading, height = figure.layout.title.text, figure.layout.height
    figure.update_layout(
        title=None,
        margin=dict(t=24, l=LEFT, r=RIGHT),
        height=height - 32,
        dragmode=False,
    )
    figure.update_yaxes(automargin=False)
    _clickable(figure)
    if figure.layout.showlegend:
        figure.update_layout(margin_t=30)
    place = f"chart-{key}"
    with st.container(gap=None):
        st.markdown(f"###### {plain(said)}")
        st.caption(plain(heading))
        st.plotly_chart(
            figure,
            key=place,
            theme=None,
            alt=f"{heading}. {said}.",
            config={"displayModeBar": False},
            selection_mode="points",
            on_select=lambda: _go_to(place, player.trace.header.chunk),
        )


def _clickable(figure) -> None:
    """Let a click choose a point of a line or a bar, and leave all as they look.

    A line has points to choose only if it has markers, so it is given some that are not
    seen. What is not chosen would fade.
    """
    for line in figure.select_traces(selector=dict(type="scatter", mode="lines")):
        unseen = dict(marker_opacity=0)
        line.update(mode="lines+markers", marker=dict(opacity=0))
        line.update(selected=unseen, unselected=unseen)
    for bars in figure.select_traces(selector=dict(type="bar")):
        bars.update(unselected=dict(marker_opacity=bars.marker.opacity))
        bars.update(selected=dict(marker_opacity=1))


def _go_to(place: str, chunk: int) -> None:
    """Take the text to the point that was clicked."""
    points = st.session_state[place]["selection"]["points"]
    if points and isinstance(x := points[0].get("x"), int | float):
        session.put(text_place=max(0, int((x - 1) // chunk)))


def _look(words: str) -> None:
    st.caption(f"**What to look for:** {words}")
