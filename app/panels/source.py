"""What is read: a recording, or any text read live, with or without a needle."""

import streamlit as st

from app import arrival, cache, player, session
from app.panels import learning, models
from app.plain import one_line, plain
from app.player import Player
from app.session import PASTE, UPLOAD
from lab.data import needles
from lab.names import closest
from lab.reading import changes, notes, plan
from lab.reading import session as reading
from lab.reading.programs import STAGES, Programs


CAPS = (4_096, 16_384, 65_536, 262_144)
SOURCES = {"recorded": "A recorded reading", "live": "Read live"}
_PIN = ("needle", "seed", "sentence")
NEEDLES = {"none": "None", "passkey": "A pass-key", "sentence": "My own sentence"}


def panel(shown: Player | None) -> None:
    """The title, and the choice between recordings and live reading, on one line."""
    with st.container(horizontal=True, vertical_alignment="center", key="source-row"):
        st.title("Watch it read", anchor=False, width="content")
        st.segmented_control(
            "What you watch",
            SOURCES,
            format_func=SOURCES.get,
            label_visibility="collapsed",
            **session.bound("source"),
        )
        if session.get("source") == "recorded":
            _recording()
        elif not is_open():
            _summary(shown)


def is_open() -> bool:
    """Whether the form of a live reading stands in place of a reading."""
    if session.get("source") != "live" or session.get("starting"):
        return False
    return session.get("form") or session.get("reading") is None


def form() -> None:
    """Set up a live reading."""
    _live()
    if session.get("reading") is not None:
        st.button("Back to the reading", key="back", on_click=_close)
    elif cache.models():
        asked, model = session.get("document"), plain(session.get("model"))
        document = "your text" if asked in (PASTE, UPLOAD) else plain(asked)
        st.info(
            f"Nothing is read yet. *Start reading* lets {model} read {document}; "
            "*A recorded reading* shows what is recorded."
        )
    if cache.models():
        status()


def _summary(shown: Player | None) -> None:
    """What is being read live, and the way to something else."""
    said = f"{session.get('document')} read by {session.get('model')}"
    if shown is not None:
        header = shown.trace.header
        changed = changes.in_words(header.provenance)
        reader = f"{header.model}, changed" if changed else header.model
        said = f"{header.document} read by {reader}, {header.total:,} tokens"
    st.markdown(plain(said), width="content")
    st.button("Another text or model", key="again", on_click=_open)


def _open() -> None:
    session.put(form=True, playing=False)


def _close() -> None:
    session.put(form=False)


def chosen() -> Programs:
    """The programs of the model chosen; the session holds them, so they stay."""
    programs = cache.programs(session.get("model"), learning.changes())
    session.put(programs=programs)
    return programs


@st.fragment(run_every=1.0)
def status() -> None:
    """The state of the background work, in words, every second until all is ready."""
    programs = chosen()
    if programs.error:
        st.caption(plain(programs.error))
        return
    ready = [programs.words(s) for s in STAGES if programs.ready(s)]
    words = [word for word in (*ready, programs.now) if word]
    lead = "Ready to read live" if programs.finished else "In the background"
    st.caption(f"{lead}: {' · '.join(words)}.")


def begin_if_asked() -> None:
    """Make the reading once the model is open; show a problem as a sentence."""
    programs = chosen()
    if not (programs.ready("model") or programs.finished):
        return
    session.put(starting=False)
    try:
        with st.spinner("The text is made into tokens ..."):
            started = _reading(programs)
    except (ValueError, OSError, ModuleNotFoundError) as problem:
        session.put(problem=str(problem), playing=False, form=True)
        return
    cache.shelf().readings.add(started)
    models.begin()
    player.show(started)


def _recording() -> None:
    headers = cache.recordings()
    if not headers:
        return
    if session.get("recording") not in headers:
        session.put(recording=next(iter(headers)))
    # The tour moves on to another recording while this box stays where it is.
    st.session_state["widget-recording"] = session.get("recording")
    st.selectbox(
        "Recording",
        list(headers),
        format_func=lambda name: _title(headers[name]),
        label_visibility="collapsed",
        key="widget-recording",
        on_change=_change_recording,
    )


def _change_recording() -> None:
    name = st.session_state["widget-recording"]
    # This is also called when the widget appears or disappears, with no new choice.
    if name in (None, session.get("recording")):
        return
    arrival.show(name)
    session.put(playing=False, problem=None)
    player.move(None)


def _title(header) -> str:
    needle = ", with a needle" if header.needle else ""
    return one_line(f"{header.document} read by {header.model}{needle}")


