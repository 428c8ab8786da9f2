"""What does rematerialisation save? Memory of one meta-gradient against `remat=n`."""

import dataclasses
from typing import ClassVar


CHOICES = (None, 1, 2, 4, 8, 16)


@dataclasses.dataclass(frozen=True)
class RematBench:
    """MiB of temporary memory by `remat=n`, of one sequence of `seq` tokens."""

    KIND: ClassVar[str] = "bench-remat"
    model: str
    seq: int
    mib: dict[str, float]


def measure_remat(
    model, *, seq: int = 2048, choices=CHOICES, report=lambda remat: None
) -> dict:
    """Bytes of temporary memory that the compiled meta-gradient needs, by `remat`.

    The numbers are read from the compiled program of one sequence of `seq` tokens;
    nothing is run. `report(remat)`: called before each compilation.
    """
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    import ttt_core as ttt

    arrays, static = eqx.partition(model, eqx.is_array)
    tokens = jax.ShapeDtypeStruct((seq + 1,), jnp.int32)

    def bytes_for(remat):
        report(remat)

        def loss(arrays, tokens):
            return ttt.meta_loss(eqx.combine(arrays, static), tokens, remat=remat)[0]

        compiled = jax.jit(jax.grad(loss)).lower(arrays, tokens).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    return {remat: bytes_for(remat) for remat in choices}
