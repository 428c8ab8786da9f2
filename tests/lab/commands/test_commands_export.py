"""`ttt-lab export`: a page is written whole, or a sentence says why not."""

import pytest
from command_line import run
from synthetic_trace import synthetic

from lab import traces
from lab.plots import playable as file


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a trace, in which commands run; plotly.js is short."""
    monkeypatch.setattr(file, "get_plotlyjs", lambda: "/* plotly.js */")
    monkeypatch.chdir(tmp_path)
    traces.save(tmp_path / "reading.npz", synthetic())
    return tmp_path


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ([], "reading.html"),
        (["--html"], "reading.html"),
        (["--out", "a.html"], "a.html"),
        (["--html", "--out", "new/folder"], "new/folder/reading.html"),
    ],
)
def test_a_page_is_written_where_asked(here, monkeypatch, capsys, options, written):
    assert run(monkeypatch, "export", "reading.npz", *options) == 0
    assert (here / written).read_text("utf-8").startswith("<!doctype html>")
    assert written in capsys.readouterr().out
    # The same reading may be written again.
    assert run(monkeypatch, "export", "reading.npz", *options) == 0


def test_a_recording_that_ships_is_known_by_name(here, monkeypatch):
    assert run(monkeypatch, "export", "dodo-1893") == 0
    assert "ENG18930_Benson" in (here / "dodo-1893.html").read_text("utf-8")


def test_a_recording_that_does_not_ship_is_a_sentence(here, monkeypatch, capsys):
    assert run(monkeypatch, "export", "dodo-1898") == 1
    assert "did you mean the recording 'dodo-1893'?" in capsys.readouterr().err


def test_other_files_stay(here, monkeypatch, capsys):
    traces.save(here / "other.npz", synthetic(needle=False))
    assert run(monkeypatch, "export", "other.npz", "--out", "page.html") == 0
    (here / "notes.html").write_text("mine")
    for taken in ("notes.html", "page.html"):
        before = (here / taken).read_text("utf-8")
        assert run(monkeypatch, "export", "reading.npz", "--out", taken) == 1
        assert f"{taken} holds something else" in capsys.readouterr().err
        assert (here / taken).read_text("utf-8") == before


@pytest.mark.parametrize("content", [b"", b"no trace", b"PK\x03\x04 cut"])
def test_what_is_no_trace_is_a_sentence(here, monkeypatch, capsys, content):
    (here / "noise.npz").write_bytes(content)
    assert run(monkeypatch, "export", "noise.npz") == 1
    assert "noise.npz is not a trace" in capsys.readouterr().err
    assert not (here / "noise.html").exists()


def test_a_missing_trace_and_a_place_that_cannot_be_written(here, monkeypatch, capsys):
    assert run(monkeypatch, "export", "nothing.npz") == 1
    assert "There is no trace nothing.npz" in capsys.readouterr().err
    assert run(monkeypatch, "export", "reading.npz", "--out", "/proc/page.html") == 1
    said = capsys.readouterr().err
    assert "/proc" in said and "Traceback" not in said
    (here / "file").write_text("")
    assert run(monkeypatch, "export", "reading.npz", "--out", "file/page.html") == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_reading_without_a_whole_chunk_is_a_sentence(here, monkeypatch, capsys):
    traces.save(here / "short.npz", synthetic().upto(0))
    assert run(monkeypatch, "export", "short.npz") == 1
    assert "nothing to play" in capsys.readouterr().err
