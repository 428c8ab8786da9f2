"""The tour's bar above every page: predict, see, go on; and the way in on Start.

The place in the tour is a value of the session, and `?tour=3` leads to a stop.
"""

import streamlit as st

from app import address, arrival, cache, kept, player, session
from app.plain import plain
from app.tour import STOPS, VIEWS, Stop
from lab.analysis import headlines as looks
from lab.evals import in_words
from lab.plots import headlines
from lab.reading import failures
from lab.reading.verdicts import verdict


STYLE = """<style>
.stMainBlockContainer:has(.st-key-guide) {padding-top: 4rem}
.st-key-guide {border-left: 4px solid #2a8fd0; padding: .2rem 0 .2rem .9rem;
  gap: .3rem}
.st-key-guide p, .st-key-guide [data-testid=stMarkdownContainer] {margin: 0}
.st-key-guide [role=radiogroup] {gap: .1rem 1.2rem}
.st-key-guide button {min-height: 2rem; padding: .1rem .7rem}
[class*="st-key-POINTS"] {outline: 2px solid #2a8fd0; outline-offset: 1px;
  border-radius: 4px; scroll-margin: 16rem 0 1rem}
@media (max-width: 640px) {.st-key-guide-row > :first-child {flex-basis: 100%}}
</style>"""
# While the answer is on screen, it and the way on stay in sight above the panel.
STAYS = """<style>
:has(> .st-key-guide) {position: sticky; top: 3.75rem; z-index: 90;
  background: light-dark(#ffffff, #0e1117); padding-bottom: .4rem}
@media (max-width: 640px) {
  .st-key-guide {max-height: 38vh; overflow-y: auto; flex-wrap: nowrap}
  [class*="st-key-POINTS"] {scroll-margin-top: calc(38vh + 5rem)}
}
</style>"""
# The panel is brought into view while the page is still growing above it, and no longer
# once the visitor moves the page.
LEAD = """
export default function ({ data }) {
  let tries = 0;
  const stop = () => clearInterval(timer);
  const timer = setInterval(() => {
    const panel = document.querySelector(`[class*="st-key-${data.points}"]`);
    if (panel) panel.scrollIntoView({ block: "nearest" });
    if (++tries > 120) stop();
  }, 250);
  const moves = ["wheel", "touchstart", "keydown", "pointerdown"];
  moves.forEach((move) => document.addEventListener(move, stop, { once: true }));
  return () => {
    stop();
    moves.forEach((move) => document.removeEventListener(move, stop));
  };
}
"""


def arrive() -> None:
    """Lead a new visit whose address names a stop to that stop."""
    if not session.is_new():
        return
    values, _ = address.read(st.query_params)
    if number := values.get("tour"):
        session.begin()
        arrival.arrive()
        _enter(number)


def bar(page: str) -> None:
    """The bar above the page with the title `page`, while the tour runs."""
    number = None if session.is_new() else session.get("tour")
    if number is None:
        return
    session.begin()
    stop = STOPS[number - 1]
    style = STYLE + STAYS if _is_shown(number) else STYLE
    st.html(style.replace("POINTS", stop.points if _is_shown(number) else "no-panel"))
    with st.container(key="guide"):
        _moves(number, stop)
        if page != stop.page:
            if st.button(f"This stop is on {stop.page}: go there", key="tour-there"):
                _enter(number)
        elif _is_shown(number):
            _answer(number, stop)
        else:
            _question(number, stop)


def invitation() -> None:
    """The button of Start that begins the tour, or goes on where it was left."""
    left = session.get("tour_left")
    words = f"Go on with the tour, stop {left}" if left else "Take the tour, 10 minutes"
    if session.get("tour") is None and st.button(
        words, icon=":material/tour:", type="primary", key="tour-start"
    ):
        _enter(left or 1)


def is_asking() -> bool:
    """Whether a question of the tour is open on this page."""
    number = session.get("tour")
    return number is not None and not _is_shown(number)


def _is_shown(number: int) -> bool:
    return number in session.get("tour_shown")


def _moves(number: int, stop: Stop) -> None:
    """Where the tour is, and the buttons that move it."""
    last = number == len(STOPS)
    with st.container(horizontal=True, vertical_alignment="center", key="guide-row"):
        st.markdown(f"**Stop {number} of {len(STOPS)}: {stop.title}**", width="content")
        if st.button("Back", key="tour-back", disabled=number == 1):
            _enter(number - 1)
        if st.button("Finish" if last else "Next", key="tour-next"):
            _leave(None) if last else _enter(number + 1)
        if st.button("Leave the tour", key="tour-leave", type="tertiary"):
            _leave(number)


