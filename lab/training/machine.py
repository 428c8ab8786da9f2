"""What can this machine do? Operations per second, measured, and bytes of memory."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab.quick import is_quick


LIMITS = (  # of memory, as containers set it: control groups of version 2 and 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def measure_peak(size: int | None = None, repeats: int = 20) -> float:
    """Operations per second of the best of `repeats` float32 matrix products.

    `size`: rows and columns, None = as many as keep one device busy for longer than a
    call takes to reach it: a GPU multiplies 1,024 of them in 40 microseconds.
    """
    import jax
    import jax.numpy as jnp

    size = size or (1024 if jax.default_backend() == "cpu" else 8192)
    product = jax.jit(lambda a: a @ a)
    a = jnp.ones((size, size), jnp.float32)
    product(a).block_until_ready()
    best = min(seconds_of(lambda: product(a)) for _ in range(repeats))
    return 2 * size**3 / best


def total_peak() -> float | None:
    """Operations per second of all devices of a training; None if time is short."""
    import jax

    if is_quick():
        return None
    # The devices of a CPU share its cores, and one product uses all cores.
    several = 1 if jax.default_backend() == "cpu" else jax.local_device_count()
    return measure_peak() * several * jax.process_count()


def seconds_of(function: Callable[[], object]) -> float:
    """How long `function()` takes, until its arrays have been computed."""
    import jax

    began = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - began


def memory() -> int:
    """Bytes that a training may use here: this machine's, or those of its devices.

    On a CPU a container's limit counts; the devices of a CPU share the memory.
    """
    import jax

    if jax.default_backend() == "cpu":
        return min(_physical(), *map(_limit, LIMITS))
    stats = (device.memory_stats() or {} for device in jax.local_devices())
    found = [one["bytes_limit"] for one in stats if "bytes_limit" in one]
    return sum(found) or sys.maxsize


def _physical() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return sys.maxsize


def _limit(path: Path) -> int:
    """The limit in a file of a control group; "max" and a missing file are none."""
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return sys.maxsize


def size_of(size: float) -> str:
    """A number of bytes as people read it.

    >>> size_of(3 * 2**40)
    '3.0 TiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB" if size < 1024 else f"{size / 1024:,.1f} TiB"
