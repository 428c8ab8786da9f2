"""The guided tour, driven without a browser, on what is published."""

import pytest
from streamlit.testing.v1 import AppTest
from test_watch import MAIN, click, headline, well, words

from app import address, cache
from app.panels import guide
from app.tour import STOPS, VIEWS
from lab.reading.programs import Programs


@pytest.fixture(autouse=True)
def nothing_compiles(monkeypatch):
    monkeypatch.setattr(Programs, "start", lambda self, *args, **kwargs: self)
    yield
    cache.shelf.clear()


def visit(**url) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    for name, value in url.items():
        app.query_params[name] = value
    return well(app.run())


def keys(app) -> set[str]:
    return {button.key for button in app.button}


def predict(app, number, place) -> AppTest:
    return well(app.radio(key=f"tour-guess-{number}").set_value(place).run())


def test_eight_stops_are_whole():
    assert len(STOPS) == 8 and {stop.page for stop in STOPS} == set(VIEWS)
    for stop in STOPS:
        assert 0 <= stop.right < 3 and len(set(stop.choices)) == 3
        assert bool(guide._found(stop)), stop.title
    assert len({stop.right for stop in STOPS}) == 3
    assert [stop.page for stop in STOPS if stop.waits] == ["Ask it"]


def test_it_is_walked_from_start_to_its_end():
    app = click(visit(), "tour-start")
    for number, stop in enumerate(STOPS, 1):
        assert f"**Stop {number} of 8: {stop.title}**" in words(app)
        assert app.button(key="tour-show").disabled
        assert stop.why not in words(app)
        guess = stop.right if number % 2 else (stop.right + 1) % 3
        click(predict(app, number, guess), "tour-show")
        assert ("As you said." in words(app)) == bool(number % 2)
        assert stop.why in words(app) and stop.onward in words(app)
        assert not app.error, app.error
        click(app, "tour-next")
    assert app.session_state["tour"] is None and "tour-next" not in keys(app)
    app.switch_page("views/start.py")
    assert well(app.run()).button(key="tour-start").label.startswith("Take the tour")


def test_showing_sets_the_controls_and_plays():
    app = visit(tour="2")
    assert headline(app).startswith("**Chunk 0**")
    click(predict(app, 2, 0), "tour-show")
    assert app.session_state["playing"] and app.session_state["more"]
    app = visit(tour="8")
    click(predict(app, 8, 2), "tour-show")
    assert app.session_state["guesses"] == {"rate": 2}
    # The page shows the answer at once, and does not ask the same question again.
    assert app.radio(key="guess-rate").value == 2
    assert "the figures appear here" not in words(app)
    app = visit(tour="4")
    click(predict(app, 4, 1), "tour-show")
    assert app.session_state["starting"] and app.session_state["model"] in (
        "tiny-e2e-recall",
        "tiny-e2e",
    )


def test_it_is_left_and_resumed_and_not_shown_unasked():
    app = visit(tour="5")
    click(app, "tour-leave")
    app.switch_page("views/start.py")
    well(app.run())
    assert "tour-next" not in keys(app)
    assert app.button(key="tour-start").label.endswith("stop 5")
    click(app, "tour-start")
    assert "**Stop 5 of 8" in words(app)
    click(app, "tour-back")
    assert "**Stop 4 of 8" in words(app)


def test_on_another_page_it_leads_back():
    app = visit(tour="6")
    app.switch_page("views/machine.py")
    click(well(app.run()), "tour-there")
    assert app.title[0].value == "Inside the weights" and app.radio


def test_an_address_without_sense_is_a_sentence():
    values, problems = address.read({"tour": "9"})
    assert not values and "none of the stops 1 to 8" in problems[0]
    assert "tour-next" not in keys(visit(tour="9"))


def test_the_box_of_recordings_goes_along():
    app = visit(tour="1")
    for stop in (1, 2, 3):
        shown = app.session_state["recording"]
        assert app.selectbox(key="widget-recording").value == shown, stop
        click(app, "tour-next")
    assert shown.startswith("marjoribanks")
