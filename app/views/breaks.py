"""When it breaks: failures that one can provoke; first predict, then watch.

What is shown was recorded, here or before; *Provoke it here* lets a job do it again
(`jobs.py`), and what it finds is kept for the next visitor. Nothing is computed here.
"""

import streamlit as st

from app import arrival, cache, jobs, session
from app.gallery import GALLERY, Exhibit
from app.panels import frame, guide
from app.plain import plain
from lab import plots
from lab.reading import failures
from lab.reading.verdicts import verdict


INTRO = """
Learning from whatever is read has failures of its own. Choose one, say what you expect,
and look. The :blue[learner] is the model as it should be, its :orange[twin] is frozen.
"""
MODEL = "tiny-e2e"
EVERY_S = 1.0


def stage() -> None:
    """One exhibit: the question on the left, then the answer, its figures beside it."""
    name = session.get("failure")
    exhibit = GALLERY[name]
    job = jobs.find("eval breaking", [name], model=MODEL)
    active = job is not None and job.state in jobs.ALIVE
    found = failures.load(name, MODEL)
    left, right = st.columns([4, 5], gap="medium")
    with left:
        st.markdown(f"**What is done.** {exhibit.happens}")
        guess = None if guide.is_asking() else _question(name, exhibit)
        if guess is not None and found is not None:
            _answer(exhibit, guess, verdict(found))
            frame.look(exhibit.see)
            _written(found)
    with right:
        if guess is None:
            st.info("Say what you expect: the figures appear here at once.")
        elif found is None:
            st.info("Nothing is recorded here yet: *Provoke it here*.")
        else:
            _figures(found, exhibit)
    if guess is not None and found is not None:
        _words(exhibit)
    _again(name, found, job, active)
    if session.get("was_breaking") != active:
        session.put(was_breaking=active)
        st.rerun()  # the whole page, which sets the fragment's clock or stops it


def _question(name: str, exhibit: Exhibit) -> int | None:
    """The visitor's prediction, kept as long as the visit lasts."""
    guesses, key = session.get("guesses"), f"guess-{name}"
    if st.session_state.get(key) is None:
        # The tour asks the same question, and its answer holds here, too.
        st.session_state[key] = guesses.get(name)
    chosen = st.radio(
        f"**Predict first.** {exhibit.question}",
        range(len(exhibit.choices)),
        index=None,
        format_func=lambda n: exhibit.choices[n],
        key=key,
    )
    session.put(guesses=guesses | ({} if chosen is None else {name: chosen}))
    return chosen


def _answer(exhibit: Exhibit, guess: int, numbers: str) -> None:
    if guess == exhibit.right:
        st.success(f"As you said. {plain(numbers)}", icon=":material/check:")
        return
    right = exhibit.choices[exhibit.right]
    icon = ":material/lightbulb:"
    st.warning(f"It is otherwise. {right} {plain(numbers)}", icon=icon)


def _figures(found: failures.Failure, exhibit: Exhibit) -> None:
    points = max(len(line.ends) for line in found.lines)
    upto = st.session_state.get(f"upto-{found.name}", points)
    second = {
        "drift": plots.drift_when_broken,
        "held back": plots.held_back_when_broken,
    }[exhibit.second]
    frame.figure("broken-loss", plots.loss_when_broken(found, upto=upto))
    frame.figure("broken-second", second(found, upto=upto))
    unit = "Points shown" if found.name == "tail" else "Chunks read"
    st.slider(unit, 1, points, points, key=f"upto-{found.name}")


def _written(found: failures.Failure) -> None:
    """What the readers wrote, first and last."""
    for line in found.lines:
        if line.said:
            st.caption(f"The reader that {plain(line.name)}, at first and at last:")
            for text in line.said:
                st.text(" ".join(text.split()))


def _words(exhibit: Exhibit) -> None:
    does, does_not = st.columns(2, gap="medium")
    does.markdown(f"**What protects the model.** {exhibit.guard}")
    does_not.markdown(f"**What does not.** {exhibit.open_door}")


def _again(name: str, found, job: jobs.Job | None, active: bool) -> None:
    """Where the numbers come from, and the button that makes them anew."""
    button, words = st.columns([2, 6], vertical_alignment="center")
    button.button(
        "Stop" if active else "Provoke it here",
        key="provoke",
        disabled=MODEL not in cache.models(),
        width="stretch",
        on_click=_stop if active else _provoke,
        args=(name,),
    )
    if session.get("breaking_problem"):
        words.error(plain(session.get("breaking_problem")))
    elif job is not None and (active or job.state != jobs.DONE):
        words.markdown(plain(jobs.sentence(job)))
    else:
        words.caption(_origin(found))


def _origin(found: failures.Failure | None) -> str:
    takes = "Provoked again it takes about half a minute, in a process of its own."
    if found is None:
        return takes
    date = str(found.provenance.get("date", "an unknown day"))[:10]
    return (
        f"{plain(found.model)} on {plain(found.document)}, recorded on {plain(date)} "
        f"in {found.seconds:.0f} s. {takes}"
    )


def _provoke(name: str) -> None:
    session.put(breaking_problem=None)
    title = f"“{GALLERY[name].title}”"
    try:
        jobs.start("eval breaking", [name], title=title, model=MODEL)
    except ValueError as problem:
        session.put(breaking_problem=str(problem))


def _stop(name: str) -> None:
    job = jobs.find("eval breaking", [name], model=MODEL)
    try:
        job.stop()
    except ValueError as problem:
        session.put(breaking_problem=str(problem))


if session.begin():
    arrival.arrive()
st.title("When it breaks", anchor=False)
st.markdown(INTRO)
st.pills(
    "Failure",
    list(GALLERY),
    format_func=lambda name: GALLERY[name].title,
    label_visibility="collapsed",
    **session.bound("failure"),
)
job = jobs.find("eval breaking", [session.get("failure")], model=MODEL)
active = job is not None and job.state in jobs.ALIVE
st.fragment(stage, run_every=EVERY_S if active else None)()
