"""The explorer in a real browser: it reads live, obeys Pause, and logs no error."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import plain_page
import pytest

from app.plain import one_line


HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()

# A page remembers its connections, so that a test can cut them or lose messages.
REMEMBER_SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...args) { super(...args); window.sockets.push(this); }
  send(message) { if (window.lose > 0) window.lose--; else super.send(message); }
};
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server with a nano model and made-up recordings, on a free port."""
    folder = tmp_path_factory.mktemp("published")
    # Who has left is forgotten after five seconds here.
    patience = "--server.disconnectedSessionTTL=5"
    command = [str(HERE / "serve.py"), "PORT", str(folder), patience]
    with served(command, folder) as url:
        yield url


@contextmanager
def served(command: list[str], folder: Path):
    """The address of a server that Python starts with `command` on a free PORT."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, *(word.replace("PORT", str(port)) for word in command)]
    paths = {"PYTHONPATH": os.pathsep.join(map(str, (HERE, HERE.parents[1])))}
    paths["TTT_LAB_RUNS"] = str(folder / "runs")
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(
            command, env=os.environ | paths, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _await_answer(f"http://127.0.0.1:{port}/_stcore/health", server, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def _await_answer(url: str, server: subprocess.Popen, log: Path, seconds: float = 60):
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"The server did not answer within {seconds} s:\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, address):
    """A page on the explorer that shows its first picture; no error may be logged."""
    page, said = browser.new_page(viewport={"width": 1280, "height": 720}), []
    page.add_init_script(REMEMBER_SOCKETS)
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{address}/?chunk=60")
    page.wait_for_selector(".js-plotly-plot", timeout=60_000)
    yield page
    page.close()
    # A page whose connection a test has cut may say that it cannot send.
    assert [words for words in said if not words.startswith("Cannot send")] == []


def chunk(page) -> int:
    shown = page.get_by_text(re.compile(r"^Chunk \d+ of")).first.inner_text()
    return int(re.match(r"Chunk ([\d,]+) of", shown)[1].replace(",", ""))


def wait_for_chunk(page, least: int, seconds: float = 120):
    end = time.monotonic() + seconds
    while chunk(page) < least:
        assert time.monotonic() < end, f"still at chunk {chunk(page)}"
        page.wait_for_timeout(100)


def press(page, name: str):
    page.get_by_role("button", name=name).click()


def test_it_reads_a_document_live_and_pause_stops_it_at_once(page):
    page.get_by_test_id("stButtonGroup").get_by_text("Read live").click()
    press(page, "Start reading")
    page.get_by_text("Live: sotu/1981-Carter-1").wait_for(timeout=60_000)
    wait_for_chunk(page, 3)
    press(page, "Pause")
    page.get_by_role("button", name="Play").wait_for(timeout=10_000)
    stopped = chunk(page)
    page.wait_for_timeout(1_500)
    assert chunk(page) == stopped
    assert f"chunk={stopped}" in page.url
    press(page, "One chunk")
    wait_for_chunk(page, stopped + 1)
    press(page, "Play")
    wait_for_chunk(page, stopped + 3)


def test_a_recording_plays_while_programs_compile(page):
    assert chunk(page) == 60
    press(page, "Play")
    page.get_by_role("button", name="Pause").wait_for(timeout=10_000)
    # The slider that stood at the end before is not taken for a request.
    seen = {60}
    while len(seen) < 5:
        seen.add(now := chunk(page))
        assert now < 60 or len(seen) == 1, seen
        page.wait_for_timeout(50)
    wait_for_chunk(page, 60)
    page.get_by_role("button", name="Play").wait_for(timeout=10_000)


def test_space_presses_the_button_in_focus_and_plays_elsewhere(page):
    def plays(word):
        page.get_by_role("button", name=word).wait_for(timeout=10_000)

    page.keyboard.press("Space")
    plays("Pause")
    page.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Space")
    plays("Play")
    page.get_by_text(re.compile(r"^Chunk 0 of")).wait_for(timeout=10_000)
    # A speed that is chosen already has no use for the key; another speed has.
    page.get_by_role("radio", name="1×", exact=True).click()
    page.get_by_role("radio", name="1×", exact=True, checked=True).wait_for()
    page.keyboard.press("Space")
    plays("Pause")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.get_by_role("radio", name="4×", exact=True, checked=True).wait_for()
    plays("Pause")
    page.keyboard.press("Space")
    plays("Play")


def test_a_text_field_keeps_its_spaces(page):
    page.get_by_test_id("stButtonGroup").get_by_text("Read live").click()
    page.get_by_role("combobox", name="Document").fill("paste a text")
    page.keyboard.press("Enter")
    field = page.get_by_role("textbox", name="Your text")
    field.press_sequentially("two words")
    assert field.input_value() == "two words"
    page.get_by_role("button", name="Start reading").wait_for(timeout=10_000)


def test_a_reading_goes_on_after_a_dropped_connection_and_a_lost_message(page):
    page.get_by_test_id("stButtonGroup").get_by_text("Read live").click()
    press(page, "Start reading")
    page.get_by_text("Live: sotu/1981-Carter-1").wait_for(timeout=60_000)
    # While programs compile, their state is asked for too; that would go on by itself.
    page.get_by_text("In the background").wait_for(state="hidden", timeout=60_000)
    for harm in ("window.sockets.at(-1).close()", "window.lose = 1"):
        page.evaluate(harm)
        # A picture under way needs no message, and shows several chunks.
        page.wait_for_function("!window.lose", timeout=60_000)
        wait_for_chunk(page, chunk(page) + 8, seconds=60)
    press(page, "Pause")


def test_nothing_sticks_out_at_phone_width(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(1_000)
    assert (
        page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        <= 390
    )


@pytest.mark.slow
def test_what_people_write_is_read_as_written(browser, tmp_path):
    run = ["-m", "streamlit", "run", str(HERE / "plain_page.py")]
    options = ["--server.port=PORT", "--server.headless=true"]
    with served([*run, *options], tmp_path) as url:
        page = browser.new_page()
        page.goto(url)
        last = page.locator(f".st-key-text-{len(plain_page.TEXTS) - 1} td")
        last.wait_for(timeout=60_000)
        for i, text in enumerate(plain_page.TEXTS):
            wanted = one_line(text).strip(" ")
            around = page.locator(f".st-key-text-{i}")
            for place, before in (
                ("[data-testid=stCaptionContainer]", "said: "),
                ("[data-testid=stAlertContainer]", ""),
                ("td", ""),
            ):
                shown = around.locator(place).last
                words = shown.evaluate("e => e.textContent").replace("\u2060", "")
                assert words.strip() == before + wanted
                assert not shown.locator("a, b, em, strong, code, del, img, li").count()
        assert "seen" not in page.title()
        page.close()
