"""Inside the weights: ten looks at what a document left in a model's fast weights.

What is shown at once was found before, by `ttt-lab inspect`. A look at a text of one's
own is a command outside the web process, and is opened here when it is done.
"""

import streamlit as st

from app import address, arrival, kept, session
from app.panels import findings, look_into
from app.plain import one_line, plain
from lab import plots, published
from lab.analysis.headlines import headline
from lab.analysis.looks import LOOKS
from lab.measure.intervals import signed
from lab.plots.strength import NAMES
from lab.results import Kept


INTRO = """
After a document, only the fast weights have changed. Ten looks ask what of the
document is in them, each beside what one would see if nothing were.
"""
# The figure that is shown first, where it is not the first of its kind.
FIRST = {
    "influence": "taught",
    "anatomy": "blocks",
    "words": "words",
    "forgetting": "worth",
    "interference": "remedies",
}
COLUMNS = [7, 4]  # the figure, and the words beside it


def page() -> None:
    """The choice of a subject and a look, and what that look found."""
    st.title("Inside the weights", anchor=False)
    st.caption(INTRO)
    look_into.open_what_is_done()
    subjects = _subjects()
    with st.container(horizontal=True, vertical_alignment="bottom", key="subject-row"):
        chosen = _choose_subject(subjects)
        look_into.form()
    look_into.status()
    if chosen is None:
        st.info(
            "No look has been kept yet. Take them with `ttt-lab inspect all`, or with "
            "*Your own text*."
        )
        return
    _look(subjects[chosen])
    address.share(session.everything(), also="look")
    findings.problems()


def _subjects() -> dict[tuple, dict[str, Kept]]:
    """Model, document and whether it was read here; with the looks that were kept."""
    found: dict[tuple, dict[str, Kept]] = {}
    for one in kept.listed(*LOOKS):
        try:
            subject = kept.opened(one).subject
        except (ValueError, OSError):
            continue  # `findings.problems` names the file
        if kept.is_somebodys(subject.document) and not look_into.is_mine(subject):
            continue
        key = (subject.model, subject.document, kept.is_own(one))
        found.setdefault(key, {}).setdefault(one.kind, one)
    return found


def _choose_subject(subjects: dict) -> tuple | None:
    if not subjects:
        return None
    if session.get("subject") not in subjects:
        session.put(subject=next(iter(subjects)))
    st.selectbox(
        "What was read, and by whom",
        list(subjects),
        format_func=lambda key: one_line(_told(key, subjects[key])),
        label_visibility="collapsed",
        **session.bound("subject"),
    )
    return session.get("subject")


def _told(key: tuple, looks: dict[str, Kept]) -> str:
    """A subject in words, by the look that read most of the document."""
    about = [kept.opened(one).subject for one in looks.values()]
    most = max(about, key=lambda subject: subject.tokens)
    start = f" from token {most.start:,}" if most.start else ""
    own = ", looked into here" if key[2] else ""
    return f"{most.title}: {most.model}, {most.tokens:,} tokens{start}{own}"


def _look(looks: dict[str, Kept]) -> None:
    """One look of a subject: its headline, its figure, and the words beside it."""
    names = [name for name in LOOKS if name in looks]
    if session.get("look") not in names:
        session.put(look=names[0])
    st.segmented_control(
        "Look",
        names,
        format_func=lambda name: LOOKS[name].title,
        label_visibility="collapsed",
        **session.bound("look"),
    )
    one = looks[session.get("look")]
    result, look = kept.opened(one), LOOKS[one.kind]
    said = headline(result)
    st.markdown(f"**{look.question}** {plain(said[:1].upper() + said[1:])}")
    left, right = st.columns(COLUMNS, gap="medium")
    with left:
        part, drawn = _figure(one, result, said)
    with right:
        if aside := ASIDE.get(one.kind):
            aside(result)
        st.caption(f"**What to look for:** {plain(look.look_for)}")
        st.caption(f"**What would prove it wrong:** {plain(look.falsified)}")
    if not kept.is_own(one) and one.kind in published.findings():
        with st.expander("What we make of it, on the addresses and a novel"):
            st.markdown(published.findings()[one.kind])
    with st.expander("Where these numbers come from"):
        findings.downloads(one, drawn, key=f"inside-{one.kind}", part=part)


def _figure(one: Kept, result, said: str):
    """The figure that is chosen, with its own control, and its short name."""
    part = _part(one.kind)
    knobs, more = {}, {}
    if part == "taught":
        knobs = {"number": _token(result)}
        more = dict(on_select=_pick, selection_mode="points")
    if part == "blocks":
        knobs = {"time": _time(result)}
    if one.kind == "strength":
        knobs = {"alpha": _alpha(result)}
    drawn = kept.figure(one, part, **knobs)
    # A click is a selection of this figure, and the next figure has none.
    key = f"figure-{one.kind}-{part}-{knobs.get('number', '')}"
    st.session_state["clicked"] = key
    findings.show(drawn, key=key, headline=said, **more)
    return part, kept.figure(one, part, **knobs)


def _part(kind: str) -> str:
    """Which figure of a look is shown; its main one first."""
    parts = kept.parts(kind)
    first = FIRST.get(kind, parts[0])
    parts = [first, *(part for part in parts if part != first)]
    if len(parts) == 1:
        return first
    shown = st.segmented_control(
        "Figure",
        parts,
        default=first,
        format_func=str.capitalize,
        label_visibility="collapsed",
        key=f"part-{kind}",
    )
    return shown or first


def _token(result) -> int:
    """The number of the token whose teachers are shown."""
    return min(session.get("taught"), max(0, len(result.taught) - 1))


