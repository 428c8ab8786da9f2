"""The answers, column by column: with window and weights, with one of them, without."""

import streamlit as st

from app import session
from app.plain import as_html, plain
from lab.reading.asking import (
    BOTH,
    CONTINUE,
    NEITHER,
    WEIGHTS,
    WINDOW,
    Asking,
    OfMemory,
)


# What to show: all columns, or one of the two memories beside nothing at all.
SHOWN = {
    "all": "Side by side",
    "weights": "Document gone, weights remain",
    "window": "Weights gone, document remains",
}
PICKED = {"weights": (WEIGHTS, NEITHER), "window": (WINDOW, NEITHER)}
# Blue has learned weights, orange those from before reading.
HEADS = {
    BOTH: (":blue[**Window and weights**]", "The reader as it is."),
    WEIGHTS: (":blue[**Weights only**]", "The document is gone."),
    WINDOW: (":orange[**Window only**]", "The weights are as before reading."),
    NEITHER: (":orange[**Neither**]", "The model that has read nothing."),
}
STYLE = (
    "white-space: pre-wrap; overflow-wrap: anywhere; min-height: 6em; "
    "line-height: 1.5; margin: 0"
)


def panel(source) -> None:
    """What is said so far."""
    work = session.get("asking")
    if work is None:
        return
    if work.error:
        st.error(plain(work.error), icon=":material/error:")
        return
    if work.columns:
        _answered(work)


def _answered(work: Asking) -> None:
    both = BOTH in work.columns
    if both:
        st.segmented_control(
            "Which memories",
            SHOWN,
            format_func=SHOWN.get,
            label_visibility="collapsed",
            **session.bound("columns"),
        )
    elif not isinstance(work.source, OfMemory):
        st.caption("This model never learns, so all that it knows is in its window.")
    picked = PICKED.get(session.get("columns")) if both else None
    names = [name for name in work.columns if picked is None or name in picked]
    _headline(work, names)
    for place, name in zip(st.columns(len(names)), names, strict=True):
        with place:
            _column(work, name)
    _look(work)


def _headline(work: Asking, names: list[str]) -> None:
    """One sentence with the number, if a right answer was given."""
    found = {name: work.columns[name] for name in names}
    if not work.question.answer or any(c.found is None for c in found.values()):
        st.markdown(f"**{_said(work)}**")
        return
    answer, none = plain(work.question.answer), found[NEITHER]
    main = next((n for n in (WEIGHTS, WINDOW) if n in found), names[0])
    first = "The weights alone" if main == WEIGHTS else "The window alone"
    times = _times(found[main].times(none))
    st.markdown(
        f"**{first} give “{answer}” a probability of "
        f"{_chance(found[main].probability)}, {times} the model that has read "
        f"nothing ({_chance(none.probability)}).**"
    )


def _said(work: Asking) -> str:
    where = "the memory" if isinstance(work.source, OfMemory) else "the text"
    if work.question.kind == CONTINUE:
        return f"How each would continue {where}"
    return "What each would say"


def _column(work: Asking, name: str) -> None:
    head, words = HEADS[name]
    column = work.columns[name]
    st.markdown(head)
    st.caption(words)
    if column.found is not None:
        st.markdown(
            f"{_chance(column.probability)} · place {column.place:,} · "
            f"{column.found.nats:.2f} nats a token"
        )
    cursor = "" if column.done else "▌"
    lead = f"<b>{as_html(work.question.text)}</b>" if work.question.text else ""
    written = as_html(column.written if lead else column.written.lstrip())
    nothing = "<i>(nothing: it ends at once)</i>" if column.done else ""
    text = f"{lead}{written or nothing}{cursor}"
    st.html(f'<div class="said" style="{STYLE}">{text}</div>')


def _look(work: Asking) -> None:
    if not work.question.answer:
        return
    st.caption(
        "The probability is that of the whole answer; the place is that of its worst "
        "token among all (1 = the model's own choice). **What to look for:** the "
        "weights far above *neither* is memory without the document; if they were no "
        "better, nothing of this answer was learned."
    )


def _chance(probability: float) -> str:
    """A probability as people read it."""
    if probability >= 0.01:
        return f"{probability:.0%}"
    if probability >= 1e-6:
        return f"1 in {1 / probability:,.0f}"
    return "less than 1 in a million"


def _times(times: float) -> str:
    """How many times as probable, in words."""
    if 1 / 1.05 < times < 1.05:
        return "the same as"
    more = max(times, 1 / times)
    size = f"{more:,.1f}" if more < 10 else f"{more:,.0f}"
    return f"{size} times that of" if times > 1 else f"{size} times less than"
