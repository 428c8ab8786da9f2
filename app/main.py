"""The explorer's front door: page set-up and the list of pages.

Run it with `streamlit run app/main.py`. Read `views/start.py`, `views/watch.py` next.
"""

from pathlib import Path

import streamlit as st

from app.panels import guide


# The icon shows two bars, the learner's lower than its twin's. A named icon would be
# downloaded.
ICON = str(Path(__file__).with_name("icon.png"))

# Streamlit leaves six rem above the title for a menu, and this app has no menu.
# The key that plays and pauses stands beside the word.
STYLE = """<style>
.stMainBlockContainer {padding-top: 4rem}
.stMainBlockContainer h1 {font-size: 1.75rem; padding: .4rem 0}
.st-key-play button::after {content: "Space"; margin-left: .6em; opacity: .7;
  font-size: .8em}
</style>"""

PAGES = [
    st.Page("views/start.py", title="Start", default=True),
    st.Page("views/watch.py", title="Watch it read"),
    st.Page("views/ask.py", title="Ask it"),
    st.Page("views/inside.py", title="Inside the weights"),
    st.Page("views/compare.py", title="Compare"),
    st.Page("views/train.py", title="Train one"),
    st.Page("views/breaks.py", title="When it breaks"),
    st.Page("views/machine.py", title="This machine"),
]

st.set_page_config(page_title="TTT-E2E Lab", page_icon=ICON, layout="wide")
st.html(STYLE)
page = st.navigation(PAGES, position="top")
guide.arrive()
guide.bar(page.title)
page.run()
