"""Asked to stop, a training saves first; what it says of the disk is true."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from small_experiment import small_experiment, write_texts

from lab import runs, stopping
from lab.commands import train as command
from lab.recipes import settings
from lab.stopping import Stopped
from lab.training import held_out, interrupts, loop, resuming
from lab.training.conduct import Conduct
from lab.training.interrupts import Interrupts
from lab.training.resuming import Checkpoints


PRETRAIN = Conduct(until="pretrain")


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TTT_LAB_QUICK", "1")  # the machine's peak is not measured
    monkeypatch.setattr(held_out, "CARD", {"count": 2, "length": 64})
    return small_experiment(write_texts(tmp_path / "texts"))


def train(experiment, run, *, at=None, sent=signal.SIGINT):
    """Train the first stage; a signal arrives while the line of step `at` is shown."""

    def report(line):
        if line["step"] == at:
            os.kill(os.getpid(), sent)

    with Interrupts(run) as asked:
        loop.train(experiment, run, PRETRAIN, report=report, interrupts=asked)


def losses(run):
    return [line["loss"] for line in runs.read_metrics(run / "metrics.jsonl")]


def test_a_stopped_training_is_saved_and_goes_on(experiment, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(experiment, whole)
    before = [signal.getsignal(number) for number in interrupts.SIGNALS]
    with pytest.raises(Stopped, match="^stopped at step 3; saved: the same ") as end:
        train(experiment, cut, at=2)
    assert stopping.exit_code(end.value) == 130
    assert [signal.getsignal(number) for number in interrupts.SIGNALS] == before
    assert runs.newest_checkpoint(cut) == 3 == len(losses(cut))
    train(experiment, cut)
    assert losses(cut) == losses(whole)


@pytest.mark.slow
def test_sigterm_saves_too(experiment, tmp_path):
    with pytest.raises(Stopped, match="^stopped at step 1; saved: the same ") as end:
        train(experiment, tmp_path, at=0, sent=signal.SIGTERM)
    assert stopping.exit_code(end.value) == 143
    assert runs.newest_checkpoint(tmp_path) == 1


def test_before_the_first_step_nothing_is_promised(experiment, tmp_path, monkeypatch):
    compiled = loop.compile_step
    ask = lambda *given: os.kill(os.getpid(), signal.SIGINT) or compiled(*given)
    monkeypatch.setattr(loop, "compile_step", ask)
    with pytest.raises(Stopped, match="at once; nothing is saved yet: .* begins again"):
        train(experiment, tmp_path)
    (tmp_path / "checkpoints" / "2").mkdir()
    (tmp_path / "checkpoints" / "3.orbax-checkpoint-tmp").mkdir()
    assert "last whole checkpoint is of step 2: " in interrupts.kept(tmp_path)


def test_a_second_signal_while_saving_ends_at_once(experiment, tmp_path, monkeypatch):
    def save(self, done, *_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(Checkpoints, "save", save)
    with pytest.raises(Stopped, match="^stopped at step 2, unsaved; nothing is saved"):
        train(experiment, tmp_path, at=1)


@pytest.mark.slow
def test_weights_of_a_loss_that_has_jumped_are_not_saved(
    experiment, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop.Divergence, "since", 1)
    with pytest.raises(Stopped, match="not saved because its loss has jumped; nothing"):
        train(experiment, tmp_path, at=1)


def test_in_another_thread_a_training_receives_no_signals(tmp_path):
    def enter():
        with Interrupts(tmp_path) as found:
            assert found.asked == 0
            done.append(found)

    done = []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert done and signal.getsignal(signal.SIGINT) == before


# The main thread is never interrupted, as while XLA compiles.
BUSY = """
import signal, sys, time
from pathlib import Path
from lab.training import interrupts
interrupts.GRACE_S = 0.2
with interrupts.Interrupts(Path(sys.argv[1])):
    signal.signal(signal.SIGTERM, lambda *_: None)
    print("busy", flush=True)
    while True:
        time.sleep(1)
"""


def child(*arguments):
    """A Python process that has said its first word."""
    command, pipe = [sys.executable, "-c", *map(str, arguments)], subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout.readline(), process.stderr.read()
    return process


def test_a_busy_machine_does_not_keep_a_training_from_ending(tmp_path):
    busy = child(BUSY, tmp_path)
    busy.send_signal(signal.SIGTERM)
    said = busy.communicate(timeout=20)[1]
    assert busy.returncode == 143
    assert said.endswith(
        "ttt-lab: stopped at once; nothing is saved yet: the same "
        "command begins again.\n"
    )


HOLDER = """
import sys
from pathlib import Path
from lab import runs
with runs.locked(Path(sys.argv[1])):
    print("locked", flush=True)
    input()
