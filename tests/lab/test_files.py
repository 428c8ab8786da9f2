"""Files appear whole or not at all, whoever else writes and whatever goes wrong."""

import concurrent.futures
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import files
from lab.data import folders


def test_a_file_holds_what_was_written_and_its_folder_is_made(tmp_path):
    path = tmp_path / "new" / "a.json"
    assert files.write(path, "naïve\n") == path
    assert path.read_bytes() == "naïve\n".encode()
    files.write(str(path), b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert os.listdir(path.parent) == ["a.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_fails_leaves_the_old_file_and_no_draft(call, tmp_path, monkeypatch):
    path = files.write(tmp_path / "a", "old")

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="no space"):
        files.write(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_killed_before_the_rename_the_old_file_is_there(tmp_path):
    path = files.write(tmp_path / "a", "old")
    script = (
        "import os, signal, sys\nfrom lab import files\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write(sys.argv[1], 'new')"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)])
    assert ended.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_threads_that_write_one_file_do_not_meet_in_a_draft(tmp_path):
    path, contents = tmp_path / "a", [str(i) * 100_000 for i in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            list(pool.map(lambda content: files.write(path, content), contents))
            assert path.read_text() in contents
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_appears_when_it_is_whole(tmp_path):
    place = tmp_path / "deep" / "folder"
    with pytest.raises(RuntimeError), files.appearing(place) as draft:
        draft.mkdir()
        (draft / "half").write_text("x")
        raise RuntimeError
    assert os.listdir(place.parent) == []
    with files.appearing(place) as draft:
        draft.mkdir()
        (draft / "whole").write_text("x")
        assert not place.exists()
    assert os.listdir(place) == ["whole"]
    assert os.listdir(place.parent) == ["folder"]


def test_a_folder_that_another_process_made_meanwhile_stays(tmp_path):
    place = tmp_path / "folder"
    with files.appearing(place) as draft:
        draft.mkdir()
        place.mkdir()
        (place / "theirs").write_text("x")
    assert os.listdir(place) == ["theirs"]
    assert os.listdir(tmp_path) == ["folder"]


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """A process of a user whom the machine does not know, without variables."""

    def nobody(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))


def test_without_a_home_a_temporary_folder_is_used_and_said(homeless, tmp_path, capsys):
    found = files.user_cache()
    assert found == tmp_path / f"ttt-lab-{os.getuid()}" / "ttt-lab"
    assert (
        f"no home folder to write to; {found.parent} keeps" in capsys.readouterr().err
    )
    assert files.user_cache() == found == folders.data().parent
    assert capsys.readouterr().err == "", "it is said once"


@pytest.mark.parametrize("home", ["none", "file"])
def test_a_home_that_is_no_folder_is_none(homeless, home, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / home))
    assert files.user_cache().is_relative_to(tmp_path / f"ttt-lab-{os.getuid()}")


def test_a_home_where_nothing_can_be_written_is_none(
    homeless, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.user_cache() == tmp_path / ".cache" / "ttt-lab"
    monkeypatch.setattr(files.os, "access", lambda place, mode: False)
    assert files.user_cache() == tmp_path / f"ttt-lab-{os.getuid()}" / "ttt-lab"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    (tmp_path / ".cache" / "ttt-lab").mkdir(parents=True)  # prepared by somebody
    assert files.user_cache() == tmp_path / ".cache" / "ttt-lab"


def test_a_temporary_folder_that_others_can_write_to_is_not_used(homeless, tmp_path):
    shared = tmp_path / f"ttt-lab-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    found = files.user_cache()
    assert found.parent.parent == tmp_path and found.parent != shared


def test_a_tilde_of_nobody_stays_as_it_is(homeless):
    assert files.expanded("~/a.txt") == Path("~/a.txt")
    assert files.expanded("~nobody-at-all/a.txt") == Path("~nobody-at-all/a.txt")


def test_a_place_where_nothing_can_be_written_is_named(tmp_path):
    files.check_writable(tmp_path / "not" / "there" / "yet")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OSError, match="Nothing can be written in .*file"):
        files.check_writable(tmp_path / "file" / "below")


def test_runs_under_a_home_that_nobody_has_are_a_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TTT_LAB_RUNS", "~nobody-of-this-name/runs")
    assert files.runs() == tmp_path / "~nobody-of-this-name" / "runs"
