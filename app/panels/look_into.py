"""A look at a text of one's own: chosen here, taken by a command, found in the list.

The command runs outside the web process (`app/jobs.py`), and lasts if the page is left.
"""

import streamlit as st

from app import cache, jobs, kept, player, session
from app.plain import one_line, plain
from app.session import PASTE, UPLOAD
from lab import checkpoints, published, runs
from lab.analysis import looks
from lab.analysis.looks import LOOKS
from lab.reading import changes, notes, plan
from lab.reading.asking import Asking, OfReading


CAPS = (4_096, 8_192, 16_384, 65_536, 131_072)
ON_SCREEN = "The text read last"
ALL = "all"
REFUSALS = (ValueError, OSError)


def form() -> None:
    """What to look into: a text, a model, a look, how much; and the button."""
    learners = [name for name, remark in cache.models().items() if not remark]
    # It closes once a look begins: what is found appears where it stands.
    with st.popover(
        "Your own text", icon=":material/biotech:", key="look-form", on_change="rerun"
    ):
        if not learners:
            st.caption("No model that learns is published here yet.")
            return
        _text_fields()
        _model(learners)
        names = [ALL, *LOOKS]
        st.selectbox(
            "Which look",
            names,
            format_func=lambda name: (
                "All ten, one after the other"
                if name == ALL
                else f"{LOOKS[name].title}: {LOOKS[name].question}"
            ),
            **session.bound("wanted_look"),
        )
        st.selectbox(
            "Read at most",
            CAPS,
            format_func=lambda n: f"{n:,} tokens",
            **session.bound("look_cap"),
        )
        st.caption(_beforehand())
        st.button(
            "Take the look",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_start,
            key="look-start",
        )


def teachers(work: Asking) -> None:
    """The way from an answer that the text holds to the passages that taught it."""
    if not isinstance(work.source, OfReading) or not work.question.answer:
        return
    # While an answer is written the browser asks for run after run of this page, and
    # one that arrives at the next page leaves it blank.
    if not work.done:
        return
    reading, answer = work.source.reading, work.question.answer
    known = answer in reading.plan.text.decode("utf-8", "replace")
    # A look is taken of models as they were trained, and of those that learn.
    changed = changes.in_words(reading.trace.header.provenance)
    if not known or changed or not reading.trace.header.learns:
        return
    model, tokens = reading.trace.header.model, reading.trace.read
    cap = next((most for most in CAPS if most >= tokens), CAPS[-1])
    took = looks.together(["influence"], tokens, parameters=_parameters(model))
    if st.button(
        f"Which passages taught it “{one_line(plain(answer))}”?",
        icon=":material/biotech:",
        key="who-taught",
        help="The text is read again without each passage in turn: about "
        f"{_duration(took)} on two free cores.",
    ):
        session.put(look_document=ON_SCREEN, look_model=model, look_cap=cap)
        session.put(wanted_look="influence")
        _start(word=answer)
        st.switch_page("views/inside.py")


def is_mine(subject) -> bool:
    """Whether a visitor's text that was looked into is this visitor's."""
    if subject.document in session.get("looked"):
        return True
    try:
        name, text = _text()
    except REFUSALS:
        return False
    return kept.same_text(subject.document, name, text)


def status() -> None:
    """The looks that are being taken, how far they are, and a button to stop."""
    if session.get("look_problem"):
        st.error(plain(session.get("look_problem")), icon=":material/error:")
    mine = session.get("look_job")
    running = [job for job in jobs.queue() if job.verb.startswith("inspect")]
    if running:
        _running()
    elif mine is not None:
        _ended(mine)


def open_what_is_done() -> None:
    """Once this visitor's look is done, show it: its subject and its kind."""
    job, opens = session.get("look_job"), session.get("look_opens")
    if job is not None and opens is not None and job.state == jobs.DONE:
        session.put(look_opens=None, taught=0, **opens)


@st.fragment(run_every=1.0)
def _running() -> None:
    running = [job for job in jobs.queue() if job.verb.startswith("inspect")]
    if not running:
        st.rerun()  # what was found is in the list now
    for job in running:
        words, button = st.columns([6, 1], vertical_alignment="center")
        progress = job.progress
        said = jobs.sentence(job)
        if progress:
            said = f"{said} ({progress.words})"
        words.progress(progress.share if progress else 0.0, text=plain(said))
        button.button("Stop", key=f"stop-{job.key}", on_click=_stop, args=(job,))