"""


def test_one_folder_is_trained_by_one_process(experiment, tmp_path):
    run = tmp_path / "run"
    other = child(HOLDER, run)
    said = f"in use by process {other.pid} on .*--run NAME"
    with pytest.raises(ValueError, match=said):
        train(experiment, run)
    with runs.locked(run, write=False):
        pass
    other.kill()
    other.communicate()
    with runs.locked(run):  # a dead process holds nothing
        assert (run / "lock").read_text().startswith(f"process {os.getpid()} on ")


def test_a_text_that_changed_is_refused_and_named(experiment, tmp_path):
    run, texts = tmp_path / "run", tmp_path / "texts"
    with pytest.raises(Stopped):
        train(experiment, run, at=1)
    before = (texts / "1.txt").read_text()
    (texts / "1.txt").write_text(before + "and more")
    (texts / "11.txt").write_text(before)
    with pytest.raises(ValueError, match=r"\(new: 11; changed: 1\)\. Put it back"):
        train(experiment, run)
    (texts / "11.txt").unlink()
    (texts / "1.txt").write_text(before.replace("quick", "quiet"))
    with pytest.raises(ValueError, match="same lengths, another content"):
        train(experiment, run)
    (texts / "1.txt").write_text(before)  # at another time, the same text
    train(experiment, run)
    assert len(losses(run)) == 4


def test_a_short_text_and_a_ragged_chunk_are_said(experiment, tmp_path):
    said = []
    small = settings.override(experiment, ("pretrain.tokens=5e5", "extend.seq=60"))
    loop._claim_place(tmp_path, small.phases, 0, Conduct(), said.append)
    assert "tokens of" in said[0] and "will be read 79 times; a longer" in said[0]
    assert "sequences of 60 tokens are not whole chunks of 8; the last 4" in said[1]
    assert len(said) == 2
    loop._claim_place(tmp_path, experiment.phases, 0, Conduct(), said.append)
    assert len(said) == 2


@pytest.mark.slow
def test_a_damaged_file_of_a_run_is_named_with_what_to_do(experiment, tmp_path):
    with pytest.raises(Stopped):
        train(experiment, tmp_path, at=2)  # checkpoints of step 2 and 3
    for name in ("devices", "data", "sources", "experiment"):
        path = tmp_path / f"{name}.json"
        whole = path.read_text()
        path.write_text(whole[:-9])
        with pytest.raises(ValueError, match=rf"{name}\.json is damaged .* remove it"):
            train(experiment, tmp_path)
        path.write_text(whole)
    for path in (tmp_path / "checkpoints" / "3").rglob("*"):
        if path.is_file():
            os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match="/3 is damaged .* goes on from step 2"):
        train(experiment, tmp_path)
    shutil.rmtree(tmp_path / "checkpoints" / "3")
    train(experiment, tmp_path)
    assert len(losses(tmp_path)) == 4


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only the administrator may make a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_whole_checkpoint(experiment, small_disk):
    run, filler = small_disk / "run", small_disk / "filler"
    with pytest.raises(Stopped):
        train(experiment, run, at=1)

    def fill(line):
        if line["step"] == 2:
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while file.write(bytes(1000)):
                    file.flush()

    with pytest.raises(OSError, match="is full, .* checkpoint is of step 2: the same"):
        loop.train(experiment, run, PRETRAIN, report=fill)
    assert runs.newest_checkpoint(run) == 2
    filler.unlink()
    train(experiment, run)
    assert len(losses(run)) == 4


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_found_behind_other_errors(number, tmp_path):
    with pytest.raises(OSError, match="is full, .* nothing is saved yet"):
        with resuming.told_if_full(tmp_path):
            try:
                raise OSError(number, "no space")
            except OSError as error:
                raise RuntimeError("saving failed") from error
    with pytest.raises(RuntimeError, match="saving failed"):
        with resuming.told_if_full(tmp_path):
            raise RuntimeError("saving failed")


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (KeyboardInterrupt(), "stopped; finished runs are kept, and the same command"),
        (Stopped("stopped at step 3; saved"), "stopped at step 3; saved"),
        (ValueError("a mistake"), "a mistake"),
    ],
)
def test_what_goes_on_says_so_when_it_is_stopped(raised, said):
    with pytest.raises(type(raised) if raised.args else Stopped, match=said):
        with command._going_on("finished runs"):
            raise raised


def test_held_out_losses_are_said_in_words():
    found = {
        "text": "sotu/val",
        "passages": 12,
        "tokens_each": 4096,
        "loss_learning": 2.30891,
        "loss_frozen": 2.3351,
    }
    assert command._held_out(found) == (
        "held out 2.3089 nats a token (frozen twin 2.3351), 12 passages of 4,096 "
        "tokens of sotu/val"
    )
    assert command._held_out(None) == "no part of the text is held out"
