"""Where the numbers on screen come from, and the file that holds them all."""

import streamlit as st

from app.player import Player
from lab import traces


def setup(player: Player) -> None:
    """One line on the model and its sizes."""
    header = player.trace.header
    reach = (
        f"its attention reaches {header.reach:,} tokens back"
        if header.reach
        else "its attention reaches back to the start"
    )
    kind = "Live" if player.reading else "Recorded"
    st.caption(
        f"{kind}: {header.document}, read by {header.model}: {header.chunk} tokens "
        f"a chunk, {header.layers} blocks of which {header.fast_blocks} learn; {reach}."
    )


def provenance(player: Player) -> None:
    """Command, commit, hashes; and the trace as a download."""
    header = player.trace.header
    with st.expander("Where these numbers come from"):
        known = header.provenance | {"model_hash": header.model_hash}
        known = {name: _short(value) for name, value in known.items()}
        st.table({name.replace("_", " "): value for name, value in known.items()})
        st.caption(
            "The file holds every number on this page; `lab.traces.load` opens it."
        )
    st.download_button(
        "Download the trace",
        data=lambda: traces.to_bytes(player.trace),
        file_name=f"{header.document.replace('/', '-')}.npz",
        mime="application/octet-stream",
        icon=":material/download:",
        on_click="ignore",
        key="download",
    )


def _short(value) -> str:
    """A hash by its beginning, nothing by a word."""
    text = "none" if value in (None, "") else str(value)
    return f"{text[:16]}…" if len(text) == 64 and " " not in text else text
