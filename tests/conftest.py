"""What every test gets: strict JAX, two CPU devices, the compile cache, keys, a model.

`ttt_core` is type-checked at run time (`--jaxtyping-packages` in pyproject.toml), so it
must not be imported while this file is.
"""

import os


os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import jax
import pytest

import lab  # noqa: F401  switches the persistent compile cache on


jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def getkey():
    """A function that gives another random key at every call, the same in every run."""
    keys = iter(jax.random.split(jax.random.key(20250), 1000))
    return lambda: next(keys)


@pytest.fixture(scope="session")
def nano():
    """The smallest preset, freshly initialised."""
    import ttt_core as ttt

    build = lambda key: ttt.preset("nano").build(key=key)
    return jax.jit(build)(jax.random.key(0))


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Each file starts without compiled programs: thousands at once exhaust the maps
    that a process may have, and XLA aborts. The cache on disk keeps them cheap."""
    yield
    jax.clear_caches()
