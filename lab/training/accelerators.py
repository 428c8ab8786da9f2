"""Which devices can a training be planned for? Peaks and memory, as the makers say.

NVIDIA: data sheets of the A100, H100, H200, B200 (HGX) and the Ada whitepaper, dense
products (data sheets show twice as much, with sparsity). TPUs: Google Cloud's pages on
each version. A float32 product runs as TF32 on NVIDIA and as BF16 on a TPU: what JAX
chooses by default. `this` is measured: one matrix product, on this machine.
"""

import dataclasses

from lab.names import choose


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """A device: its full name, TFLOP/s in bfloat16 and float32, and GiB of memory."""

    title: str
    bfloat16: float
    float32: float
    memory: float

    def peak(self, dtype: str) -> float:
        """Operations per second at best, with activations of this kind."""
        return 1e12 * getattr(self, dtype)


KNOWN = {
    "a100": Accelerator("NVIDIA A100 SXM 80 GB", 312, 156, 80),
    "h100": Accelerator("NVIDIA H100 SXM", 989, 494, 80),
    "h200": Accelerator("NVIDIA H200 SXM", 989, 494, 141),
    "b200": Accelerator("NVIDIA B200 (HGX)", 2250, 1125, 180),
    "rtx4090": Accelerator("NVIDIA RTX 4090", 165, 83, 24),
    "tpu-v4": Accelerator("TPU v4", 275, 275, 32),
    "tpu-v5e": Accelerator("TPU v5e", 197, 197, 16),
    "tpu-v5p": Accelerator("TPU v5p", 459, 459, 95),
    "tpu-v6e": Accelerator("TPU v6e", 918, 918, 32),
}
HERE = "this"  # a device of this machine


def find(name: str) -> Accelerator:
    """The device called `name`, or one of this machine's, measured in a second.

    **Raises** `ValueError` for an unknown name, naming a close one or all.
    """
    return _here() if choose("device", name, (*KNOWN, HERE)) == HERE else KNOWN[name]


def _here() -> Accelerator:
    """A CPU counts as one device; its peak is that of all cores, in float32."""
    import jax

    from lab.training.machine import measure_peak, memory

    is_cpu = jax.default_backend() == "cpu"
    many = 1 if is_cpu else jax.local_device_count()
    tera = measure_peak() / 1e12
    return Accelerator("this machine", tera, tera, memory() / many / 2**30)
