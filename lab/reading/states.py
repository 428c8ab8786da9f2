"""Stream states as files: a reading that ends, and goes on in another one.

    NAME.state            the learning stream, `checkpoints.save_stream`
    NAME-frozen.state     its frozen twin

A stream state is everything: fast weights, windows, the open chunk. So a document that
is read in two parts ends at the same bits as one that was read at once. Whoever goes on
names a document: the same one is read on from the token where the stream stands, any
other from its start.
"""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from lab import checkpoints
from lab.reading.session import Reading, Start


def save(path: Path, reading: Reading) -> Path:
    """Write where a reading stands, its twin beside it; the path of the learner's."""
    read = reading.plan.ids[: reading.trace.read]
    before, began = np.zeros(0, np.int32), 0
    if reading.start:
        before, began = reading.start.before, reading.start.began
    marks = {"began": str(began), "tokens": _hash(np.concatenate([before, read]))}
    places = {"learning": path, "frozen": twin_of(path)}
    for name, (state, model) in reading.states.items():
        checkpoints.save_stream(places[name], state, model, marks)
    return path


def check_free(path: Path):
    """**Raises** `ValueError` where a state would replace anything but a state."""
    for place in (path, twin_of(path)):
        if place.is_dir():
            raise ValueError(f"{place} is a folder: name a file, such as my.state.")
        if place.exists():
            try:
                checkpoints.stream_marks(place)
            except ValueError as error:
                raise ValueError(
                    f"{place} is no saved stream, so it is not overwritten; name "
                    "another file."
                ) from error


def twin_of(path: Path) -> Path:
    """The file of the frozen twin beside a learner's."""
    return path.with_name(f"{path.stem}-frozen{path.suffix}")


def open_start(path: Path, model, twin, ids: np.ndarray) -> Start:
    """Where the reading of a document's tokens `ids` goes on from a saved stream.

    An open chunk is filled first. Without the twin's file, the twin starts from W0 and
    the learner's window, which its own reading replaces within the window's reach.

    **Raises** what `checkpoints.load_stream` raises.
    """
    state = checkpoints.load_stream(path, model)
    marks, read = checkpoints.stream_marks(path), int(state.position)
    began = int(marks.get("began", 0))
    known = ids[: read - began]
    if _hash(known) != marks.get("tokens"):
        known, began = ids[:0], read
    states = {"learning": state}
    if model.config.learns:
        states["frozen"] = _twin(path, state, model, twin)
    missing = -int(state.n_open) % model.config.chunk
    filling = ids[len(known) : len(known) + missing]
    for name, reader in (("learning", model), ("frozen", twin)):
        if missing and name in states:
            import ttt_core as ttt

            states[name], _ = ttt.read(reader, states[name], filling)
    before = np.concatenate([known, filling]).astype(np.int32)
    mark = hashlib.sha256(path.read_bytes()).hexdigest()
    return Start(states, before, began, mark)


def _twin(path: Path, state, model, twin):
    beside = twin_of(path)
    if beside.exists():
        found = checkpoints.load_stream(beside, twin)
        if int(found.position) == int(state.position):
            return found
    return dataclasses.replace(state, fast=model.fast_mlps, rule_state=())


def _hash(ids: np.ndarray) -> str:
    return hashlib.sha256(np.asarray(ids, "<i4").tobytes()).hexdigest()
