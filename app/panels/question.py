"""The question and its dials; and the command and the lines that ask it elsewhere."""

import streamlit as st

from app import cache, session
from app.plain import plain
from lab.reading import asked_again, asking, changes
from lab.reading.asking import (
    ASK,
    COMPLETE,
    CONTINUE,
    Asking,
    OfMemory,
    OfReading,
    Question,
)


KINDS = {ASK: "Ask", COMPLETE: "Complete a sentence", CONTINUE: "Continue the text"}
HINTS = {
    ASK: "The beginning of a sentence, asked as a new paragraph",
    COMPLETE: "The beginning of a sentence; its end is written",
}
FIELDS = ("question", "answer")
DIALS = ("tokens", "temperature", "top_p", "dice", "alpha")


def panel(source) -> None:
    """The form; Enter asks, too."""
    st.segmented_control(
        "What to do",
        KINDS,
        format_func=KINDS.get,
        label_visibility="collapsed",
        **session.bound("asked"),
    )
    kind = session.get("asked")
    _prefill(source)
    with st.form("question-form", border=False):
        asks = kind != CONTINUE
        parts = st.columns([4, 3, 3] if asks else [1], vertical_alignment="bottom")
        if asks:
            _fields(kind, *parts[:2])
        with parts[-1].container(horizontal=True, vertical_alignment="bottom"):
            st.form_submit_button(
                KINDS[kind].split(maxsplit=1)[0],
                type="primary",
                icon=":material/forum:",
                on_click=_ask,
                args=(source,),
                key="ask",
            )
            _dials(source)
    work = session.get("asking")
    if work is not None and not work.done and work.is_of(source):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Stop", icon=":material/stop:", on_click=_stop, key="stop")
            st.caption(f"{plain(work.status)} …")


def again(source) -> None:
    """How to have the same answers outside of this page."""
    work = session.get("asking")
    if work is None or work.error or not work.is_of(source):
        return
    asked = _asked(work.source)
    with st.expander("The same outside of this page: a command, and Python"):
        if command := asked_again.command(asked, work.question):
            st.code(command, language="bash", wrap_lines=True)
        st.code(
            asked_again.lines(asked, work.question), language="python", wrap_lines=True
        )
        if said := _changed(work.source):
            st.caption(
                f"They ask {plain(asked.model)} as it was trained, and this reading "
                f"was made with {plain(said)}, which only `ttt-lab stream` takes."
            )
        if asked.document == asked_again.MINE and not asked.memory:
            st.caption("They read the text from `my.txt`, beside you.")
            st.download_button(
                "The text that was read, as my.txt",
                data=work.source.reading.plan.text,
                file_name=asked_again.MINE,
                mime="text/plain",
                icon=":material/download:",
                on_click="ignore",
                key="download-text",
            )
        if asked.memory:
            st.caption("The name is that of a file beside you, or of a kept memory.")


def _changed(source) -> str:
    """What was changed in the way in which a reading learned, in words."""
    if isinstance(source, OfMemory):
        return ""
    return changes.in_words(source.reading.trace.header.provenance)


def _fields(kind: str, left, right) -> None:
    for name in FIELDS:
        # A value that is written in every run would undo what is being typed.
        st.session_state.setdefault(f"typed-{name}", session.get(name))
    left.text_input(
        HINTS[kind],
        key="typed-question",
        max_chars=asking.LONGEST,
        placeholder="The hostages were held in",
    )
    right.text_input(
        "Its right end (optional)",
        key="typed-answer",
        max_chars=asking.LONGEST,
        placeholder="Iran",
    )


def _prefill(source) -> None:
    """Where a needle is planted, its question is the first to be asked."""
    needle = None if isinstance(source, OfMemory) else source.reading.plan.needle
    untouched = "typed-question" not in st.session_state and not session.get("question")
    if needle and untouched:
        session.put(question=needle.question, answer=needle.answer.strip())


def _dials(source) -> None:
    with st.popover("Dials", icon=":material/tune:"):
        for name in DIALS:
            st.session_state.setdefault(f"dial-{name}", session.get(name))
        st.slider("Tokens to write, at most", 1, 200, key="dial-tokens")
        st.slider(
            "Temperature: 0 = always the likeliest, 1 = as the model has it",
            0.0,
            2.0,
            step=0.1,
            key="dial-temperature",
        )
        st.slider(
            "top_p: only the likeliest tokens that together have this probability",
            0.05,
            1.0,
            step=0.05,
            key="dial-top_p",
        )
        st.number_input("Seed: another seed, other dice", 0, 9_999, key="dial-dice")
        if isinstance(source, OfMemory) or source.reading.trace.header.learns:
            st.slider(
                "alpha: how much of what was learned (1 = all, 0 = none)",
                0.0,
                asking.ALPHA,
                step=0.05,
                key="dial-alpha",
            )


def _ask(source) -> None:
    """Begin to answer what is typed."""
    for name in FIELDS:
        typed = st.session_state.get(f"typed-{name}")
        session.put(**{name: session.get(name) if typed is None else typed})
    for name in DIALS:
        set_to = st.session_state.get(f"dial-{name}")
        session.put(**{name: session.get(name) if set_to is None else set_to})
    kind = session.get("asked")
    typed = {} if kind == CONTINUE else _typed()
    try:
        asked = Question(
            kind=kind,
            tokens=session.get("tokens"),
            temperature=session.get("temperature"),
            top_p=session.get("top_p"),
            seed=session.get("dice"),
            alpha=session.get("alpha"),
            **typed,
        )
    except ValueError as problem:
        session.put(problem=str(problem), asking=None)
        return
    cache.shelf().order(source.programs.called, now=True)
    session.put(asking=Asking(source, asked), problem=None)
    if isinstance(source, OfReading):
        source.reading.note_question(asked.text or "how the text goes on", source.chunk)


def _typed() -> dict[str, str]:
    return {"text": session.get("question"), "answer": session.get("answer")}


def _stop() -> None:
    session.get("asking").stop()


def _asked(source) -> asked_again.Asked:
    """Who was asked, for the command and the lines."""
    loaded = source.programs.loaded
    names = dict(model=source.programs.name, tokenizer=loaded.tokenizer)
    if isinstance(source, OfMemory):
        return asked_again.Asked(**names, memory=source.called)
    header = source.reading.trace.header
    document = header.document
    is_listed = document in cache.document_names() and header.needle is None
    return asked_again.Asked(
        **names,
        document=document if is_listed else asked_again.MINE,
        read=source.read,
        learns=header.learns,
    )
