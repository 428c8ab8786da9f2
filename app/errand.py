"""The process of a job: it waits for its turn, runs the command, writes the end down.

    python -m app.errand FOLDER PROGRAM ...

The command inherits the job's lock (`jobs.py`), and so the job is alive as long as one
of the two is. If this process is killed, the command ends when it prints next.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from app import jobs
from lab import files


POLL_S = 0.2
PATIENCE_S = 15.0  # after the second request the command has so long to end
LOG = 200_000  # bytes of output that are kept, at least; twice as much at most


def main(folder: str, *program: str) -> None:
    """Do the errand of the job in `folder`: a command of `program`."""
    place = Path(folder)
    # An ignored signal would be ignored by the command as well.
    signal.signal(signal.SIGINT, lambda *_: None)
    status = run(place, program) if wait_for_turn(place) else 130
    end = {"status": status, "at": time.time()}
    files.write(place / "end.json", json.dumps(end) + "\n")


def wait_for_turn(place: Path) -> bool:
    """Wait until no earlier job is alive; False if the job is stopped before that."""
    while any(_earlier(place)):
        if any(place.glob("stop-*")):
            return False
        time.sleep(POLL_S)
    return not any(place.glob("stop-*"))


def run(place: Path, program: tuple[str, ...]) -> int:
    """Run the command to its end, stop it if that is asked for; the exit status."""
    about = json.loads((place / "job.json").read_text("utf-8"))
    (place / "began").touch()
    lock = int(os.environ.pop("TTT_LAB_LOCK"))
    # The pages come first: whoever looks should not wait for whoever computes.
    with contextlib.suppress(OSError):
        os.nice(5)
    command = subprocess.Popen(
        [*program, *about["verb"].split(), *about["words"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[lock],
    )
    writer = threading.Thread(
        target=keep, args=(command.stdout, place / "output.log"), daemon=True
    )
    writer.start()
    status = _await(command, place)
    writer.join(5)
    return status if status >= 0 else 128 - status


def _await(command: subprocess.Popen, place: Path) -> int:
    """Wait for the end; pass each request to stop on, and insist after the second."""
    passed, since = 0, 0.0
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return command.wait(POLL_S)
        asked = len(list(place.glob("stop-*")))
        if asked > passed:
            command.send_signal(signal.SIGINT)
            passed, since = passed + 1, time.monotonic()
        elif passed > 1 and time.monotonic() > since + PATIENCE_S:
            command.kill()


def keep(output, path: Path) -> None:
    """Write all that comes to a file, and only the end if it is long.

    A full disk loses output, never the command.
    """
    while data := output.read1(65_536):
        with contextlib.suppress(OSError):
            with path.open("ab") as log:
                log.write(data)
                size = log.tell()
            if size > 2 * LOG:
                files.write(path, path.read_bytes()[-LOG:])


def _earlier(place: Path):
    """Whether each job that was asked for earlier is alive."""
    for other in place.parent.glob("[0-9]*"):
        if other.name < place.name:
            yield jobs.is_locked(other / "alive")


if __name__ == "__main__":
    main(*sys.argv[1:])
