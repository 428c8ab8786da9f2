"""What every test gets: strict JAX, two CPU devices, the compile cache, keys, a model.

And how the suite is run: programs compiled in a fifth of the time, by as many processes
as there are cores to use. `ttt_core` is type-checked at run time
(`--jaxtyping-packages` in pyproject.toml), so it must not be imported while this file
is.
"""

import gc
import os
import signal
from pathlib import Path


DEVICES = "--xla_force_host_platform_device_count=2"
# LLVM's optimisations and a module of its own for every fused loop are four fifths of
# what compiling takes, and programs as small as these run no faster for them. `make
# slow` compiles as people do, and runs the tests marked `bits` again.
QUICKLY = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", f"{DEVICES} {QUICKLY}")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # of children

import jax  # noqa: E402
import pytest  # noqa: E402

import lab  # noqa: E402, F401  switches the persistent compile cache on
from lab.runs import usable_cores  # noqa: E402


jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
# Tracing makes millions of objects that live on; to look for garbage among them as
# often as Python does is a fifth of a warm run.
gc.set_threshold(50_000, 20, 100)

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit
# that; those that tests start must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The files that take longest. Processes begin with these, so that all end together.
LONG = """
tests/core/mixers/test_mixers_shared.py tests/core/test_model.py
tests/lab/training/test_training_loop.py tests/core/test_invariants.py
tests/lab/recipes/test_recipes.py tests/core/test_meta.py
tests/lab/training/test_training_resume.py tests/lab/training/test_training_devices.py
tests/lab/training/test_training_plan.py
""".split()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One process a core; for a single file, or with `-s`, this one alone."""
    files = {argument.partition("::")[0] for argument in config.args}
    alone = config.option.capture == "no"
    if alone or (len(files) == 1 and Path(*files).is_file()):
        return 0
    return usable_cores()


def pytest_collection_modifyitems(items):
    """Long files first, the rest as they were."""
    order = {name: i for i, name in enumerate(LONG)}
    file = lambda item: item.nodeid.partition("::")[0]
    items.sort(key=lambda item: order.get(file(item), len(order)))


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
