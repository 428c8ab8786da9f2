"""When it breaks: failures that one can provoke; first predict, then watch.

What is shown was recorded, here or before; *Provoke it here* lets a job do it again
(`jobs.py`), and what it finds is kept for the next visitor. Nothing is computed here.
"""

import streamlit as st

from app import arrival, cache, jobs, session
from app.gallery import GALLERY, Exhibit
from app.panels import frame, guide
from app.plain import one_line, plain
from lab import plots
from lab.reading import failures
from lab.reading.notes import about
from lab.reading.verdicts import verdict


INTRO = """
Learning from whatever is read has failures of its own. Choose one, say what you expect,
and look. The :blue[learner] is the model as it should be, its :orange[twin] is frozen.
"""
MODEL = "tiny-e2e"  # of the recorded failures, and of what is to be predicted
EVERY_S = 1.0
PICTURE_S = 0.6  # from one picture to the next, while a failure plays
PICTURES = 24  # of a whole failure
USUAL_S = 30.0  # that a failure of `MODEL` takes


def stage() -> None:
    """One exhibit: the question on the left, then the answer, its figures beside it."""
    name = session.get("failure")
    exhibit = GALLERY[name]
    job = jobs.find("eval breaking", [name], model=_model())
    active = job is not None and job.state in jobs.ALIVE
    found = failures.load(name, _model(), verdict)
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
            st.info(
                f"Nothing is recorded here yet of {plain(_model())}: *Provoke it here*."
            )
        else:
            _figures(found, exhibit)
    if guess is not None and found is not None:
        _words(exhibit)
    _again(name, found, job, active)
    moves = active or session.get("breaking_plays")
    if session.get("was_breaking") != moves:
        session.put(was_breaking=moves)
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


def _model() -> str:
    """The model on screen: one that learns, and is here."""
    names = _learners()
    asked = session.get("breaking_model")
    return asked if asked in names or not names else names[0]


def _learners() -> list[str]:
    """The models that learn while they read, the usual one first."""
    names = [name for name, remark in cache.models().items() if not remark]
    return sorted(names, key=lambda name: name != MODEL)


def _answer(exhibit: Exhibit, guess: int, numbers: str) -> None:
    if _model() != MODEL:
        st.info(f"{plain(numbers)} The answer that is right is that of {MODEL}.")
        return
    if guess == exhibit.right:
        st.success(f"As you said. {plain(numbers)}", icon=":material/check:")
        return
    right = exhibit.choices[exhibit.right]
    icon = ":material/lightbulb:"
    st.warning(f"It is otherwise. {right} {plain(numbers)}", icon=icon)


def _figures(found: failures.Failure, exhibit: Exhibit) -> None:
    points = max(len(line.ends) for line in found.lines)
    upto = _slider(found.name, points)
    second = {
        "drift": plots.drift_when_broken,
        "held back": plots.held_back_when_broken,
    }[exhibit.second]
    frame.figure("broken-loss", plots.loss_when_broken(found, upto=upto))
    frame.figure("broken-second", second(found, upto=upto))


def _slider(name: str, points: int) -> int:
    """How many points are shown, by a slider that only shows while a failure plays.

    A slow browser keeps reporting old positions of its slider, so the one that shows is
    another than the one that is moved.
    """
    key, plays = f"upto-{name}", session.get("breaking_plays")
    upto = min(points, session.get("breaking_upto").get(name, points))
    if plays:
        upto = min(points, upto + -(-points // PICTURES))
        plays = upto < points
        session.put(breaking_plays=plays)
    _show(name, upto)
    key += "-playing" if plays else ""
    st.session_state[key] = upto
    with st.container(horizontal=True, vertical_alignment="bottom", key="play-row"):
        st.button(
            "Pause" if plays else "Play",
            icon=":material/pause:" if plays else ":material/play_arrow:",
            key="play-failure",
            on_click=_play,
            args=(name, points),
        )
        st.slider(
            "Points shown" if name == "tail" else "Chunks read",
            1,
            points,
            key=key,
            on_change=None if plays else lambda: _show(name, st.session_state[key]),
            disabled=plays,
        )
    return upto


def _show(name: str, upto: int) -> None:
    session.put(breaking_upto=session.get("breaking_upto") | {name: upto})


def _play(name: str, points: int) -> None:
    """Play on, or from the beginning if all is shown; or pause."""
    plays = not session.get("breaking_plays")
    if plays and session.get("breaking_upto").get(name, points) >= points:
        _show(name, 1)
    session.put(breaking_plays=plays)


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
        disabled=_model() not in cache.models(),
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
    weights = cache.weights()
    size = weights.get(_model(), 1) / weights.get(MODEL, weights.get(_model(), 1))
    takes = f"takes about {about(USUAL_S * max(1.0, size))}, in a process of its own."
    takes = f"Provoked here it {takes}"
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
        jobs.start("eval breaking", [name], title=title, model=_model())
    except ValueError as problem:
        session.put(breaking_problem=str(problem))


def _stop(name: str) -> None:
    job = jobs.find("eval breaking", [name], model=_model())
    try:
        job.stop()
    except ValueError as problem:
        session.put(breaking_problem=str(problem))


if session.begin():
    arrival.arrive()
st.title("When it breaks", anchor=False)
st.markdown(INTRO)
with st.container(horizontal=True, vertical_alignment="center", key="failure-row"):
    st.pills(
        "Failure",
        list(GALLERY),
        format_func=lambda name: GALLERY[name].title,
        label_visibility="collapsed",
        wrap=True,
        **session.bound("failure"),
    )
    if len(_learners()) > 1:
        session.put(breaking_model=_model())
        st.selectbox(
            "Model",
            _learners(),
            format_func=lambda name: one_line(f"Model: {name}"),
            label_visibility="collapsed",
            width=240,
            **session.bound("breaking_model"),
        )
job = jobs.find("eval breaking", [session.get("failure")], model=_model())
active = job is not None and job.state in jobs.ALIVE
every = PICTURE_S if session.get("breaking_plays") else EVERY_S if active else None
st.fragment(stage, run_every=every)()
