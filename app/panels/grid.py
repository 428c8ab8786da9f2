"""The needle grid, filling in live: how deep and how long ago may a fact be?"""

import streamlit as st

from app import session
from app.plain import plain
from lab import plots
from lab.data import needles
from lab.reading import pace
from lab.reading.grid import LENGTHS, Grid


def panel(reading) -> None:
    """The grid of the reading's text and model, behind a click."""
    work = session.get("grid")
    if work is not None and work.reading is not reading:
        work = None
        session.put(grid=None)
    with st.expander("Needle grid: by depth and length", expanded=work is not None):
        st.caption(
            "A sentence is hidden at five depths of the text, the text is read to "
            "several lengths, and the model is asked at the end. A cell is how many "
            "nats a token of the answer is cheaper than without the sentence."
        )
        _choose(reading)
        if work is not None:
            _drawn(work)


def _choose(reading) -> None:
    left, right = st.columns([3, 1])
    left.text_input(
        "The sentence to hide, whose end is asked for; or question|answer",
        max_chars=300,
        placeholder=_default().sentence,
        **session.bound("hidden"),
    )
    right.selectbox(
        "Lengths up to",
        LENGTHS,
        format_func=lambda n: f"{n:,} tokens",
        **session.bound("longest"),
    )
    work = session.get("grid")
    if work is None or work.done:
        st.button(
            "Fill the grid",
            icon=":material/grid_on:",
            on_click=_begin,
            args=(reading,),
            key="fill",
        )
    else:
        st.button("Stop", icon=":material/stop:", on_click=work.stop, key="stop-grid")


def _default() -> needles.Needle:
    return needles.passkey(session.get("seed") + 1)


def _begin(reading) -> None:
    hidden = session.get("hidden").strip()
    try:
        needle = needles.from_sentence(hidden) if hidden else _default()
        made = Grid.of(reading, needle, session.get("longest"))
    except ValueError as problem:
        session.put(problem=str(problem))
        return
    session.put(grid=made, pace=pace.Pace(), problem=None)


def _drawn(work: Grid) -> None:
    if work.error:
        st.error(plain(work.error), icon=":material/error:")
        return
    if not work.done:
        left = session.get("pace").left(work.read, work.total)
        words = f"{plain(work.status)}: {work.read:,} of {work.total:,} tokens. {left}"
        st.progress(work.read / work.total, words)
    st.markdown(f"**{_headline(work)}**")
    figure = plots.needle_grid(work.nats, work.lengths, work.depths, work.reach)
    figure.update_layout(title=None, dragmode=False, margin_t=28)
    st.plotly_chart(
        figure, key="chart-grid", theme=None, config={"displayModeBar": False}
    )
    asked = f"{plain(work.needle.question)} … {plain(work.needle.answer.strip())}"
    st.caption(
        f"Asked: “{asked}”. **What to look for:** above the dotted line the sentence "
        "has left attention's reach. A model that does not learn is at zero there; "
        "what is left is in the weights. One sentence is one draw: try others."
    )


def _headline(work: Grid) -> str:
    """The mean out of attention's reach, as far as it is known."""
    mean, count = work.beyond
    if not count:
        return "No cell is out of attention's reach yet."
    who = "the weights" if work.learns else "a model that never learns"
    if abs(mean) < 0.005:
        return f"Out of attention's reach ({count} cells) {who} know nothing: 0 nats."
    verb = "save" if mean > 0 else "cost"
    return (
        f"Out of attention's reach ({count} cells) {who} still {verb} "
        f"{abs(mean):.2f} nats a token of the answer."
    )
