"""What models run on here, and what is kept of their programs; asked without JAX."""

import sys

from lab import compile_cache


def device() -> str:
    """The device that models run on; "" as long as nothing has brought JAX."""
    if "jax" not in sys.modules:
        return ""
    import jax

    found = jax.devices()
    kind = "CPU" if found[0].platform == "cpu" else found[0].device_kind
    return kind if len(found) == 1 else f"{len(found)} × {kind}"


def compiled() -> tuple[int, int]:
    """Number and bytes of the compiled programs that are kept on the disk."""
    place = compile_cache.folder()
    if not place.is_dir():
        return 0, 0
    sizes = [path.stat().st_size for path in place.glob("*-cache") if path.is_file()]
    return len(sizes), sum(sizes)
