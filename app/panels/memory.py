"""Memories: what a reading left in the weights, kept, opened, asked and mixed."""

import math

import streamlit as st

from app import cache, session
from app.panels.downloads import file_name
from app.plain import one_line, plain
from lab import memories
from lab.memories import Memory
from lab.reading import remembering
from lab.reading.asking import OfMemory


FORMS = {
    "float32": "Exact (float32)",
    "float16": "Half the size (float16)",
    "rank8": "Smallest (rank 8)",
}
LARGE = 20e6  # weights; measuring what such a model's memory is worth takes minutes


def keeping(reading) -> None:
    """Keep what the current reading has learned."""
    header = reading.trace.header
    with st.expander("Keep what this reading left in the weights, as a file"):
        if not header.learns:
            name = plain(header.model)
            st.caption(f"{name} never learns, so a text leaves nothing in its weights.")
            return
        left, right = st.columns([3, 2])
        left.text_input(
            "Name", f"{header.document}-{header.model}"[:60], key="memory-name"
        )
        right.selectbox("Form", FORMS, format_func=FORMS.get, key="memory-form")
        small = cache.weights().get(header.model, 0) < LARGE
        st.toggle("Measure what it is worth (a few seconds)", small, key="measured")
        st.button("Keep it", icon=":material/save:", on_click=_keep, key="keep")
        _kept()


def source() -> OfMemory | None:
    """The memory that was opened, to be asked; ways to open one."""
    left, right = st.columns([2, 3], gap="medium")
    with left:
        _listed()
        st.file_uploader(
            "Upload a memory, at most 5 MB", key="memory-upload", on_change=_uploaded
        )
    if session.get("memory") is None:
        if not memories.paths():
            st.info(
                "There are no memories here yet. Choose *The current reading*, and "
                "keep what it has learned; or run `ttt-lab memory save`."
            )
        return None
    name, memory = session.get("memory")
    with right:
        _card(memory)
    if memory.card.model not in cache.models():
        made = plain(memory.card.model or "a model without a name")
        st.error(f"{made} made this memory, and is not here.")
        return None
    return OfMemory(cache.programs(memory.card.model), memory, name)


def mixing() -> None:
    """Mix the memory with another one of the same model."""
    name, memory = session.get("memory")
    others = [p.stem for p in memories.paths() if p.stem != name]
    with st.expander("Mix it with another memory, or keep it"):
        if others:
            left, right = st.columns(2)
            left.selectbox("Another memory", others, key="mix-with")
            right.slider("Share of the other", 0.0, 1.0, 0.5, 0.05, key="mix-share")
            st.button("Mix", icon=":material/blender:", on_click=_mix, key="mix")
        else:
            st.caption("There is no other memory here to mix it with.")
        _download(name, memory)


def _listed() -> None:
    names = [path.stem for path in memories.paths()]
    if not names:
        return
    chosen = session.get("memory")
    known = names if chosen is None or chosen[0] in names else [chosen[0], *names]
    st.selectbox(
        "Memories kept here",
        known,
        index=known.index(chosen[0]) if chosen else None,
        format_func=one_line,
        placeholder="Choose one",
        key="memory-choice",
        on_change=_choose,
    )


def _choose() -> None:
    name = st.session_state["memory-choice"]
    # Only a name of the list is opened, never a path.
    if name in [path.stem for path in memories.paths()]:
        _open(lambda: memories.open_memory(memories.folder() / f"{name}.memory"), name)


def _uploaded() -> None:
    file = st.session_state["memory-upload"]
    if file is not None:
        name = one_line(file.name)
        _open(lambda: memories.open_bytes(file.getvalue(), name), name)


def _open(load, name: str) -> None:
    try:
        session.put(memory=(name, load()), asking=None, problem=None)
    except (ValueError, OSError) as problem:
        session.put(problem=str(problem), memory=None, asking=None)


def _keep() -> None:
    reading = session.get("reading")
    try:
        with st.spinner("Reading some chunks again, to see what the memory holds ..."):
            memory = remembering.remember(
                reading,
                form=st.session_state["memory-form"],
                measured=st.session_state["measured"],
            )
        path = remembering.keep(memory, st.session_state["memory-name"])
    except (ValueError, OSError) as problem:
        session.put(problem=str(problem))
        return
    session.put(memory=(path.stem, memory), problem=None)


def _kept() -> None:
    """The memory that was kept last."""
    if session.get("memory") is None:
        return
    name, memory = session.get("memory")
    st.success(
        f"{plain(name)} is among the memories here: choose *A memory file* to ask it."
    )
    _download(name, memory)


def _mix() -> None:
    name, memory = session.get("memory")
    other, share = st.session_state["mix-with"], st.session_state["mix-share"]
    try:
        found = memories.open_memory(memories.folder() / f"{other}.memory")
        parts = [(1 - share, name, memory), (share, other, found)]
        mixed = memories.mix_opened(parts)
    except (ValueError, OSError) as problem:
        session.put(problem=str(problem))
        return
    session.put(memory=(f"{name} + {other}", mixed), asking=None, problem=None)


def _download(name: str, memory: Memory) -> None:
    st.download_button(
        "Download the memory",
        data=lambda: memories.as_bytes(memory),
        file_name=f"{file_name(name, 'memory')}.memory",
        mime="application/octet-stream",
        icon=":material/download:",
        on_click="ignore",
        key="download-memory",
    )


def _card(memory: Memory) -> None:
    """Where it is from, and how large it is."""
    card = memory.card
    sizes = [share for shares in memories.sizes(memory).values() for share in shares]
    sizes = [share for share in sizes if math.isfinite(share)]  # W0 was not zero
    rows = {
        "What it read": card.title,
        "Tokens": f"{card.span[1] - card.span[0]:,} in {card.chunks:,} chunks",
        "Model": card.model,
        "Size": f"{memory.nbytes / 1e6:,.1f} MB, {card.form}",
        "Change": f"{min(sizes):.1%} to {max(sizes):.1%} of the weights, by matrix",
        "Learning saved": _nats(card.gain),
        "Read again, it saves": _nats(card.reread and card.reread.gain),
    }
    if card.mixed:
        del rows["Tokens"]
    st.table({head: plain(words) for head, words in rows.items() if words})


def _nats(gain) -> str:
    if gain is None:
        return ""
    return f"{gain.mean:+.3f} nats a token ({gain.low:+.3f} to {gain.high:+.3f})"
