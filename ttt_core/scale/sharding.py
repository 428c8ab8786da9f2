"""How a model lies on many devices: one mesh, and a rule for every array.

The mesh has two axes. Sequences are shared out along `data`: each has fast weights of
its own, so nothing but the outer gradient is ever summed there. Weights are cut along
`model`, where one copy of the weights (or of one sequence's fast weights) is too large
for a device. Each array is cut along its hidden axis, which its activations share:

| array                   | is cut by          | because                               |
|-------------------------|--------------------|---------------------------------------|
| `wq wk wv`, `wo`        | heads              | a head attends for itself; one sum    |
|                         |                    | over devices after `wo`               |
| `gate up`, `down`       | hidden units       | as well; one sum after `down`         |
| `embed`, `head`         | vocabulary         | logits are the widest activation      |
| of other mixers         | as each mixer says | `ttt_core.mixers.kind.Kind.cuts`      |
| norms, rates, counts    | nothing            | too small to matter                   |

What does not divide evenly stays whole. Moments of the optimiser have the shapes and
names of the weights and lie as the weights do; so do fast weights, whose sequences lie
along `data`. XLA's partitioner does the rest.
"""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ttt_core.config import ModelConfig
from ttt_core.mixers import kinds_of
from ttt_core.mixers.kind import Cut
from ttt_core.model import Transformer
from ttt_core.rules import AbstractRule
from ttt_core.shapes import PyTree, Scalar


DATA, MODEL = "data", "model"

# Of the arrays that are in no mixer; None = it stays whole.
OWN_CUTS: dict[str, Cut | None] = {
    "embed": Cut(-2, "vocab"),
    "head": Cut(-1, "vocab"),
    "gate": Cut(-1),
    "up": Cut(-1),
    "down": Cut(-2),
    "weight": None,
    "log_rate": None,  # of the rule "block-rates"
    "log_decay": None,  # of the rule "anchored"
    "tilt": None,  # of the rule "tilted"
    "count": None,  # of the optimiser
}


def find_cut(name: str, config: ModelConfig) -> Cut | None:
    """How arrays called `name` are cut, whichever mixer they belong to; None = not.

    **Raises** `ValueError` where two mixers of a model cut arrays of one name in
    different ways.
    """
    tables = [OWN_CUTS, *(kind.cuts for kind in kinds_of(config))]
    found = {table[name] for table in tables if name in table}
    if len(found) > 1:
        raise ValueError(
            f"arrays called {name!r} are cut in {len(found)} ways, and all that the "
            "mesh knows of an array is its name; give it another name in one mixer."
        )
    return found.pop() if found else None


def make_mesh(
    data: int, cut: int = 1, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """The mesh of `data * cut` devices (those given, else all there are).

    >>> make_mesh(1).axis_names
    ('data', 'model')
    """
    auto = (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh((data, cut), (DATA, MODEL), auto, devices=devices)


def partition_spec(
    name: str, shape: tuple[int, ...], config: ModelConfig, cut: int
) -> PartitionSpec:
    """Where the array called `name` is cut, on a mesh of `cut` devices along `model`.

    `name` is the array's own, without its path; any leading axes are stacks. Unknown
    names stay whole.

    >>> partition_spec("down", (2, 384, 128), config, 2)
    PartitionSpec(None, 'model', None)
    """
    found = find_cut(name, config)
    if found is None or cut == 1:
        return PartitionSpec()
    size = shape[found.axis]
    pieces = size if found.pieces is None else getattr(config, found.pieces)
    if pieces % cut or size % cut:
        return PartitionSpec()
    axes: list[str | None] = [None] * len(shape)
    axes[found.axis] = MODEL
    return PartitionSpec(*axes)


def partition_specs(tree: PyTree, config: ModelConfig, cut: int) -> PyTree:
    """`partition_spec` of every array of a tree; None stays None.

    The tree is a model, a gradient, an optimiser's state or fast weights.
    """

    def spec(path, leaf):
        name = next((k.name for k in reversed(path) if hasattr(k, "name")), "")
        return partition_spec(name, leaf.shape, config, cut)

    return jax.tree_util.tree_map_with_path(spec, tree)


def shardings(tree: PyTree, config: ModelConfig, mesh: Mesh) -> PyTree:
    """`partition_specs` on a mesh: what `jax.device_put` and `jax.jit` take."""
    specs = partition_specs(tree, config, mesh.shape[MODEL])
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)


def fast_specs(fast: PyTree, config: ModelConfig, cut: int) -> PyTree:
    """Where fast weights of many sequences `[batch, ...]` are cut.

    Sequences lie along `data`, hidden units along `model`. `fast` is that of one
    sequence.
    """
    specs = partition_specs(fast, config, cut)
    return jax.tree.map(lambda spec: PartitionSpec(DATA, *spec), specs)


def constrain(tree: PyTree, config: ModelConfig, mesh: Mesh) -> PyTree:
    """`tree` inside a jitted function, its arrays held to where the rules put them."""
    # inside `shard_map` the axis `data` is manual, and only the context's mesh says so
    here = jax.sharding.get_abstract_mesh()
    arrays, static = eqx.partition(tree, eqx.is_array)
    wanted = shardings(arrays, config, mesh if here.empty else here)
    return eqx.combine(jax.lax.with_sharding_constraint(arrays, wanted), static)


class HeldRule(AbstractRule):
    """An inner rule whose new fast weights are held to where the rules put them.

    Each sequence's weights stay cut through all its chunks, whatever the partitioner
    would choose in between.
    """

    rule: AbstractRule
    config: ModelConfig = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)

    def init(self, fast: PyTree) -> PyTree:
        return self.rule.init(fast)

    @property
    def is_plain(self) -> bool:
        return self.rule.is_plain

    def objective(self, nll, mask):
        return self.rule.objective(nll, mask)

    def step(
        self, grads: PyTree, rule_state: PyTree, fast: PyTree, lr: Scalar
    ) -> tuple[PyTree, PyTree]:
        fast, rule_state = self.rule.step(grads, rule_state, fast, lr)
        return constrain(fast, self.config, self.mesh), rule_state


def hold_fast(model: Transformer, mesh: Mesh) -> Transformer:
    """The model with its fast weights held to the mesh while it reads."""
    if mesh.shape[MODEL] == 1:
        return model
    return dataclasses.replace(model, rule=HeldRule(model.rule, model.config, mesh))


def release(model: Transformer) -> Transformer:
    """What `hold_fast` was given, or the gradient that belongs to it."""
    if not isinstance(model.rule, HeldRule):
        return model
    return dataclasses.replace(model, rule=model.rule.rule)
