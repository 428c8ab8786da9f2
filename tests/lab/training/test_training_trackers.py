"""Trackers mirror metrics.jsonl: every step once, whenever the run was cut off."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from lab.training import trackers


ROOT = Path(__file__).parents[3]
# What a killed and resumed run does: six steps, a resume at step 4, steps 4 to 7.
SCRIPT = """
import os, sys, time
from pathlib import Path
from lab import runs
from lab.training import trackers

kind, run, first, last = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
metrics = runs.Metrics(run / "metrics.jsonl", first)
tracker = trackers.open_tracker(kind, run, {"lr": 0.5, "model": {"layers": 2}})
for step in range(first, last):
    line = {"step": step, "loss": 10.0 - step, "word": "x", "refused": False}
    metrics.write(line)
    tracker.log(step, line)
if last == 6:
    time.sleep(1)  # let what is written in the background reach the disk
    os._exit(9)  # no close, no atexit
tracker.close()
"""
EXPECTED = [(step, 10.0 - step) for step in range(8)]


def cut_and_resume(kind, run, **variables):
    """Track steps 0 to 5 and die; resume at 4 and track to 7 in another process."""
    run.mkdir(parents=True)
    for first, last, code in ((0, 6, 9), (4, 8, 0)):
        arguments = [sys.executable, "-c", SCRIPT, kind, run, str(first), str(last)]
        done = subprocess.run(
            arguments, cwd=ROOT, env=_environment(variables), capture_output=True
        )
        assert done.returncode == code, done.stderr.decode()
        assert done.stdout == b"" == done.stderr


def _environment(variables):
    import os

    return {**os.environ, **{name: str(value) for name, value in variables.items()}}


def records(path):
    """The payloads of an event file (length, its checksum, payload, checksum)."""
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield data[12 : 12 + length]
        data = data[16 + length :]


def scalars(folder, tag):
    """`(step, value)` of one curve, from all event files of a folder."""
    from tensorboardX.proto.event_pb2 import Event

    events = [Event.FromString(r) for f in sorted(folder.iterdir()) for r in records(f)]
    return [
        (event.step, value.simple_value)
        for event in events
        for value in event.summary.value
        if value.tag == tag
    ]


def test_tensorboard_shows_every_step_once_after_a_kill(tmp_path):
    pytest.importorskip("tensorboardX")
    run = tmp_path / "runs" / "one"
    cut_and_resume("tensorboard", run)
    assert scalars(run / "tensorboard", "loss") == EXPECTED
    assert scalars(run / "tensorboard", "refused") == [(i, 0.0) for i in range(8)]
    assert not scalars(run / "tensorboard", "step")
    (file,) = (run / "tensorboard").iterdir()
    assert b'"layers": 2' in file.read_bytes()


def test_tensorboard_forgets_what_an_older_file_had_said(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    run = tmp_path / "one"
    cut_and_resume("tensorboard", run)
    (file,) = (run / "tensorboard").iterdir()
    events = [Event.FromString(record) for record in records(file)]
    starts = [e.step for e in events if e.session_log.status == SessionLog.START]
    assert starts == [0]


def test_trackio_shows_every_step_once_after_a_kill(tmp_path):
    pytest.importorskip("trackio")
    folder = tmp_path / "trackio"
    cut_and_resume("trackio", tmp_path / "one", TRACKIO_DIR=folder)
    cut_and_resume("trackio", tmp_path / "elsewhere" / "one", TRACKIO_DIR=folder)
    code = (
        "import json\n"
        "from trackio.sqlite_storage import SQLiteStorage as S\n"
        "runs = S.get_run_records('ttt-lab')\n"
        "logs = [S.get_logs('ttt-lab', r['name'], run_id=r['id']) for r in runs]\n"
        "print(json.dumps([[(l['step'], l['loss']) for l in log] for log in logs]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment({"TRACKIO_DIR": folder}),
        capture_output=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert [[tuple(pair) for pair in run] for run in found] == [EXPECTED, EXPECTED]


def test_wandb_shows_every_step_once_after_a_kill(tmp_path):
    pytest.importorskip("wandb")
    run = tmp_path / "one"
    cut_and_resume("wandb", run)
    (folder,) = (run / "wandb").glob("offline-run-*")
    assert folder.name.endswith((run / "tracker-id").read_text())
    (file,) = folder.glob("*.wandb")
    assert _wandb_history(file) == EXPECTED


def _wandb_history(file):
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for record in map(Record.FromString, _log_records(file.read_bytes())):
        items = record.history.item
        row = {i.key or i.nested_key[0]: json.loads(i.value_json) for i in items}
        found += [(row["_step"], row["loss"])] if "loss" in row else []
    return found


def _log_records(data):
    """Records of a LevelDB log of one block, after seven bytes that say what it is."""
    assert len(data) < 32_768
    data = data[7:]
    while data:
        length, kind = struct.unpack("<HB", data[4:7])
        assert kind == 1, "a record in parts"
        yield data[7 : 7 + length]
        data = data[7 + length :]


def test_no_tracker_does_nothing(tmp_path):
    tracker = trackers.open_tracker(None, tmp_path / "run", {})
    tracker.log(0, {"loss": 1.0})
    tracker.close()
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_names_the_closest(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'tensorboard'"):
        trackers.open_tracker("tensorbord", tmp_path, {})


@pytest.mark.parametrize(
    "kind, package",
    [("tensorboard", "tensorboardX"), ("trackio", "trackio"), ("wandb", "wandb")],
)
def test_a_missing_package_says_how_to_get_it(kind, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package} "):
        trackers.open_tracker(kind, tmp_path, {})
