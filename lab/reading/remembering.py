"""What a live reading has learned so far, as a memory: made, and kept under a name.

A name may come from anybody, so it names a file among the memories and no other place,
what is there already is not replaced, and the folder does not grow without end.
"""

import re
from pathlib import Path

import numpy as np

from lab import memories
from lab.memories import Memory
from lab.reading.session import Reading


FULL = 500  # memories that the folder holds before a page keeps no more
LONGEST = 60  # characters of a name


def remember(reading: Reading, *, form: str = memories.EXACT, measured: bool = True):
    """The `Memory` of what was learned so far.

    `measured`: whether chunks are read again, to see what the memory is worth; that
    takes a few seconds, and minutes for a large model.

    **Raises** `ValueError` where nothing was learned yet, or the model never learns.
    """
    state, model = reading.states["learning"]
    trace = reading.trace
    gains = trace.gain if np.isfinite(trace.gain).all() else ()
    return memories.remember(
        state,
        model,
        document=trace.header.document,
        text=trace.text,
        tokens=trace.tokens if measured else (),
        name=reading.programs.name,
        gains=gains,
        form=form,
    )


def keep(memory: Memory, name: str) -> Path:
    """Write a memory among those that `ttt-lab memory list` shows; the file's path.

    **Raises** `ValueError` for an empty name, one that is taken, or a folder or disk
    that is full.
    """
    path = memories.folder() / f"{file_name(name)}{memories.ENDING}"
    if path.exists():
        raise ValueError(f"There is a memory called {path.stem!r}: take another name.")
    if len(memories.paths()) >= FULL:
        raise ValueError(
            f"There are {FULL} memories here, and no more are kept from this page: "
            f"download this one, or remove some from {memories.folder()}."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return memories.write(path, memory)
    except OSError as error:
        raise ValueError(
            f"The memory cannot be kept in {path.parent} ({error.strerror or error}); "
            "make some space there, or let TTT_LAB_RUNS name another folder."
        ) from error


def file_name(name: str) -> str:
    """A name without the signs that a folder or a shell takes for more.

    **Raises** `ValueError` where nothing is left.
    """
    kept = re.sub(r"[^\w.-]+", "-", name)[:LONGEST].strip(".-")
    if not kept:
        raise ValueError("Give the memory a name of letters or digits.")
    return kept
