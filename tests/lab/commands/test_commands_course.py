"""`ttt-lab course build`: which chapters are made, and which are kept."""

import pytest
from command_line import run

from lab.commands import course
from lab.course import pages, pairs, running


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Which notebooks were run; nothing is."""
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    found = []

    def pretend(notebook, folder, *, environment, cell_done, say):
        found.append(notebook.cells[0].source.partition("\n")[0])
        assert environment["TTT_LAB_QUICK"] == "1"

    monkeypatch.setattr(running, "run", pretend)
    # formulas need a package that older environments do not have
    monkeypatch.setattr("lab.course.pages.with_mathml", lambda text: text)
    return found


def test_a_build_goes_on_where_one_was_stopped(ran, tmp_path, capsys, monkeypatch):
    course.build(quick=True, only=("4",))
    assert ran == ["# The real model"]
    course.build(quick=True)
    total = len(pairs.notebooks(pairs.folder()))
    assert len(ran) == total
    assert f"{total} pages (1 were there already)" in capsys.readouterr().out
    (tmp_path / "course" / "04_the_real_model.html").unlink()
    assert run(monkeypatch, "course", "build", "--quick") == 0
    assert ran[-1] == "# The real model" and len(ran) == total + 1


def test_a_stopped_build_says_what_is_kept(ran, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", stop)
    assert run(monkeypatch, "course", "build", "--quick") == 130
    assert "finished pages are kept" in capsys.readouterr().err


def test_a_chapter_that_is_not_there_and_a_cell_that_fails(ran, monkeypatch, capsys):
    assert run(monkeypatch, "course", "build", "--only", "77") == 1
    assert "the chapters are 00, 01," in capsys.readouterr().err

    def fail(*_, **__):
        raise running.CellFailed("cell 3 failed: ValueError: no.")

    monkeypatch.setattr(running, "run", fail)
    assert run(monkeypatch, "course", "build", "--quick", "--only", "5") == 1
    said = capsys.readouterr().err
    assert "05_train_tiny.ipynb, cell 3 failed: ValueError: no." in said


def test_several_chapters_are_asked_for_in_any_order():
    folder = pairs.folder()
    chapters = [pages.open_chapter(path) for path in pairs.notebooks(folder)]
    chosen = course._chosen(chapters, ("3", "00"))
    assert [chapter.number for chapter in chosen] == ["00", "03"]