def _ended(job) -> None:
    """How this visitor's last look ended, until the next one."""
    said = plain(jobs.sentence(job))
    if job.state == jobs.DONE:
        st.success(f"{said} It is in the list above.", icon=":material/check:")
    else:
        st.warning(said, icon=":material/warning:")


def _stop(job) -> None:
    try:
        job.stop()
    except ValueError as problem:
        session.put(look_problem=str(problem))


def _start(word: str | None = None) -> None:
    """Write the text down and ask for the command; show a problem as a sentence.

    `word`: the one whose teachers are named, None = those on which most was saved.
    """
    session.put(look_problem=None, look_job=None)
    st.session_state["look-form"] = False
    wanted, model = session.get("wanted_look"), session.get("look_model")
    try:
        document, shown = _document()
        title = "Ten looks" if wanted == ALL else f"The look “{LOOKS[wanted].title}”"
        job = jobs.start(
            f"inspect {wanted}",
            [],
            title=f"{title} at {shown}",
            document=document,
            model=model,
            tokens=session.get("look_cap"),
            word=word,
        )
    except REFUSALS as problem:
        session.put(look_problem=str(problem))
        return
    opens = {"subject": (model, document, True)}
    if wanted != ALL:
        opens["look"] = wanted
    looked = (*session.get("looked"), document)[-20:]
    session.put(look_job=job, look_opens=opens, looked=looked)


def _document() -> tuple[str, str]:
    """The document as the command takes it, and as everybody may be told of it."""
    name, text = _text()
    if name in cache.document_names():
        return name, name
    if not text.strip():
        raise ValueError("The text is empty: paste some, or choose a document.")
    return kept.own_text(name, text), "a visitor's text"


def _text() -> tuple[str, str]:
    """The name and the text of what is chosen.

    **Raises** `ValueError` where nothing is there yet, or the file is no text.
    """
    name = session.get("look_document")
    if name == ON_SCREEN:
        return _on_screen()
    if name == PASTE:
        return "pasted text", session.get("pasted")
    if name == UPLOAD:
        if session.get("uploaded") is None:
            raise ValueError("No file has been uploaded yet: choose a text file.")
        file, data = session.get("uploaded")
        return file, plan.text_from_bytes(data, file)
    return name, cache.text(name)


def _on_screen() -> tuple[str, str]:
    shown = player.current()
    if shown is None:
        raise ValueError("Nothing was read yet: choose another text.")
    header = shown.trace.header
    if header.document in cache.document_names():
        return header.document, cache.text(header.document)
    return header.document, shown.trace.text.decode("utf-8", "replace")


def _text_fields() -> None:
    names = [ON_SCREEN, PASTE, UPLOAD, *cache.document_names()]
    if session.get("look_document") not in names:
        session.put(look_document=ON_SCREEN)
    st.selectbox("Text", names, format_func=one_line, **session.bound("look_document"))
    if session.get("look_document") == PASTE:
        st.text_area("Your text", max_chars=2_000_000, **session.bound("pasted"))
    if session.get("look_document") == UPLOAD:
        st.file_uploader(
            "A text file, at most 5 MB", key="look-upload", on_change=_keep_upload
        )


def _keep_upload() -> None:
    if file := st.session_state["look-upload"]:
        session.put(uploaded=(file.name, file.getvalue()))


def _model(learners: list[str]) -> None:
    if session.get("look_model") not in learners:
        session.put(look_model=learners[0])
    st.selectbox(
        "Model, one that learns while it reads",
        learners,
        format_func=one_line,
        **session.bound("look_model"),
    )


def _beforehand() -> str:
    """How long it will take, in words."""
    try:
        name, text = _text()
    except REFUSALS as problem:
        return plain(str(problem))
    tokens = min(session.get("look_cap"), round(len(text) / notes.CHARACTERS))
    wanted, size = session.get("wanted_look"), _parameters(session.get("look_model"))
    names = LOOKS if wanted == ALL else [wanted]
    took = looks.together(names, tokens, parameters=size)
    return (
        f"{plain(name)}: about {tokens:,} tokens are read; this takes about "
        f"**{_duration(took)}** on two free cores. It goes on if you leave the page."
    )


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{round(seconds, -1):.0f} s"
    return f"{seconds / 60:.0f} minutes"


@st.cache_data(max_entries=64, ttl=60, show_spinner=False)
def _parameters(model: str) -> int | None:
    """How many parameters a model's card says that it has."""
    cards = runs.models() | checkpoints.kept() | published.models()
    return cards.get(model, {}).get("parameters")
