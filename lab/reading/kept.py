"""Where readings lie: a finished one as a trace, a stopped one with its states.

    NAME.stopped/trace.npz                  what was measured, `lab.traces`
    NAME.stopped/learning.safetensors       a stream each, `checkpoints.save_stream`
    NAME.stopped/learning-absent.safetensors, frozen..., frozen-absent...

The same reading goes on from there to the very bits of a reading that never stopped.
"""

import hashlib
import json
import shutil
from pathlib import Path

from lab import checkpoints, files, runs, traces
from lab.reading.session import Reading


def place(header: traces.Header, source: str) -> Path:
    """The file of a reading's trace among the runs, which no other reading has.

    Two texts of one name in different folders, two models, two needles have two files;
    the same reading has the same. `source`: the text as it was named on the command
    line.
    """
    here = files.expanded(source)
    where = str(here.resolve()) if here.is_file() else source
    told = json.dumps([where, header.identity], sort_keys=True)
    key = hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    words = (Path(source).stem, header.model, "needle" if header.needle else "", key)
    name = "-".join(map(_plain, filter(None, words)))
    return runs.folder("streams") / f"{name}.npz"


def folder_of(trace: Path) -> Path:
    """The folder in which the reading that will end in the file `trace` is kept."""
    return trace.with_name(f"{trace.stem}.stopped")


def keep(reading: Reading, folder: Path) -> Path:
    """Write a reading as far as it has come, and return the folder.

    The folder appears whole or not at all.
    """
    trace, states = reading.trace, reading.states
    new = folder.with_name(f"{folder.name}-new")
    forget(new)
    with files.appearing(new) as draft:
        traces.save(draft / "trace.npz", trace)
        for name, (state, model) in states.items():
            checkpoints.save_stream(draft / f"{name}.safetensors", state, model)
    forget(folder)
    return new.rename(folder)


def go_on(reading: Reading, folder: Path) -> None:
    """Take up the reading that was kept in `folder`.

    **Raises** `ValueError` if it is another reading, or damaged; then `reading` is as
    it was.
    """
    trace, states = traces.load(folder / "trace.npz"), {}
    for name, (_, model) in reading.states.items():
        for one in (name, f"{name}-absent"):
            path = folder / f"{one}.safetensors"
            if path.exists():
                states[one] = checkpoints.load_stream(path, model)
    reading.go_on(trace, states)


def forget(folder: Path) -> None:
    """Remove what was kept, if anything was."""
    if folder.exists():
        shutil.rmtree(folder)


def _plain(words: str) -> str:
    """Words as part of a file name: letters, digits and a few signs."""
    kept = (c if c.isalnum() or c in "-_." else "_" for c in words[:40])
    return "".join(kept).strip(".") or "_"
