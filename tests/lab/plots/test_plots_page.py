"""A reading as one page: whole, without a network, and with text as text."""

import dataclasses
import re

import pytest
from command_line import run
from synthetic_trace import synthetic

from lab import traces
from lab.plots.page import page


EVIL = "a<b>$x$*y*</script><script>alert(1)</script>\x1b[31m\u202e.txt"


def bare(trace):
    """The page without plotly.js, which is most of it."""
    found = page(trace)
    scripts = re.findall(r"<script\b.*?</script>", found, re.S)
    longest = max(scripts, key=len)
    assert len(longest) > 1_000_000, "plotly.js is in the page"
    return found.replace(longest, "")


def figures(text):
    return re.findall(r'<div id="(\w+)" class="plotly-graph-div"', text)


def test_the_page_has_every_figure_and_needs_no_network():
    text = bare(synthetic())
    assert figures(text) == ["gain", "loss", "drift", "overview", "recall"]
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", text)
    assert "width=device-width" in text
    assert "sotu/1981-Carter-1 read by tiny-e2e" in text
    mean, half = synthetic().gain_interval()
    assert f"Learning saved {mean:.3f} ± {half:.3f} nats" in text
    assert "The pass-key is 831." in text and "pytest" in text


def test_only_what_was_measured_is_drawn():
    assert "recall" not in figures(bare(synthetic(needle=False)))
    still = synthetic(needle=False)
    header = dataclasses.replace(still.header, inner_lr=0.0)
    text = bare(dataclasses.replace(still, header=header))
    assert figures(text) == ["loss"] and "never learns:" in text
    assert "too few to say" in bare(synthetic(chunks=2))


def test_a_long_text_is_shown_in_part_and_this_is_said():
    text = bare(synthetic(chunks=300))
    assert "The text, its first 4,000 tokens" in text
    assert "<h2>The text</h2>" in bare(synthetic())


def test_names_and_needles_are_text():
    trace = synthetic()
    needle = dataclasses.replace(trace.header.needle, sentence=EVIL, question=EVIL)
    header = dataclasses.replace(trace.header, document=EVIL, needle=needle)
    text = bare(dataclasses.replace(trace, header=header))
    assert "<script>alert" not in text and "<b>" not in text
    assert "\x1b" not in text and "\u202e" not in text
    assert "a&lt;b&gt;$x$*y*" in text and "\\x1b[31m\\u202e" in text


def test_a_kept_trace_is_drawn_beside_it_or_where_asked(monkeypatch, tmp_path, capsys):
    kept = traces.save(tmp_path / "reading.npz", synthetic())
    assert run(monkeypatch, "plot", str(kept)) == 0
    beside = (tmp_path / "reading.html").read_text("utf-8")
    assert beside.startswith("<!doctype html>")
    for place, file in [("a.html", "a.html"), ("folder", "folder/reading.html")]:
        assert run(monkeypatch, "plot", str(kept), "--html", str(tmp_path / place)) == 0
        assert (tmp_path / file).read_text("utf-8") == beside
        assert str(tmp_path / file) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nothing.npz", "noise.npz"])
def test_what_is_no_trace_is_a_sentence(monkeypatch, tmp_path, capsys, name):
    (tmp_path / "noise.npz").write_bytes(b"no trace")
    assert run(monkeypatch, "plot", str(tmp_path / name)) == 1
    assert name in capsys.readouterr().err


def test_a_reading_without_a_whole_chunk_is_not_drawn(monkeypatch, tmp_path, capsys):
    short = traces.save(tmp_path / "short.npz", synthetic().upto(0))
    assert run(monkeypatch, "plot", str(short)) == 1
    assert "nothing to draw" in capsys.readouterr().err
