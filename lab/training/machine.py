"""What can this machine do? Operations per second, measured on one matrix product."""

import time
from collections.abc import Callable

from lab.quick import is_quick


def measure_peak(size: int = 1024, repeats: int = 20) -> float:
    """Operations per second of the best of `repeats` float32 matrix products."""
    import jax
    import jax.numpy as jnp

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
