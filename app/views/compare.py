"""Compare: what was measured of several models, beside what the paper reports.

Results are the published ones and those of one's own run folder (`ttt-lab eval`,
`ttt-lab bench`). Nothing is measured here.
"""

import streamlit as st

from app import arrival, cache, kept, session
from app.panels import findings
from app.plain import one_line, plain
from lab import plots
from lab.evals import in_words
from lab.evals.paper import PAPER, REPORTED
from lab.evals.questions import QUESTIONS, Question
from lab.results import Kept


INTRO = """
Several models on the same texts, and what the paper reports of its own. Any two can be
pinned; their difference comes with its interval.
"""


PLAIN = "tiny-swa"  # trained plainly, with a sliding window
MOST = 370  # pixels of a figure's height: two stand side by side


def page() -> None:
    """A question, a result that answers it, and the paper's beside it."""
    st.title("Compare", anchor=False)
    st.caption(INTRO)
    with st.container(horizontal=True, vertical_alignment="center", key="panel-row"):
        st.segmented_control(
            "Question",
            QUESTIONS,
            format_func=lambda kind: QUESTIONS[kind].title,
            label_visibility="collapsed",
            wrap=True,
            **session.bound("compared"),
        )
        one = _choose(session.get("compared"))
        _mine()
    if one is None:
        return
    try:
        result = kept.opened(one)
    except (ValueError, OSError) as problem:
        st.error(plain(str(problem)), icon=":material/error:")
        return
    _panel(one, result, QUESTIONS[one.kind])
    findings.problems()


def _mine() -> None:
    """The way to models side by side on a text of one's own."""
    if not cache.models():
        return
    if st.button("On a text of mine", icon=":material/edit_note:", key="mine"):
        arrival.own_text(beside=[name for name in (PLAIN,) if name in cache.models()])
        st.switch_page("views/watch.py")


def _choose(kind: str) -> Kept | None:
    """The result that is shown, of those that answer the question."""
    found = {(one.name, kept.is_own(one)): one for one in kept.listed(kind)}
    if not found:
        st.info(
            "No result of this kind is kept here: `ttt-lab "
            f"{QUESTIONS[kind].command}` makes one."
        )
        return None
    chosen = st.selectbox(
        "Result",
        list(found),
        format_func=lambda key: one_line(_named(kind, *key)),
        label_visibility="collapsed",
        key=f"result-{kind}",
    )
    return found[chosen]


def _named(kind: str, name: str, own: bool) -> str:
    """A result's name without its kind."""
    short = name.removeprefix(kind).strip("-") or "this machine's reading bench"
    return f"{short}, measured here" if own else short


def _panel(one: Kept, result, asked: Question) -> None:
    """The headline, our figure and the paper's, two models pinned, the files."""
    said = in_words.headline(result)
    st.markdown(f"**{asked.question}** {plain(said)}")
    ours, theirs = st.columns(2, gap="medium")
    with ours:
        with st.container(horizontal=True, key="figure-row"):
            part = _part(one.kind, asked)
            only = _only(one, result)
        knobs = {} if only is None else {"only": only}
        drawn = kept.figure(one, part, **knobs)
        key = f"ours-{one.kind}-{part}"
        findings.show(
            kept.figure(one, part, **knobs), key=key, headline=said, most=MOST
        )
        st.caption(f"**What to look for:** {plain(asked.look_for)}")
    with theirs:
        if one.kind in REPORTED:
            _paper(one.kind, result)
        else:
            _beside(one, asked)
    _pinned(one, result)
    with st.expander("Where these numbers come from"):
        for note in getattr(result, "notes", ()):
            st.caption(plain(note))
        findings.downloads(one, drawn, key=f"compare-{one.kind}", part=part)


def _only(one: Kept, result) -> tuple[str, ...] | None:
    """Which models are drawn; None where there is nothing to choose."""
    names = in_words.labels(result)
    if len(names) < 2:
        return None
    with st.popover("Models shown", icon=":material/checklist:"):
        shown = st.pills(
            "Models shown",
            names,
            selection_mode="multi",
            default=names,
            format_func=one_line,
            wrap=True,
            key=f"shown-{one.name}",
        )
    return tuple(shown) or tuple(names)


def _part(kind: str, asked: Question) -> str:
    """Which of our figures is shown, by its short name."""
    shown = st.segmented_control(
        "Figure",
        asked.figures,
        default=next(iter(asked.figures)),
        format_func=asked.figures.get,
        label_visibility="collapsed",
        key=f"figure-{kind}",
    )
    return shown or next(iter(asked.figures))


def _paper(kind: str, result) -> None:
    """The paper's figure, its source, and what agrees."""
    reported = REPORTED[kind]
    with st.container(height=40, border=False, vertical_alignment="center"):
        st.caption(plain(f"{reported.source}, {PAPER}"))
    names = in_words.systems(in_words.labels(result))
    drawn = plots.reported_curves(reported, names)
    findings.show(drawn, key=f"paper-{kind}", headline=reported.title, most=MOST)
    st.caption(f"**Beside ours:** {plain(reported.beside(in_words.models(result)))}")


def _beside(one: Kept, asked: Question) -> None:
    """Where the paper has no such figure: ours of another kind."""
    with st.container(height=40, border=False, vertical_alignment="center"):
        st.caption(plain(f"{PAPER} has no counterpart."))
    other = list(asked.figures)[-1]
    drawn = kept.figure(one, other)
    findings.show(drawn, key=f"beside-{one.kind}", headline=asked.question, most=MOST)


def _pinned(one: Kept, result) -> None:
    """Two models, and by how much the one is ahead of the other."""
    names = in_words.labels(result)
    if len(names) < 2:
        return
    st.markdown("###### Two models, pinned")
    with st.container(horizontal=True, key="pinned-row"):
        first, second = (
            st.selectbox(
                title,
                names,
                index=i,
                format_func=one_line,
                label_visibility="collapsed",
                key=f"pin-{i}-{one.name}",
            )
            for i, title in enumerate(("One model", "Another model"))
        )
    try:
        st.markdown(plain(in_words.against(result, first, second)))
    except ValueError as problem:
        st.caption(plain(str(problem)))


if session.begin():
    arrival.arrive()
page()