def _pick() -> None:
    """Choose the token that was clicked; a click beside all of them changes nothing."""
    clicked = st.session_state[st.session_state["clicked"]]
    for point in clicked["selection"]["points"]:
        number = point.get("customdata")
        if isinstance(number, list):
            number = number[0] if number else None
        if isinstance(number, int | float):
            session.put(taught=int(number))


def _time(result) -> int:
    """An index into the times at which the weights were measured."""
    tokens = [time * result.subject.chunk for time in result.times]
    shown = st.select_slider(
        "After so many tokens",
        tokens,
        value=tokens[-1],
        format_func=lambda count: f"{count:,}",
        key=f"time-{result.subject.stem}",
    )
    return tokens.index(shown)


def _alpha(result) -> float:
    """How much of the memory is taken; every amount was measured beforehand."""
    if session.get("strength") not in result.alphas:
        session.put(strength=result.alphas[result.at(1.0)])
    st.select_slider(
        "How much of the memory is taken: 0 = the weights before reading, 1 = all",
        result.alphas,
        format_func=lambda alpha: f"{alpha:g}",
        **session.bound("strength"),
    )
    return session.get("strength")


def _costs(result) -> None:
    """What each kind of passage costs with the amount chosen."""
    at = result.at(session.get("strength"))
    st.markdown(f"###### With {result.alphas[at]:g} times the memory")
    rows = [
        {
            "passages": NAMES[kind],
            "nats a token": f"{found.costs[at]:.3f}",
            "saved": signed(found.saved[at]),
        }
        for kind, found in result.passages.items()
    ]
    st.table(rows)


def _teachers(result) -> None:
    """The tokens that can be chosen, and who taught the chosen one."""
    if not result.taught:
        st.caption("Learning saved on no token that has a teacher.")
        return
    session.put(taught=_token(result))
    names = _names(result.taught)
    st.pills(
        "A token, and who taught it",
        range(len(result.taught)),
        format_func=names.__getitem__,
        wrap=True,
        **session.bound("taught"),
    )
    with st.container(height=300, key="teachers"):
        st.html(plots.taught_text(result, session.get("taught")))


def _names(taught) -> list[str]:
    """The labels of the buttons: a token that comes twice is told with its place.

    Streamlit takes two buttons with one label for the same button.
    """
    names = [_named(one) for one in taught]
    return [
        f"{name} at {one.place:,}" if names.count(name) > 1 else name
        for name, one in zip(names, taught, strict=True)
    ]


def _named(one) -> str:
    """A token as the label of a button, with the end of the word before it."""
    before = one.before.split()[-1:] if one.token[:1] == " " else []
    ending = one.before.split(" ")[-1] if not before else before[0]
    space = " " if before else ""
    return one_line(plain(f"…{ending[-9:]}{space}{one.token.strip()}"))


def _answers(result) -> None:
    """What models wrote when they were asked for a fact."""
    st.markdown("###### What they write when asked")
    with st.container(height=300, key="answers"):
        for one in result.examples:
            st.markdown(
                f"**{plain(one.model)}**, {one.distance:,} tokens later: "
                f"“{plain(one.question)} …”"
            )
            st.caption(
                f"Right: {plain(one.answer)} · learning: :blue[{plain(one.learning)}] "
                f"· frozen: :orange[{plain(one.frozen)}]"
            )


def _written(result) -> None:
    """How the text goes on, as each of the four readers writes it."""
    if not result.texts:
        return
    st.markdown("###### How it goes on, from the four states")
    with st.container(height=300, key="written"):
        for one in result.texts:
            st.markdown(f"After {one.read:,} tokens: “…{plain(one.before[-120:])}”")
            lines = [f"the text itself: {plain(one.after)}"]
            lines += [f"{plain(n)}: {plain(t)}" for n, t in one.written.items()]
            for line in lines:
                st.caption(line)


def _passages(result) -> None:
    """Passages that were read before, on which most was saved."""
    if not result.passages:
        return
    st.markdown("###### Passages read before")
    rows = [
        {
            "passage": plain(one.text),
            "nats saved": f"{one.nats:+.1f}",
            "tokens back": f"{one.back:,}",
        }
        for one in result.passages[:6]
    ]
    st.table(rows)


def _chunks_kept(result) -> None:
    """The chunks that gain most when they are read again at the end."""
    st.markdown("###### Best kept to the end")
    rows = [
        {
            "chunk": f"{plain(words)} …",
            "nats a token": f"{gain:+.2f}",
            "at token": f"{token:,}",
        }
        for token, words, gain in result.best_kept[:5]
    ]
    st.table(rows)


def _said_by_directions(result) -> None:
    """The directions beyond the nulls: what they write, and what excites them."""
    st.markdown("###### What they write, and when")
    with st.container(height=300, key="directions"):
        for one in result.shown:
            words = " · ".join(filter(None, map(str.strip, one.promoted)))
            st.markdown(
                f"**block {one.block}, {one.kind} {one.number}**: {plain(words)}"
            )
            for found in one.passages[:2]:
                lead = " ".join(found.text.split())[-60:]
                st.caption(plain(f"… {lead} → {found.follows.strip()}"))


# What stands beside the figure of a look, above its words.
ASIDE = {
    "influence": _teachers,
    "access": _answers,
    "forgetting": _written,
    "words": _passages,
    "retention": _chunks_kept,
    "directions": _said_by_directions,
    "strength": _costs,
}

if session.begin():
    arrival.arrive()
    session.put(look_problem=session.get("problem"))
page()
