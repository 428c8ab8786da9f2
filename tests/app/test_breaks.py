"""The view "When it breaks", driven without a browser."""

import dataclasses
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_jobs import until
from test_watch import click, folder, read, well, words  # noqa: F401

from app import cache, jobs
from app.gallery import GALLERY
from lab.reading import breaking, failures


MAIN = Path(__file__).parents[2] / "app" / "main.py"
COMMAND = Path(__file__).with_name("errand_command.py")


@pytest.fixture(autouse=True)
def tiny(monkeypatch, folder):  # noqa: F811
    monkeypatch.setattr(jobs, "PROGRAM", (sys.executable, str(COMMAND)))
    monkeypatch.setattr(cache, "models", lambda: {"tiny-e2e": "", "nano": ""})
    yield
    for job in jobs.queue():
        job.stop()
    for job in jobs.listing():
        until(lambda job=job: not job.is_alive)


def opened(name="rate") -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.switch_page("views/breaks.py")
    well(app.run())
    return app if name == "rate" else chosen(app, name)


def chosen(app, name) -> AppTest:
    return well(app.pills(key="widget-failure").set_value(name).run())


def guess(app, name, place) -> AppTest:
    return well(app.radio(key=f"guess-{name}").set_value(place).run())


def test_the_gallery_has_every_failure():
    assert list(GALLERY) == list(breaking.FAILURES)
    for exhibit in GALLERY.values():
        assert 0 <= exhibit.right < 3 and len(set(exhibit.choices)) == 3


@pytest.mark.parametrize("name", GALLERY)
def test_first_one_predicts_and_then_the_figures_come(name):
    app = opened(name)
    assert not app.get("plotly_chart") and "Say what you expect" in words(app)
    right = GALLERY[name].right
    guess(app, name, (right + 1) % 3)
    assert len(app.get("plotly_chart")) == 2
    assert "It is otherwise" in app.warning[0].value
    guess(app, name, right)
    assert app.success[0].value.startswith("As you said. ")
    for part in ("What to look for", "What protects the model", "What does not"):
        assert part in words(app)
    assert not app.error


def test_a_prediction_is_kept_while_one_looks_at_another_failure():
    app = guess(opened(), "rate", 1)
    chosen(app, "tail")
    assert not app.get("plotly_chart")
    chosen(app, "rate")
    assert len(app.get("plotly_chart")) == 2


def test_the_slider_draws_as_much_as_was_read():
    app = guess(opened(), "rate", 1)
    well(app.slider(key="upto-rate").set_value(3).run())
    assert len(app.get("plotly_chart")) == 2


def test_what_the_model_wrote_is_shown_as_text():
    app = guess(opened("own"), "own", 2)
    assert any("Earl of the Earl" in text.value for text in app.text)


def test_a_failure_is_provoked_by_a_job_that_can_be_stopped():
    app = guess(opened(), "rate", 1)
    # The tiny command does nothing with "rate", and so is done at once.
    click(app, "provoke")
    until(lambda: not jobs.queue())
    (job,) = jobs.listing()
    assert job.command == "ttt-lab eval breaking rate --model tiny-e2e"
    well(app.run())
    assert app.button(key="provoke").label == "Provoke it here"
    assert "recorded on" in words(app)


def test_a_job_that_runs_shows_its_state_to_every_visitor(monkeypatch):
    monkeypatch.setattr(jobs, "PROGRAM", (sys.executable, str(COMMAND), "x", "works"))
    app = click(opened(), "provoke")
    until(lambda: jobs.queue()[0].progress)
    other = opened()
    assert other.button(key="provoke").label == "Stop"
    assert "Steps too long" in words(other) and "20 s left" in words(other)
    click(other, "provoke")
    until(lambda: not jobs.queue())
    well(app.run())
    assert "was stopped" in words(app)


def test_a_full_queue_is_a_sentence(monkeypatch):
    monkeypatch.setattr(jobs, "MOST", 0)
    app = click(opened(), "provoke")
    assert "0 commands run or wait" in read(app.error[0])


def test_without_a_record_the_page_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setattr(failures, "PUBLISHED", tmp_path)
    app = guess(opened(), "rate", 1)
    assert "Nothing is recorded here yet" in words(app)


def test_without_a_model_that_learns_nothing_can_be_provoked(monkeypatch):
    monkeypatch.setattr(cache, "models", lambda: {"nano": "never learns"})
    assert opened().button(key="provoke").disabled


def test_a_failure_plays_from_its_beginning_to_its_end_and_can_be_paused():
    app = guess(opened(), "rate", 1)
    points = app.slider(key="upto-rate").value
    click(app, "play-failure")
    shown = [app.slider(key="upto-rate-playing").value]
    assert shown[0] < points and app.button(key="play-failure").label == "Pause"
    while app.session_state["breaking_plays"]:
        well(app.run())
        shown.append(app.session_state["breaking_upto"]["rate"])
    assert shown == sorted(shown) and shown[-1] == points and len(shown) > 8
    click(app, "play-failure")
    click(app, "play-failure")
    assert app.button(key="play-failure").label == "Play"
    well(app.slider(key="upto-rate").set_value(5).run())
    assert app.session_state["breaking_upto"]["rate"] == 5
    assert app.slider(key="upto-rate").value == 5


def test_another_model_that_learns_is_broken_by_the_same_command():
    app = guess(opened(), "rate", 1)
    well(app.selectbox(key="widget-breaking_model").set_value("nano").run())
    assert "Nothing is recorded here yet of nano" in words(app)
    click(app, "provoke")
    until(lambda: not jobs.queue())
    assert jobs.listing()[0].command == "ttt-lab eval breaking rate --model nano"
    found = failures.load("rate", "tiny-e2e")
    failures.save(dataclasses.replace(found, model="nano"))
    well(app.run())
    assert "The answer that is right is that of tiny" in words(app).replace("\\", "")
    assert len(app.get("plotly_chart")) == 2
