"""What pages of kept results share: a figure with its headline, and its numbers."""

import streamlit as st

from app import kept
from app.panels.downloads import file_name
from app.plain import plain
from lab.results import Kept


BARE = {"displayModeBar": False, "displaylogo": False}


def show(drawn, *, key: str, headline: str = "", most: int = 2_000, **more):
    """A figure under its own title as a heading, which follows light and dark mode.

    `headline`: what a reader who cannot see the figure is told. `most`: pixels of its
    height. Returns what a click has selected, where `more` asks for it.
    """
    heading, height = drawn.layout.title.text, min(drawn.layout.height - 32, most)
    drawn.update_layout(title=None, margin_t=24, height=height, dragmode=False)
    with st.container(gap=None):
        st.markdown(f"###### {plain(heading)}")
        return st.plotly_chart(
            drawn, key=key, theme=None, config=BARE, alt=headline or heading, **more
        )


def downloads(one: Kept, drawn, *, key: str, part: str) -> None:
    """The command that made a result, with its figure and its numbers as files."""
    command = one.provenance.get("command", "")
    if command:
        st.caption("Made by")
        st.code(command, language="bash", wrap_lines=True)
    st.caption(
        " · ".join(
            plain(f"{name} {value}")
            for name in ("date", "commit", "cores")
            if (value := one.provenance.get(name)) not in (None, "")
        )
    )
    name = file_name(one.name, "result")
    with st.container(horizontal=True):
        st.download_button(
            "The figure (HTML)",
            data=lambda: kept.as_html(drawn),
            file_name=f"{name}-{part}.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
            key=f"{key}-html",
        )
        st.download_button(
            "The numbers (JSON)",
            data=lambda: kept.as_json(one),
            file_name=f"{name}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            key=f"{key}-json",
        )


def problems() -> None:
    """A line on kept files that cannot be opened."""
    if said := kept.damaged():
        st.warning(plain(" ".join(said)), icon=":material/warning:")
