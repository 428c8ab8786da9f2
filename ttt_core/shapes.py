"""The axis names that every signature of this package uses, in one place.

| axis          | what it counts                                                   |
|---------------|------------------------------------------------------------------|
| `seq`         | tokens of one sequence or document (one example: never a batch)  |
| `batch`       | sequences; only at call sites, through `jax.vmap`                |
| `chunk`       | tokens between two inner steps (the paper's mini-batch `b`)      |
| `n_chunks`    | full chunks in a sequence                                        |
| `window`      | keys a token may see, itself included (the paper's `k`)          |
| `layers`      | blocks of the model; `fast_blocks` of them carry a fast MLP      |
| `d_model`     | width of the residual stream                                     |
| `d_ff`        | hidden width of a slow MLP; `d_fast` that of a fast MLP          |
| `heads`       | query heads; `kv_heads` key and value heads                      |
| `head_dim`    | width of one head                                                |
| `vocab`       | entries of the vocabulary                                        |

Losses are in nats per token everywhere. Types are checked in tests (jaxtyping and
beartype), free at run time.
"""

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer


Scalar: TypeAlias = Float[Array, ""] | Float[np.ndarray, ""] | float | int
TokenRow: TypeAlias = Integer[Array, " _"] | Integer[np.ndarray, " _"] | Sequence
Count: TypeAlias = Int[Array, ""] | Int[np.ndarray, ""]
Flag: TypeAlias = Bool[Array, ""]
Tokens: TypeAlias = Int[Array, " seq"]
Hidden: TypeAlias = Float[Array, "seq d_model"]
DType: TypeAlias = np.dtype | type
PyTree: TypeAlias = Any


def on_host(function):
    """Of a function that drives compiled programs: say so, where it is traced.

    The function then **raises** `ValueError` under jit, vmap and grad.
    """

    @functools.wraps(function)
    def driven(*args, **options):
        try:
            return function(*args, **options)
        except TRACED as error:
            raise ValueError(
                f"`{function.__name__}` runs on the host and looks at its numbers, so "
                "it cannot be traced by jit, vmap or grad: call it outside; "
                "`read_chunk` may be vmapped, and `meta_loss` differentiated."
            ) from error

    return driven


TRACED = (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError)


def is_concrete(array) -> bool:
    """True where values can be looked at on the host: outside of jit, vmap and grad."""
    return not isinstance(array, jax.core.Tracer)
