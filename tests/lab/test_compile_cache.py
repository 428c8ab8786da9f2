"""Compiled programs: damaged ones are made again, the folder keeps its size."""

import os
import subprocess
import sys

import pytest

from lab import compile_cache


# Compiles one program; prints whether its entry was used.
CHILD = """
import jax, lab
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
used = []
jax.monitoring.register_event_listener(lambda name, **_: used.append(name))
print(jax.jit(lambda x: x * 3 + 1)(2.0))
print(sum(name.endswith("cache_hits") for name in used))
"""


def compile_once(place):
    """Numbers of programs that a new process found on disk, and what it printed."""
    environment = os.environ | {"TTT_LAB_COMPILE_CACHE": str(place)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-W", "always", "-c", CHILD]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "7.0" in done.stdout, done.stderr
    return int(done.stdout.split()[-1]), done.stderr


def test_a_damaged_entry_is_dropped_and_made_again(tmp_path):
    assert compile_once(tmp_path) == (0, "")
    entries = list(tmp_path.glob("*-cache"))
    sizes = [path.stat().st_size for path in entries]
    found, said = compile_once(tmp_path)
    assert found == len(entries) > 0 and said == ""
    for path in entries:
        os.truncate(path, 10)
    assert compile_once(tmp_path) == (0, "")
    assert [path.stat().st_size for path in entries] == pytest.approx(sizes, abs=8)
    assert compile_once(tmp_path) == (len(entries), "")


def write(folder, **ages):
    """Entries of 100 bytes, used some seconds ago."""
    for name, age in ages.items():
        path = folder / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))


def test_the_folder_is_trimmed_to_what_was_used_last(tmp_path):
    write(tmp_path, old=30, new=10, middle=20)
    (tmp_path / "other").write_bytes(bytes(1000))
    compile_cache.trim(tmp_path, 300)
    assert len(list(tmp_path.iterdir())) == 4
    compile_cache.trim(tmp_path, 200)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"new-cache", "middle-cache", "other"}


def test_the_folder_is_looked_at_once_an_hour(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "trim", lambda place: seen.append(place))
    seen, stamp = [], tmp_path / ".trimmed"
    compile_cache.trim_now_and_then(tmp_path / "none")
    assert not seen
    for _ in range(3):
        compile_cache.trim_now_and_then(tmp_path)
    assert seen == [tmp_path]
    os.utime(stamp, (1e9, 1e9))
    compile_cache.trim_now_and_then(tmp_path)
    assert len(seen) == 2


@pytest.mark.slow
def test_several_processes_leave_whole_entries(tmp_path):
    environment = os.environ | {"TTT_LAB_COMPILE_CACHE": str(tmp_path)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-c", CHILD]
    for _ in range(3):
        for path in tmp_path.glob("*-cache"):
            path.unlink()
        several = [
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            for _ in range(6)
        ]
        assert [process.wait() for process in several] == [0] * 6
        found, said = compile_once(tmp_path)
        assert found == len(list(tmp_path.glob("*-cache"))) and said == ""
