"""A reading that plays in one page: right numbers, text as text, no network at all."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from plotly.offline import get_plotlyjs
from synthetic_trace import synthetic

from lab import published
from lab.plots import playable as file
from lab.plots.playable import mark, playable, told_drift, told_gain, told_recall


EVIL = 'a<b>$x$*y*</script><script>alert(1)</script>"\x1b[31m\u202e.txt'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def reading(page: str) -> dict:
    """What the page's script is given."""
    found = re.search(r'<script type="application/json" id="reading">(.*?)</', page)
    return json.loads(found[1])


def evil():
    """A reading whose every text is hostile."""
    trace = synthetic()
    needle = dataclasses.replace(trace.header.needle, sentence=EVIL, question=EVIL)
    events = [dataclasses.replace(e, label=EVIL) for e in trace.header.events]
    more = {"document": EVIL, "needle": needle, "events": tuple(events)}
    header = dataclasses.replace(trace.header, **more, provenance={"command": EVIL})
    text = (EVIL.encode() * 100)[: len(trace.text)].ljust(len(trace.text))
    return dataclasses.replace(trace, header=header, text=text)


def test_the_text_is_whole_and_each_piece_has_its_numbers():
    trace = synthetic()
    told = reading(playable(trace))
    assert sum(told["lengths"]) == len(told["text"].encode("utf-16-le")) // 2
    assert told["text"] == trace.text[: trace.spans[-1, 1]].decode()
    assert len(told["lengths"]) == len(told["nll"]) == len(told["twin"])
    assert np.sum(told["nll"]) == pytest.approx(100 * trace.nll.sum(), abs=150)
    assert len(told["firsts"]) == 1 + trace.filled and told["firsts"][0] == 0
    assert set(told["figures"]) == {"gain", "loss", "recall", "drift"}


def test_the_words_are_those_of_the_trace_at_every_chunk():
    trace = synthetic()
    mean, half = trace.upto(30).gain_interval()
    assert f"{mean:.3f} ± {half:.3f} nats" in told_gain(trace)[30]
    assert "too early" in told_gain(trace)[2]
    nats = trace.recall(learning=True)[29]
    assert f"worth {nats:+.2f} nats" in told_recall(trace)[30]
    assert "still ahead" in told_recall(trace)[3]
    assert f"{trace.drift[29].mean():.1%}" in told_drift(trace)[30]
    words = (told_gain(trace), told_recall(trace), told_drift(trace))
    assert {len(w) for w in words} == {1 + trace.filled}


def test_a_model_that_never_learns_is_told_as_its_own_twin():
    trace = synthetic(needle=False)
    header = dataclasses.replace(trace.header, inner_lr=0.0)
    told = reading(playable(dataclasses.replace(trace, header=header)))
    assert set(told["figures"]) == {"loss"}
    assert told["gain"][-1] == "tiny-e2e never learns" and not any(told["drift"])


def test_no_text_can_end_or_begin_anything():
    page = playable(evil())
    assert page.count("<script") == page.count("</script>") == 3
    page = page.replace(get_plotlyjs(), "")
    assert "<b>" not in page and "\x1b" not in page and "\u202e" not in page
    assert reading(page)["text"].count("</script>") > 3


def test_a_long_reading_is_shown_in_part_and_the_page_stays_small():
    page = playable(synthetic(chunks=1_500, chunk=40))
    assert "holds the first 40,960 of the 60,005 tokens" in page
    assert len(page.encode()) < 6_000_000
    assert len(playable(synthetic(chunks=4_000, chunk=16)).encode()) < 6_000_000


@pytest.mark.parametrize("name", published.recordings())
def test_the_recordings_fit_into_a_page_whole(name):
    page = playable(published.recording(name))
    assert len(page.encode()) < 6_000_000 and "This page holds" not in page


def test_the_page_says_which_reading_it_holds():
    assert mark(synthetic()) in playable(synthetic())[:1_000]
    assert mark(synthetic()) != mark(synthetic(needle=False))


def test_a_reading_without_a_whole_chunk_is_refused():
    with pytest.raises(ValueError, match="nothing to play"):
        playable(synthetic().upto(0))


def test_the_twin_may_lag_behind():
    trace = synthetic()
    late = trace.nll_twin.copy()
    late[-50:] = np.nan
    told = reading(playable(dataclasses.replace(trace, nll_twin=late)))
    assert told["twin"][-1] is None and told["twin"][0] is not None


@pytest.fixture
def opened(tmp_path):
    """A function that opens a page from a file, with the network off."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def open_(trace, **how):
            path = tmp_path / "reading.html"
            path.write_text(playable(trace), "utf-8")
            page = chromium.new_context(offline=True, **how).new_page()
            page.said, page.asked = [], []
            page.on("console", lambda message: page.said.append(message.text))
            page.on("pageerror", lambda error: page.said.append(str(error)))
            page.on("dialog", lambda dialog: page.said.append(dialog.message))
            page.on("request", lambda request: page.asked.append(request.url))
            page.goto(path.as_uri())
            page.locator("#headline", has_text="Chunk").wait_for()
            return page

        yield open_
        chromium.close()


def chunk(page) -> int:
    return int(re.match(r"Chunk (\d+) of", page.inner_text("#headline"))[1])


def covered(page) -> float:
    """The share of the gain's figure that is shown."""
    return page.evaluate("""() => {
      const place = document.getElementById("figure-gain");
      const clip = place.querySelector("clipPath.plotclip rect");
      return clip.getAttribute("width") / place._fullLayout.xaxis._length;
    }""")


browser = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
class TestInABrowser:
    """The page as it is used, from a file, without a network."""

    pytestmark = browser

    def test_it_plays_steps_scrubs_and_obeys_keys(self, opened, width, scheme):
        view = {"width": width, "height": 800}
        page = opened(synthetic(), viewport=view, color_scheme=scheme)
        assert chunk(page) == 40 and covered(page) == 1
        page.click("#reset")
        assert chunk(page) == 0 and covered(page) == 0
        page.click("#one")
        assert chunk(page) == 1
        for key, place in [("ArrowRight", 2), ("ArrowLeft", 1), ("End", 40)]:
            page.keyboard.press(key)
            assert chunk(page) == place, key
        page.keyboard.press("Home")
        page.evaluate("document.activeElement.blur()")
        page.select_option("#speed", "1")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Space")
        page.locator("#headline", has_text=re.compile("Chunk [5-9] ")).wait_for()
        page.keyboard.press("Space")
        place = chunk(page)
        assert covered(page) == pytest.approx(place / 40, abs=0.02)
        assert page.locator("#text .chunk:not(.unread)").count() == place
        page.wait_for_timeout(400)
        assert chunk(page) == place
        page.fill("#scrubber", "20")
        assert chunk(page) == 20
        page.locator("#text .chunk span").nth(30).click()
        assert "nats with learning" in page.inner_text("#token")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.said == [] and len(page.asked) == 1

    def test_hostile_text_is_shown_and_does_nothing(self, opened, width, scheme):
        page = opened(evil(), viewport={"width": width, "height": 800})
        assert "</script>" in page.inner_text("#text")
        assert page.inner_text("h1").startswith("a<b>$x$*y*</script>")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.said == [] and len(page.asked) == 1


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_no_script_but_the_pages_own_runs(opened, monkeypatch):
    monkeypatch.setattr(file, "escaped", lambda text: text)  # as if escaping failed
    page = opened(evil())
    assert page.evaluate("document.querySelectorAll('h1 script').length") == 1
    assert not any(words == "1" for words in page.said)  # no alert
    assert any("Content Security Policy" in words for words in page.said)
