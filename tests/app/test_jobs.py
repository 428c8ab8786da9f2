"""Jobs: commands outside the web process, found again, stopped, in turn, bounded."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import errand, jobs
from lab import files


COMMAND = Path(__file__).with_name("errand_command.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Commands are run by a script that obeys its first value; none outlives a test."""
    monkeypatch.setattr(jobs, "PROGRAM", (sys.executable, str(COMMAND)))
    yield
    for job in jobs.queue():
        job.stop()
    for job in jobs.listing():
        until(lambda job=job: not job.is_alive)


def start(*values, **options):
    return jobs.start("recipes", list(values), **options)


def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)
    return found


def ended(job, how):
    until(lambda: job.state not in jobs.ALIVE)
    assert job.state == how, (job.state, job.output())
    return job


def pids(job):
    """Processes that have a job's folder on their command line: its errand."""
    found = subprocess.run(
        ["pgrep", "-f", str(job.folder)], capture_output=True, text=True
    )
    return [int(word) for word in found.stdout.split()]


def test_a_command_is_run_and_its_output_and_status_are_kept():
    job = start("says", "a; echo b", "$HOME")
    ended(job, jobs.DONE)
    assert job.status == 0 and job.output() == "over and done a; echo b $HOME\n"
    assert jobs.find("recipes", ["says", "a; echo b", "$HOME"]) == job
    assert jobs.find("recipes", ["says"]) is None


def test_a_command_that_fails_says_why():
    job = ended(start("fails", title="The test"), jobs.FAILED)
    assert job.status == 1
    said = "The test has failed. It says: there is no such thing."
    assert jobs.sentence(job) == said


def test_the_progress_line_is_understood():
    job = start("works")
    found = until(lambda: job.progress)
    assert found.words.startswith("nano-e2e pretrain step ")
    assert (found.left, job.state) == ("20 s", jobs.RUNNING)
    until(lambda: job.progress.share >= 0.01)
    assert jobs.sentence(job).endswith("%, 20 s left.")


def test_a_stop_lets_the_command_save_and_end_with_its_own_sentence():
    job = start("works")
    until(lambda: job.progress)
    job.stop()
    ended(job, jobs.STOPPED)
    assert "It says: stopped at step 3; saved." in jobs.sentence(job)
    assert job.status == 130


def test_the_same_job_is_begun_once_and_another_waits_for_it():
    first, again = start("works", title="First"), start("works")
    assert again == first
    second = start("says", "second", title="Second")
    until(lambda: first.progress)
    assert second.state == jobs.WAITING
    assert "Second waits for First: one" in jobs.sentence(second)
    first.stop()
    ended(first, jobs.STOPPED)
    ended(second, jobs.DONE)
    assert start("works").key > second.key, "what has ended can be asked for again"


def test_a_job_that_waits_can_be_stopped_and_those_behind_it_go_on():
    first, second, third = start("works"), start("says", "2"), start("says", "3")
    second.stop()
    ended(second, jobs.STOPPED)
    assert not second.output() and third.state == jobs.WAITING
    first.stop()
    ended(third, jobs.DONE)


def test_a_queue_is_bounded_and_says_so(monkeypatch):
    monkeypatch.setattr(jobs, "MOST", 2)
    start("works")
    start("says", "2")
    with pytest.raises(ValueError, match="2 commands run or wait"):
        start("says", "3")
    assert len(jobs.listing()) == 2


def test_a_job_outlives_its_server():
    code = (
        "import sys; from app import jobs; jobs.PROGRAM = tuple(sys.argv[1:]);"
        "print(jobs.start('recipes', ['works']).key)"
    )
    run = [sys.executable, "-c", code, *jobs.PROGRAM]
    out = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=True)
    job = jobs.find("recipes", ["works"])
    assert job.key == out.stdout.strip() and job.state in jobs.ALIVE
    assert os.getsid(pids(job)[0]) != os.getsid(0), "a closed terminal would end it"
    until(lambda: job.progress)
    job.stop()
    ended(job, jobs.STOPPED)


def test_a_killed_job_is_no_running_job_whatever_its_process_number_is_now():
    job = start("works")
    until(lambda: job.progress)
    for pid in pids(job):
        os.kill(pid, signal.SIGKILL)
    # The command ends when it prints to nobody.
    ended(job, jobs.LOST)
    assert "ended without a word" in jobs.sentence(job)
    ended(start("says", "next"), jobs.DONE)


def test_a_folder_without_a_process_or_with_a_damaged_file_is_no_running_job():
    job = ended(start("says"), jobs.DONE)
    (job.folder / "end.json").write_text("{")
    until(lambda: job.state == jobs.LOST)
    assert job.status is None
    (job.folder / "job.json").write_text("[]")
    assert jobs.listing() == []


@pytest.mark.parametrize(
    "value", ["--publish", "-x", "", " ", "a\nb", "a\x1b", "x" * 2000]
)
def test_no_value_is_taken_for_an_option(value):
    with pytest.raises(ValueError, match="value"):
        start(value)
    with pytest.raises(ValueError, match="value"):
        start("says", run=value)
    assert jobs.listing() == []


def test_options_are_words_of_the_command():
    job = start("says", seed=0, plain=True, run=None, set=["lr=1", "seed=2"], far=-1.5)
    assert job.command == (
        "ttt-lab recipes says --seed 0 --plain --set lr=1 seed=2 --far -1.5"
    )
    ended(job, jobs.DONE)


def test_an_unknown_verb_is_no_command():
    with pytest.raises(ValueError, match="verb"):
        jobs.start("rm", ["-rf"])


def test_a_long_output_keeps_its_end():
    job = ended(start("chatters"), jobs.DONE)
    size = (job.folder / "output.log").stat().st_size
    assert size <= 2 * errand.LOG + 70_000
    assert job.output().splitlines()[-1].startswith("line 19999 ")
    assert len(job.output()) <= jobs.SHOWN


def test_a_full_disk_is_a_sentence_and_leaves_no_job(monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(ValueError, match="No space left on device.*make some"):
        start("says")
    assert jobs.listing() == [] and not list(jobs.place().glob("[0-9]*"))


def test_a_command_goes_on_when_its_output_finds_no_space(tmp_path):
    read, write = os.pipe()
    os.write(write, b"lost")
    os.close(write)
    with open(read, "rb") as output:
        errand.keep(output, tmp_path / "no such folder" / "output.log")


def test_old_jobs_are_forgotten(monkeypatch):
    monkeypatch.setattr(jobs, "KEPT", 2)
    for number in range(4):
        last = ended(start("says", str(number)), jobs.DONE)
    assert [job.words[1] for job in jobs.listing()] == ["3", "2"]
    assert jobs.listing()[0] == last


@pytest.mark.slow
def test_a_command_that_does_not_listen_is_ended_after_the_second_request():
    job = start("stubborn")
    until(lambda: job.progress)
    job.stop()
    until(lambda: job.state == jobs.STOPPING)
    job.stop()
    until(lambda: job.state not in jobs.ALIVE, errand.PATIENCE_S + 10)
    assert job.status == 128 + signal.SIGKILL
