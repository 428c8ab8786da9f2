"""The page where a visit begins, driven without a browser."""

import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_watch import MAIN, click, folder, headline, read, well, words  # noqa: F401

from app import cache
from app.panels import recordings
from lab import published
from lab.plots.moving import LEAPS, SLOW, moving
from lab.reading import machine


def started(**url) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    for name, value in url.items():
        app.query_params[name] = value
    return well(app.run())


def test_a_visit_begins_with_the_picture_the_readings_and_the_machine(folder):  # noqa: F811
    app = started()
    assert app.title[0].value.startswith("A language model that learns")
    assert len(app.get("bidi_component")) == 1
    mean, half = published.recording("carter").gain_interval()
    assert f"**{mean:+.3f}**] ± {half:.3f} nats per token" in words(app)
    assert "3 models, 2 of which learn while they read" in words(app)
    assert "nothing is compiling" in words(app)
    assert not app.error


def test_each_reading_opens_with_one_click(folder):  # noqa: F811
    app = started()
    for name, chunks in (("carter-plain", 30), ("carter", 60)):
        click(app, f"open-{name}")
        assert headline(app).startswith(f"**Chunk {chunks}** of {chunks}")
        assert app.session_state["recording"] == name
        app.switch_page("views/start.py")
        well(app.run())


@pytest.mark.parametrize(
    ("url", "leads"),
    [
        ({"doc": "sotu/1981-Carter-1", "chunk": "7"}, "**Chunk 7** of 30"),
        ({"chunk": "12"}, "**Chunk 12** of 60"),
        ({"doc": "nonsense"}, "**Chunk 60** of 60"),
    ],
)
def test_an_old_address_leads_to_the_reading(folder, url, leads):  # noqa: F811
    assert headline(started(**url)).startswith(leads)


def test_a_parameter_of_somebody_else_leads_nowhere(folder):  # noqa: F811
    assert started(utm_source="letter").title[0].value.startswith("A language model")


def test_from_a_reading_one_comes_back_to_the_start(folder):  # noqa: F811
    app = started(doc="sotu/1981-Carter-1", chunk="7")
    app.switch_page("views/start.py")
    well(app.run())
    assert app.title[0].value.startswith("A language model")


def test_without_recordings_the_page_says_where_to_read(folder):  # noqa: F811
    for path in (folder / "traces").glob("*.npz"):
        path.unlink()
    app = started()
    assert "No reading is recorded here yet" in words(app)
    assert not app.get("bidi_component")


def test_what_compiles_is_said(folder, monkeypatch):  # noqa: F811
    app = started()
    programs = cache.shelf().programs("nano")
    monkeypatch.setattr(type(programs), "now", "compiling the learning step, 4 s")
    assert "nano: compiling the learning step, 4 s" in words(well(app.run()))


def test_recordings_that_ship_are_told_and_nothing_else():
    assert set(recordings.ABOUT) == set(published.recordings())


@pytest.mark.parametrize("name", published.recordings())
def test_the_moving_picture_shows_what_was_measured(name):
    trace = published.recording(name)
    frames = moving(trace)["frames"]
    assert [frame["at"] for frame in frames[:SLOW]] == list(range(1, 1 + SLOW))
    assert frames[-1]["at"] == trace.filled and len(frames) <= SLOW + LEAPS
    last = frames[-1]
    assert last["twin"] - last["learner"] == pytest.approx(
        trace.mean_gain[-1], abs=2e-4
    )
    assert last["drift"] == pytest.approx(100 * trace.drift[-1], abs=0.006)


def test_the_machine_is_asked_without_jax(tmp_path, monkeypatch):
    code = "from lab.reading import machine; print(repr(machine.device()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "''", found.stderr
    assert machine.device()  # this process has jax
    monkeypatch.setenv("TTT_LAB_COMPILE_CACHE", str(tmp_path / "none"))
    assert machine.compiled() == (0, 0)
    monkeypatch.setenv("TTT_LAB_COMPILE_CACHE", str(tmp_path))
    Path(tmp_path, "jit_f-abc-cache").write_bytes(b"12345")
    assert machine.compiled() == (1, 5)


def test_the_first_page_needs_neither_jax_nor_the_core():
    code = (
        "import sys;"
        "from streamlit.testing.v1 import AppTest;"
        f"app = AppTest.from_file({str(MAIN)!r}, default_timeout=60).run();"
        "assert not app.exception and app.get('bidi_component'), app;"
        "print([m for m in ('jax', 'equinox', 'ttt_core') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_a_text_of_ones_own_and_the_paper_are_a_click_away():
    app = AppTest.from_file(str(MAIN), default_timeout=60).run()
    assert app.button(key="mine").label == "Read a text of mine"
    assert "2512.23675" in app.get("link_button")[0].proto.url


def test_a_text_of_ones_own_finds_its_form_open(folder):  # noqa: F811
    app = click(started(), "mine")
    assert app.text_area(key="widget-pasted").label == "Your text"
    assert app.session_state["source"] == "live" and app.button(key="start")
    assert app.session_state["needle"] == "none"  # a recording's needle stays there
