"""How a model lies on many devices: one mesh, and a rule for every array.

The mesh has two axes. Sequences are shared out along `data`: each has fast weights of
its own, so nothing but the outer gradient is ever summed there. Weights are cut along
`state`, where one copy of them (or of one sequence's fast weights) is too large for a
device. Each array is cut along its hidden axis, which its activations share:

| array                   | is cut by          | because                               |
|-------------------------|--------------------|---------------------------------------|
| `wq wk wv`, `wo`        | heads              | a head attends for itself; one sum    |
|                         |                    | over devices after `wo`               |
| `gate up`, `down`       | hidden units       | as well; one sum after `down`         |
| `embed`, `head`         | vocabulary         | logits are the widest activation      |
| of recurrent mixers     | heads, or channels | as in attention; keys and queries     |
|                         |                    | that all heads share by `state_dim`   |
| norms, rates, counts    | nothing            | too small to matter                   |

What does not divide evenly stays whole. Moments of the optimiser have the shapes and
names of the weights and lie as they do; so do fast weights, whose sequences lie along
`data`. XLA's partitioner does the rest.
"""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ttt_core.config import ModelConfig
from ttt_core.model import Transformer
from ttt_core.rules import AbstractRule
from ttt_core.shapes import PyTree


DATA, STATE = "data", "state"

# Which axis of an array is cut, from the end (leading axes are stacks), and the
# property of the configuration that counts the pieces it can be cut into.
RULES = {
    "embed": (-2, "vocab"),
    "head": (-1, "vocab"),
    "wq": (-1, "heads"),
    "wk": (-1, "kv_heads"),
    "wv": (-1, "kv_heads"),
    "wo": (-2, "heads"),
    "gate": (-1, None),
    "up": (-1, None),
    "down": (-2, None),
    # recurrent mixers
    "wg": (-1, "heads"),
    "w_x": (-1, "heads"),
    "w_z": (-1, "heads"),
    "w_out": (-2, "heads"),
    "w_dt": (-1, "heads"),
    "w_beta": (-1, "heads"),
    "w_heads": (-1, "heads"),
    "w_b": (-1, "state_dim"),
    "w_c": (-1, "state_dim"),
    "kernel": (-1, None),
    "scale": (-1, "heads"),
    "offset": (-1, "heads"),
}
WHOLE = frozenset({"weight", "log_rate", "count", "bias"})
# recurrent mixers: one number a head
WHOLE |= frozenset({"decay_log", "dt_bias", "skip"})


def make_mesh(data: int, state: int = 1, devices: Sequence | None = None) -> Mesh:
    """The mesh of `data * state` devices (those given, else all there are).

    >>> make_mesh(1).axis_names
    ('data', 'state')
    """
    auto = (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh((data, state), (DATA, STATE), auto, devices=devices)


def partition_spec(
    name: str, shape: tuple[int, ...], config: ModelConfig, state: int
) -> PartitionSpec:
    """Where the array called `name` is cut on a mesh with `state` devices in `state`.

    `name` is the array's own, without its path; any leading axes are stacks. Unknown
    names stay whole.

    >>> partition_spec("down", (2, 384, 128), config, 2)
    PartitionSpec(None, 'state', None)
    """
    axis, pieces = RULES.get(name, (None, None))
    if axis is None or state == 1:
        return PartitionSpec()
    count = shape[axis] if pieces is None else getattr(config, pieces)
    if count % state or shape[axis] % state:
        return PartitionSpec()
    cut: list[str | None] = [None] * len(shape)
    cut[axis] = STATE
    return PartitionSpec(*cut)


def partition_specs(tree: PyTree, config: ModelConfig, state: int) -> PyTree:
    """`partition_spec` of every array of a model, a gradient, an optimiser's state or
    fast weights; None stays None."""

    def spec(path, leaf):
        name = next((k.name for k in reversed(path) if hasattr(k, "name")), "")
        return partition_spec(name, leaf.shape, config, state)

    return jax.tree_util.tree_map_with_path(spec, tree)


def shardings(tree: PyTree, config: ModelConfig, mesh: Mesh) -> PyTree:
    """`partition_specs` on a mesh: what `jax.device_put` and `jax.jit` take."""
    specs = partition_specs(tree, config, mesh.shape[STATE])
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)


def fast_specs(fast: PyTree, config: ModelConfig, state: int) -> PyTree:
    """Where fast weights of many sequences `[batch, ...]` are cut: sequences along
    `data`, hidden units along `state`. `fast` is that of one sequence."""
    specs = partition_specs(fast, config, state)
    return jax.tree.map(lambda spec: PartitionSpec(DATA, *spec), specs)


def constrain(tree: PyTree, config: ModelConfig, mesh: Mesh) -> PyTree:
    """`tree` inside a jitted function, its arrays held to where the rules put them."""
    # inside `shard_map` the axis `data` is manual, which the mesh of its context knows
    here = jax.sharding.get_abstract_mesh()
    arrays, static = eqx.partition(tree, eqx.is_array)
    wanted = shardings(arrays, config, mesh if here.empty else here)
    return eqx.combine(jax.lax.with_sharding_constraint(arrays, wanted), static)


class HeldRule(AbstractRule):
    """An inner rule whose new fast weights are held to where the rules put them.

    Each sequence's weights stay cut through all its chunks, whatever the partitioner
    would think of in between.
    """

    rule: AbstractRule
    config: ModelConfig = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)

    def init(self, fast):
        return self.rule.init(fast)

    def step(self, grads, rule_state, fast, rate):
        fast, rule_state = self.rule.step(grads, rule_state, fast, rate)
        return constrain(fast, self.config, self.mesh), rule_state


def hold_fast(model: Transformer, mesh: Mesh) -> Transformer:
    """The model, its fast weights held to the mesh while it reads; see `release`."""
    if mesh.shape[STATE] == 1:
        return model
    return dataclasses.replace(model, rule=HeldRule(model.rule, model.config, mesh))


def release(model: Transformer) -> Transformer:
    """What `hold_fast` was given, or the gradient that belongs to it."""
    if not isinstance(model.rule, HeldRule):
        return model
    return dataclasses.replace(model, rule=model.rule.rule)
