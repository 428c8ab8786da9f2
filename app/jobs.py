"""A `ttt-lab` command as a process of its own, outside the web process.

    job = jobs.start("train", ["tiny-e2e"], size="nano", seed=1)
    job.state, job.progress, job.output()      # for this visitor or any other
    job.stop()

A job outlives the page, the visitor and the server. Everything about it lies in
`.runs/.jobs/KEY/`, so that another server finds it:

    job.json     what was asked for, and when
    alive        locked as long as the job waits or runs; locks end with a process
    began        there once the command runs
    stop-1, ...  there once somebody has asked for the end
    output.log   what the command printed: the end of it, if it is long
    end.json     the exit status and the time

`errand.py` is the process. One command runs at a time; the others wait in the order in
which they were asked for. No process is found by its number: numbers are given again.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import cli, files
from lab.names import choose
from lab.visible import visible


try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

WAITING, RUNNING, STOPPING = "waiting", "running", "stopping"
DONE, STOPPED, FAILED, LOST = "done", "stopped", "failed", "lost"
ALIVE = (WAITING, RUNNING, STOPPING)

MOST = 8  # jobs that run or wait at once
KEPT = 40  # jobs that have ended and are remembered
LONGEST = 1_000  # characters of a value
SHOWN = 20_000  # bytes of output that a page gets
STOPS = (130, 143)  # exit statuses of a command that was stopped
_JOB = {"verb": str, "words": [str], "title": str, "asked": int | float}
_END = {"status": int, "at": int | float}
# Programs are taken from here, not from whatever folder the server was started in.
PYTHON = (sys.executable, "-P", "-m")
PROGRAM = (*PYTHON, "lab")
_ROOT = Path(__file__).parents[1]
_PROGRESS = re.compile(r"^(?P<words>\S.*?)  (?P<share>\d+)%(?:, (?P<left>.+) left)?$")


@dataclass(frozen=True)
class Progress:
    """How far a command is: its words, the share done, the time left ("" = unknown)."""

    words: str
    share: float
    left: str


@dataclass(frozen=True)
class Job:
    """One command that was asked for; what became of it is read from its folder.

    `key`: its name, in the order of asking. `verb`, `words`: the command. `title`: the
    job's name for people. `asked`: when, in seconds since 1970.
    """

    key: str
    verb: str
    words: tuple[str, ...]
    title: str
    asked: float

    @property
    def folder(self) -> Path:
        """Where everything about the job lies."""
        return place() / self.key

    @property
    def command(self) -> str:
        """The command line, as a user would type it."""
        return shlex.join(["ttt-lab", *self.verb.split(), *self.words])

    @property
    def state(self) -> str:
        """One of `ALIVE`, or how the job ended."""
        if ended := self._ended():
            return ended
        if not self.is_alive:
            return self._ended() or LOST  # the end may have come between two looks
        if self._stops:
            return STOPPING
        return RUNNING if (self.folder / "began").exists() else WAITING

    @property
    def is_alive(self) -> bool:
        """Whether a process of the job holds its lock."""
        return is_locked(self.folder / "alive")

    @property
    def status(self) -> int | None:
        """The exit status, None if none is known."""
        end = self._end()
        return end["status"] if end else None

    @property
    def seconds(self) -> float:
        """How long the command has run, 0 before it begins."""
        with contextlib.suppress(OSError):
            began = (self.folder / "began").stat().st_mtime
            end = self._end()
            return max(0.0, (end["at"] if end else time.time()) - began)
        return 0.0

    @property
    def progress(self) -> Progress | None:
        """The newest line that says how far the command is."""
        for line in reversed(self.output().splitlines()):
            if found := _PROGRESS.match(line):
                share = min(100, int(found["share"])) / 100
                return Progress(found["words"], share, found["left"] or "")
        return None

    @property
    def last_line(self) -> str:
        """The last line of the output: how a command says what went wrong."""
        lines = self.output().split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")

    def output(self) -> str:
        """The end of what the command has printed, as text that nothing obeys."""
        try:
            with (self.folder / "output.log").open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - SHOWN))
                data = log.read()
        except OSError:
            return ""
        if size > SHOWN:
            data = data.partition(b"\n")[2]
        return visible(data.decode("utf-8", "replace").replace("\r\n", "\n"))

    def stop(self) -> None:
        """Ask for the end: the command saves and ends; asked twice, it ends at once.

        **Raises** `ValueError` if that cannot be asked.
        """
        with _sentence(self.folder):
            (self.folder / f"stop-{1 + self._stops}").touch()

    @property
    def _stops(self) -> int:
        return len(list(self.folder.glob("stop-*")))

    def _end(self) -> dict | None:
        with contextlib.suppress(OSError, ValueError):
            return files.read_json(self.folder / "end.json", _END)
        return None

    def _ended(self) -> str | None:
        if (end := self._end()) is None:
            return None
        if end["status"] == 0:
            return DONE
        return STOPPED if end["status"] in STOPS else FAILED


def place() -> Path:
    """The folder of all jobs of this machine."""
    return files.runs() / ".jobs"


def start(verb: str, values: list, *, title: str = "", **options) -> Job:
    """Run a command, or wait for the turn; a job that is the same is not begun twice.

    Args:
        verb: a verb of `ttt-lab`, such as "eval compare".
        values: what stands behind the verb.
        title: the job's name for people, the command if empty.
        options: by their names; True is a flag, a list has several values.

    No value is ever taken for an option, and no shell reads any.

    **Raises** `ValueError` with a sentence for values that cannot be used, a queue that
    is full, or a disk that is.
    """
    choose("verb", verb, cli.VERBS)
    words = _words(values, options)
    if fcntl is None:
        raise ValueError("Windows has no locks of the kind that jobs need.")
    with _sentence(place()), _one_at_a_time():
        known = listing()
        if same := next((j for j in known if _same(j, verb, words) and j.is_alive), 0):
            return same
        _check_room(known)
        _forget(known)
        newest = int(known[0].key) if known else 0
        key = f"{max(time.time_ns(), newest + 1):020d}"
        job = Job(key, verb, words, title or f"ttt-lab {verb}", time.time())
        _begin(job)
        return job


def find(verb: str, values: list, **options) -> Job | None:
    """The newest job of exactly this command, whoever has asked for it."""
    words = _words(values, options)
    return next((job for job in listing() if _same(job, verb, words)), None)


def listing() -> list[Job]:
    """All jobs that are remembered, the newest first."""
    found = []
    for folder in sorted(place().glob("[0-9]*"), reverse=True):
        with contextlib.suppress(OSError, ValueError):
            about = files.read_json(folder / "job.json", _JOB)
            words, title = tuple(about["words"]), about["title"]
            found.append(Job(folder.name, about["verb"], words, title, about["asked"]))
    return found


def queue() -> list[Job]:
    """The jobs that wait or run, the one that runs first."""
    return [job for job in reversed(listing()) if job.state in ALIVE]


def sentence(job: Job) -> str:
    """What becomes of a job, or became of it, for people."""
    state, title = job.state, job.title
    if state == WAITING:
        before = [other for other in queue() if other.key < job.key]
        if not before:
            return f"{title} begins."
        more = f" and {len(before) - 1} more" if len(before) > 1 else ""
        return f"{title} waits for {before[0].title}{more}: one command runs at a time."
    if state in (RUNNING, STOPPING):
        return f"{title}: {_how_far(job)}." if state == RUNNING else _stopping(job)
    if state == LOST:
        return (
            f"{title} ended without a word: it was killed, the disk was full, or the "
            "machine was switched off. The same command goes on from what is saved."
        )
    said = job.last_line.removeprefix("ttt-lab: ")
    ended = {DONE: "is done.", STOPPED: "was stopped.", FAILED: "has failed."}[state]
    return f"{title} {ended}" + (f" It says: {said}" if state != DONE and said else "")


def _how_far(job: Job) -> str:
    if (progress := job.progress) is None:
        return f"it is starting, {job.seconds:.0f} s"
    left = f", {progress.left} left" if progress.left else ""
    return f"{progress.share:.0%}{left}"


def _stopping(job: Job) -> str:
    return f"{job.title} is stopping: it saves first, which can take some seconds."


def _words(values: list, options: dict) -> tuple[str, ...]:
    """The words behind the verb, checked."""
    words = [_checked(value) for value in values]
    for name, value in options.items():
        if value is None or value is False or value in ([], ()):
            continue
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            several = value if isinstance(value, (list, tuple)) else [value]
            words += map(_checked, several)
    return tuple(words)


def _checked(value) -> str:
    """A value as a word of a command line, which nothing takes for an option."""
    word = str(value)
    if isinstance(value, str) and word.startswith("-"):
        raise ValueError(
            f"A value must not begin with a minus sign: got {word[:60]!r}."
        )
    if not word.strip() or len(word) > LONGEST or visible(word) != word or "\n" in word:
        raise ValueError(
            f"A value is a line of 1 to {LONGEST:,} characters: got {word[:60]!r}."
        )
    return word


def _same(job: Job, verb: str, words: tuple[str, ...]) -> bool:
    return (job.verb, job.words) == (verb, words)


def _check_room(known: list[Job]) -> None:
    alive = [job for job in known if job.is_alive]
    if len(alive) >= MOST:
        raise ValueError(
            f"{len(alive)} commands run or wait already: stop one of them, or wait."
        )


def _forget(known: list[Job]) -> None:
    """Remove the oldest jobs that have ended."""
    ended = [job for job in known if job.state not in ALIVE]
    for job in ended[KEPT - 1 :]:
        shutil.rmtree(job.folder, ignore_errors=True)


def _begin(job: Job) -> None:
    """Write the job down and start its process, which inherits the job's lock."""
    job.folder.mkdir(parents=True)
    try:
        about = {name: getattr(job, name) for name in _JOB}
        files.write(job.folder / "job.json", json.dumps(about, indent=1) + "\n")
        with (
            (job.folder / "alive").open("xb") as lock,
            (job.folder / "output.log").open("xb") as log,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            errand = subprocess.Popen(
                [*PYTHON, "app.errand", str(job.folder), *PROGRAM],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                start_new_session=True,  # the end of the server is not the job's
                cwd=files.runs().parent,
                env=_environment() | {"TTT_LAB_LOCK": str(lock.fileno())},
            )
    except BaseException:
        shutil.rmtree(job.folder, ignore_errors=True)
        raise
    # A process that nobody waits for stays in the system's list.
    threading.Thread(target=errand.wait, daemon=True).start()


def _environment() -> dict[str, str]:
    """Of a command that is at home in another folder than the server."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    runs = {"TTT_LAB_RUNS": str(files.runs()), "PYTHONUNBUFFERED": "1"}
    return os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"} | runs


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of the file `path`."""
    if fcntl is None or not path.exists():
        return False
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """A context that one visitor of one server is in at a time."""
    place().mkdir(parents=True, exist_ok=True)
    with (place() / "door").open("ab") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _sentence(where: Path) -> Iterator[None]:
    """A context whose errors of the operating system are sentences."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"Nothing can be kept in {where} ({error.strerror or error}); make some "
            "space there, or let TTT_LAB_RUNS name another folder."
        ) from error
