"""The answers, column by column: with window and weights, with one of them, without."""

import streamlit as st

from app import session
from app.panels import look_into
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
    WINDOW: (":orange[**Window only**]", "The weights are gone."),
    NEITHER: (":orange[**Neither**]", "It has read nothing."),
}
STYLE = (
    "white-space: pre-wrap; overflow-wrap: anywhere; min-height: 6em; "
    "line-height: 1.5; margin: 0"
)


def panel(source) -> None:
    """What is said so far."""
    work = session.get("asking")
    # The answers of one reading are none of another, or of a memory.
    if work is None or not work.is_of(source):
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
    look_into.teachers(work)


def _headline(work: Asking, names: list[str]) -> None:
    """One sentence with the number, if a right answer was given."""
    found = {name: work.columns[name] for name in names}
    if not work.question.answer or any(c.found is None for c in found.values()):
        st.markdown(f"**{_said(work)}**")
        return
    answer, none = plain(work.question.answer), found[NEITHER]
    main = next((n for n in (WEIGHTS, WINDOW) if n in found), names[0])
    first, make = ("weights", "make") if main == WEIGHTS else ("window", "makes")
    chances = [_chance(one.probability) for one in (found[main], none)]
    st.markdown(
        f"**The {first} alone {make} “{answer}” {_times(found[main].times(none))} the "
        f"model that has read nothing: {chances[0]} against {chances[1]}.**"
    )


def _said(work: Asking) -> str:
    where = "the memory" if isinstance(work.source, OfMemory) else "the text"
    if work.question.kind == CONTINUE:
        return f"How each would continue {where}"
    return "What each would say"


def _column(work: Asking, name: str) -> None:
    head, words = HEADS[name]
    column = work.columns[name]
    found = ""
    if column.found is not None:
        found = f"  \n{_chance(column.probability)} · place {column.place:,}"
        words = f"{column.found.nats:.2f} nats a token. {words}"
    with st.container(gap=None):
        st.markdown(f"{head}{found}")
        st.caption(words)
    cursor = "" if column.done else "▌"
    lead = f"<b>{as_html(work.question.text)}</b>" if work.question.text else ""
    written = as_html(column.written if lead else column.written.lstrip())
    nothing = " <i>(nothing: it ends at once)</i>" if column.done else ""
    nothing = " <i>(stopped)</i>" if work.stopped else nothing
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
    many = 1 / max(probability, 1e-30)
    for size, name in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million")):
        if many >= 1000 * size:
            return f"1 in over {1000}{name}"
        if many >= size:
            return f"1 in {many / size:,.0f}{name}"
    return f"1 in {many:,.0f}"


def _times(times: float) -> str:
    """How many times as probable, in words."""
    if 1 / 1.05 < times < 1.05:
        return "no likelier than"
    more = max(times, 1 / times)
    size = f"{more:,.1f}" if more < 10 else f"{more:,.0f}"
    size = "over a trillion" if more > 1e12 else size
    return f"{size} times {'as likely as' if times > 1 else 'less likely than'}"
