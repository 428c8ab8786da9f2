"""Compiled programs are kept on disk, so that the second start is quick.

The folder is the user's cache folder (`~/.cache/ttt-lab/compiled`); the environment
variable `TTT_LAB_COMPILE_CACHE` moves the folder. Importing `lab` switches the cache
on, before or after JAX is imported, and does not import JAX.
"""

import os
import sys
from pathlib import Path


SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.3,
    "jax_persistent_cache_min_entry_size_bytes": 0,
}


def folder() -> Path:
    """The folder where compiled programs are kept."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TTT_LAB_COMPILE_CACHE", base / "ttt-lab" / "compiled"))


def enable():
    """Point JAX at the folder, unless the user has set JAX's own variable."""
    settings = {"jax_compilation_cache_dir": str(folder()), **SETTINGS}
    for name, value in settings.items():
        os.environ.setdefault(name.upper(), str(value))
    if "jax" in sys.modules:
        import jax

        if jax.config.jax_compilation_cache_dir is None:
            for name, value in settings.items():
                jax.config.update(name, value)
