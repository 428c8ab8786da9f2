"""The page where a visit begins, in a real browser."""

import pytest
from test_browser import (  # noqa: F401  fixtures
    CHROMIUM,
    address,
    browser,
    chunk,
    wait_for_chunk,
)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_moves_and_a_reading_opens(browser, address, width, scheme):  # noqa: F811
    view = {"width": width, "height": 800}
    page = browser.new_page(viewport=view, color_scheme=scheme)
    said, hosts = [], set()
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(address)
    page.get_by_text("chunk 1 of 60").wait_for(timeout=60_000)
    page.get_by_text("chunk 3 of 60").wait_for(timeout=20_000)
    page.get_by_role("button", name="Pause").click()
    place = page.locator(".place").inner_text()
    page.wait_for_timeout(2_500)
    assert page.locator(".place").inner_text() == place
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("e => e.scrollWidth") <= width
    page.locator(".st-key-open-carter button").click()
    page.get_by_text("Recorded: sotu/1981-Carter-1").first.wait_for(timeout=60_000)
    assert chunk(page) == 60 and "/watch" in page.url
    assert said == [] and hosts == {address.removeprefix("http://")}
    page.close()


def test_a_visitor_who_wants_no_motion_sees_the_end(browser, address):  # noqa: F811
    page = browser.new_page(reduced_motion="reduce")
    page.goto(address)
    page.get_by_text("chunk 60 of 60").wait_for(timeout=60_000)
    page.get_by_role("button", name="Play").wait_for()
    page.close()


def test_an_old_address_leads_to_the_reading(browser, address):  # noqa: F811
    page = browser.new_page()
    page.goto(f"{address}/?doc=sotu%2F1981-Carter-1&chunk=7")
    page.get_by_text("Recorded: sotu/1981-Carter-1").first.wait_for(timeout=60_000)
    wait_for_chunk(page, 7)
    assert chunk(page) == 7 and "/watch?" in page.url and "chunk=7" in page.url
    page.close()
