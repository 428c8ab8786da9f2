"""Which device of a mesh holds which part of a model, and how many bytes are copies?

`ttt_core.scale.sharding` has the rules; here they are applied to all arrays of a model,
so that `lab.plots.meshes` can draw them. Nothing is built: shapes are enough.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import numpy as np

import ttt_core as ttt
from ttt_core.scale.sharding import MODEL, partition_specs


@dataclass(frozen=True)
class Lies:
    """All arrays of one name: bytes in all, and the number of pieces each is cut into.

    `pieces`: 1 = whole, a copy on each device.
    """

    name: str
    nbytes: int
    pieces: int


@dataclass(frozen=True)
class Layout:
    """A model on a mesh of `data * cut` devices, array by array."""

    data: int
    cut: int
    arrays: tuple[Lies, ...]

    @property
    def cells(self) -> dict[str, tuple[np.ndarray, int]]:
        """Name -> which piece each device holds, `[devices]`, counted from 1, of many.

        The sequences of a batch and what each learns are there beside the weights.
        """
        share, piece = np.divmod(np.arange(self.data * self.cut), self.cut)
        held = {
            lies.name: (1 + piece % lies.pieces, lies.pieces) for lies in self.arrays
        }
        return {"sequences": (1 + share, self.data)} | held

    @property
    def per_device(self) -> int:
        """Bytes of weights that one device holds."""
        return sum(lies.nbytes // lies.pieces for lies in self.arrays)

    @property
    def copied(self) -> int:
        """Those of them that every other device holds as well."""
        return sum(lies.nbytes for lies in self.arrays if lies.pieces == 1)


def layout(config: ttt.ModelConfig, *, data: int, cut: int) -> Layout:
    """How the model of a configuration lies on a mesh; arrays of one name are one row.

    >>> layout(ttt.preset("nano"), data=4, cut=2).data
    4
    """
    model = eqx.filter_eval_shape(lambda: config.build(key=jax.random.key(0)))
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(model, _is_shape))
    is_spec = lambda leaf: isinstance(leaf, jax.sharding.PartitionSpec)
    specs = jax.tree.leaves(partition_specs(model, config, cut), is_leaf=is_spec)
    sizes: dict[str, int] = {}
    pieces: dict[str, int] = {}
    for (path, leaf), spec in zip(leaves, specs, strict=True):
        name = _name(path)
        sizes[name] = sizes.get(name, 0) + leaf.size * leaf.dtype.itemsize
        pieces[name] = cut if MODEL in spec else 1
    arrays = tuple(Lies(name, sizes[name], pieces[name]) for name in sizes)
    return Layout(data, cut, arrays)


def _is_shape(leaf) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _name(path) -> str:
    """The name of an array as people say it: fast weights apart, norms together."""
    names = [key.name for key in path if hasattr(key, "name")]
    if names[-1] == "weight":
        return "norms"
    return f"fast {names[-1]}" if names[0] == "fast_mlps" else names[-1]
