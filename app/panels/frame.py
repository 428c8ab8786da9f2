"""A figure in the page's frame: a heading that the page sets, and a line below."""

import streamlit as st


def figure(key: str, drawn, *, heading: str = "") -> None:
    """A figure under a heading of the page, which follows light and dark mode.

    `heading`: Markdown instead of the figure's own title.
    """
    title, height = drawn.layout.title.text, drawn.layout.height
    drawn.update_layout(title=None, margin_t=24, height=height - 32, dragmode=False)
    with st.container(gap=None):
        st.markdown(f"###### {heading or title}")
        st.plotly_chart(
            drawn, key=f"chart-{key}", theme=None, config={"displayModeBar": False}
        )


def look(words: str) -> None:
    """A line on what to look for, in Markdown."""
    st.caption(f"**What to look for:** {words}")
