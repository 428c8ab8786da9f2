"""What does a visitor cost? The bytes of one reading, and of the whole process."""

import os
import sys
from pathlib import Path

from lab.reading.session import Reading


def nbytes(reading: Reading) -> int:
    """Bytes of the text, numbers and states that only this reading holds.

    A model is shared by all readings and does not count. Arrays are as long as the
    document from the start, and the states kept on the way are few (`marks.py`), so the
    number soon stays as it is.
    """
    shared = {id(part) for part in (reading.programs, *vars(reading.programs).values())}
    model = getattr(reading.programs.loaded, "model", None)
    return _bytes_of(vars(reading), shared | {id(model)})


def state_bytes(reading: Reading) -> int:
    """Bytes of what the learner remembers: fast weights, window, the open chunk."""
    state, _ = reading.states["learning"]
    return _bytes_of(state, set())


def full_attention_bytes(config, tokens: int) -> int:
    """Bytes that keys and values of all tokens would take in a model of that size."""
    head = config.d_model // config.heads
    return 2 * config.layers * (config.kv_heads or config.heads) * head * 4 * tokens


def process_bytes() -> int:
    """Memory of this process now, in bytes; its highest so far where now is unknown."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _bytes_of(thing, seen: set[int]) -> int:
    """Bytes of the arrays and texts that can be reached from `thing`, each once."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, bytes | str):
        return len(thing)
    if hasattr(thing, "nbytes"):
        return int(thing.nbytes)
    if isinstance(thing, dict):
        parts = thing.values()
    elif isinstance(thing, tuple | list):
        parts = thing
    else:
        parts = getattr(thing, "__dict__", {}).values()
    return sum(_bytes_of(part, seen) for part in parts)