def _question(number: int, stop: Stop) -> None:
    """The prediction, and the button that shows what happens."""
    guesses = session.get("tour_guesses")
    chosen = st.radio(
        f"**Predict first.** {stop.question}",
        range(len(stop.choices)),
        index=guesses.get(number),
        format_func=lambda place: stop.choices[place],
        horizontal=True,
        key=f"tour-guess-{number}",
    )
    if chosen is not None:
        session.put(tour_guesses=guesses | {number: chosen})
    if stop.waits:
        st.caption(stop.waits)
    if st.button(
        "Show me",
        type="primary",
        icon=":material/visibility:",
        disabled=chosen is None,
        key="tour-show",
    ):
        _show(number, stop, chosen)


def _answer(number: int, stop: Stop) -> None:
    """What is right, the number that says so, why, and what to look at next."""
    as_said = session.get("tour_guesses").get(number) == stop.right
    right = (
        "As you said." if as_said else f"It is otherwise. {stop.choices[stop.right]}"
    )
    st.markdown(f":blue[**{right}**] {_found(stop)} {stop.why}")
    st.caption(f"**Look at:** {stop.panel}, outlined. **Next:** {stop.onward}")
    lead = st.components.v2.component("lead", js=LEAD)
    lead(key=f"lead-{number}", data={"points": stop.points}, height=1)


def _found(stop: Stop) -> str:
    """The number of a stop, in a sentence of the lab; empty where it is not kept."""
    try:
        said = _measured(stop)
    except (ValueError, OSError):
        return ""
    said = said.strip().rstrip(".")
    return plain(f"{said[:1].upper()}{said[1:]}.") if said else ""


def _measured(stop: Stop) -> str:
    if stop.recording:
        tell = getattr(headlines, stop.points.removeprefix("chart-"))
        told = tell(cache.recording(stop.recording)).removesuffix(" so far")
        return f"At the end of the text: {told[:1].lower()}{told[1:]}"
    if stop.page == "When it breaks":
        found = failures.load(stop.result, "tiny-e2e", verdict)
        return verdict(found) if found else ""
    one = _kept(stop)
    if one is None:
        return ""
    tell = in_words.headline if stop.page == "Compare" else looks.headline
    return tell(kept.opened(one))


def _kept(stop: Stop):
    kind = stop.result.split("-")[0]
    found = [one for one in kept.listed(kind) if one.name == stop.result]
    return next((one for one in found if not kept.is_own(one)), None)


def _enter(number: int) -> None:
    """Go to a stop: its page, in a state that gives nothing away."""
    stop = STOPS[number - 1]
    shown = tuple(one for one in session.get("tour_shown") if one != number)
    session.put(tour=number, tour_left=None, tour_shown=shown)
    session.put(playing=False, problem=None, text_place=None, **stop.before)
    if stop.recording in cache.recordings():
        session.put(source="recorded")
        arrival.show(stop.recording)
        player.move(stop.start)
    st.switch_page(VIEWS[stop.page])


def _show(number: int, stop: Stop, guess: int) -> None:
    """Set the controls of a stop, and play."""
    session.put(tour_shown=(*session.get("tour_shown"), number), **stop.shown)
    if stop.recording in cache.recordings():
        player.move(stop.start)
        session.put(playing=True)
    if stop.page == "Inside the weights":
        _choose_subject(stop)
    if stop.page == "When it breaks":
        session.put(guesses=session.get("guesses") | {stop.result: guess})
    if stop.page == "Ask it":
        _read()
    st.rerun()


def _choose_subject(stop: Stop) -> None:
    try:
        one = _kept(stop)
        subject = kept.opened(one).subject if one else None
    except (ValueError, OSError):
        return  # the page names the damaged file
    if subject:
        session.put(subject=(subject.model, subject.document, False))


def _read() -> None:
    """Begin the one live reading of the tour, by the model that recalls best."""
    models = cache.models()
    named = [one for one in ("tiny-e2e-recall", "tiny-e2e") if one in models]
    if not models or session.get("reading") is not None:
        return  # what was read before is asked
    model = named[0] if named else next(iter(models))
    cache.shelf().forget(model)
    cache.shelf().order(model, now=True)
    session.put(inner_of=None)
    session.put(model=model, starting=True, playing=False, reading=None)


def _leave(number: int | None) -> None:
    """Leave the tour; Start goes on from stop `number`, None if it is finished."""
    session.put(tour=None, tour_left=number)
    st.rerun()
