"""Files appear whole or not at all, whoever else writes and whatever goes wrong."""

import concurrent.futures
import os
import signal
import subprocess
import sys

import pytest

from lab import files


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