def _live() -> None:
    if not cache.models():
        st.info(
            "No trained model is published here yet. Train one with "
            "`ttt-lab train tiny-e2e`, then come back."
        )
        return
    what, who, cap = st.columns([3, 3, 2])
    with what:
        _document()
    with who:
        models.choose()
    with cap:
        st.selectbox(
            "Read at most",
            CAPS,
            format_func=lambda n: f"{n:,} tokens",
            **session.bound("cap"),
        )
    models.choose_along()
    models.described()
    with st.container(horizontal=True, vertical_alignment="bottom", key="start-row"):
        with st.popover(_needle_label(), icon=":material/push_pin:"):
            _needle()
        learning.panel()
        st.button(
            "Start reading",
            type="primary",
            icon=":material/auto_stories:",
            on_click=_start,
            key="start",
        )


def _document() -> None:
    names = cache.document_names()
    asked = session.get("document")
    known = [PASTE, UPLOAD, *names]
    # An unknown name from the URL can still be chosen: the start reports the problem.
    known += [asked] if asked not in known else []
    st.selectbox(
        "Document",
        known,
        format_func=one_line,
        key=session.bound("document")["key"],
        on_change=_change_document,
    )
    if asked == PASTE:
        st.text_area("Your text", max_chars=2_000_000, **session.bound("pasted"))
        _own(session.get("pasted"))
    if asked == UPLOAD:
        st.file_uploader(
            "A text file, at most 5 MB", key="upload", on_change=_keep_upload
        )


def _own(text: str) -> None:
    """What happens to a text of one's own: how much is read, and who sees it."""
    tokens, cap = round(len(text) / notes.CHARACTERS), session.get("cap")
    said = "The page's address does not hold it."
    if tokens > cap:
        said = f"About {tokens:,} tokens; the first {cap:,} are read. {said}"
    st.caption(said)


def _change_document() -> None:
    """Keep the choice; a recording's needle is not planted in a text of one's own."""
    asked, name = st.session_state["widget-document"], session.get("recording")
    session.put(document=asked)
    header = cache.recordings().get(name)
    if asked not in (PASTE, UPLOAD) or header is None:
        return
    theirs = arrival.described(header)
    if all(session.get(part) == theirs.get(part, session.get(part)) for part in _PIN):
        session.put(needle="none", sentence="")


def _keep_upload() -> None:
    file = st.session_state["upload"]
    session.put(uploaded=(file.name, file.getvalue()) if file else None)


def _needle_label() -> str:
    depth = f" at {session.get('depth'):.0%}"
    planted = session.get("needle")
    return {
        "none": "Plant a needle",
        "passkey": f"Needle: pass-key {session.get('seed')}{depth}",
        "sentence": f"Needle: my sentence{depth}",
    }[planted]


def _needle() -> None:
    st.caption(
        "A sentence hidden in the document. After each chunk the model is asked for "
        "the end of the sentence, on a copy that learns nothing from the question."
    )
    st.segmented_control(
        "Needle", NEEDLES, format_func=NEEDLES.get, **session.bound("needle")
    )
    kind = session.get("needle")
    if kind == "none":
        return
    if kind == "passkey":
        st.number_input("Which pass-key", 0, session.SEEDS - 1, **session.bound("seed"))
    else:
        st.text_input(
            "Your sentence, whose end is asked for; or question|answer",
            max_chars=300,
            placeholder="The name of the captain's cat is Bartholomew.",
            **session.bound("sentence"),
        )
    st.slider(
        "Where: 0 is the document's start, 1 its end",
        0.0,
        1.0,
        step=0.05,
        **session.bound("depth"),
    )
    try:
        needle = _planned()
    except ValueError as problem:
        st.caption(plain(problem))
    else:
        asked, answer = plain(needle.question), plain(needle.answer.strip())
        st.caption(f"Asked: “{asked} …” Answer: “{answer}”")


def _planned() -> needles.Needle | None:
    kind = session.get("needle")
    if kind == "passkey":
        return needles.passkey(session.get("seed"))
    if kind == "sentence":
        return needles.from_sentence(session.get("sentence"))
    return None


def _start() -> None:
    cache.shelf().forget(learning.called())
    session.put(starting=True, playing=False, problem=None, reading=None)
    session.put(source="live", companions={}, form=False)


def _reading(programs: Programs) -> reading.Reading:
    name, text = _text()
    return reading.Reading(
        programs,
        text,
        document=name,
        needle=_planned(),
        at=session.get("depth"),
        tokens=session.get("cap"),
        seed=session.get("seed") if session.get("needle") == "passkey" else None,
        command="explorer",
        rate=session.get("rate"),
    )


def _text() -> tuple[str, str]:
    name = session.get("document")
    if name == PASTE:
        return "pasted text", session.get("pasted")
    if name != UPLOAD:
        return name, _catalogued(name)
    if session.get("uploaded") is None:
        raise ValueError("No file has been uploaded yet: choose a text file.")
    file, data = session.get("uploaded")
    return file, plan.text_from_bytes(data, file)


def _catalogued(name: str) -> str:
    names = cache.document_names()
    # A name may come from a URL, so only the catalogue is opened, never a path.
    if name not in names:
        close = closest(name, names)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"There is no document {name!r} in the catalogue.{meant}")
    return cache.text(name)
