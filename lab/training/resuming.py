"""What a killed run needs to go on to the same numbers: its checkpoints, its devices.

A checkpoint holds the model, the optimiser's state, the position of the data and the
step; Orbax writes it under another name and renames it, so it is there whole or not at
all. Kept are the newest two and the best by held-out loss.
"""

import json
import logging
import math
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import orbax.checkpoint as ocp

from lab import files, runs


NEWEST = 2
# Checkpoints by the clock come without a held-out loss; Orbax would warn at each.
logging.getLogger("absl").addFilter(
    lambda record: "did not provide metrics" not in record.getMessage()
)


class Resumed(NamedTuple):
    """Where a run goes on: before step `step`, which the optimiser's state fits."""

    model: object
    opt_state: object
    step: int
    data: dict | None


class Checkpoints:
    """The checkpoints of a run folder."""

    def __init__(self, run: Path):
        """Open them, and clear away what a killed process left behind."""
        keep = ocp.checkpoint_managers
        best = keep.BestN(
            get_metric_fn=_held_out,
            reverse=True,  # the last of the sorted ones is kept: the lowest
            n=1,
            keep_checkpoints_without_metrics=False,
        )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=keep.AnyPreservationPolicy(
                [keep.LatestN(NEWEST), best]
            ),
            best_fn=_held_out,
            best_mode="min",
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
        )
        self._manager = ocp.CheckpointManager(run / "checkpoints", options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._manager.close()

    @property
    def newest(self) -> int:
        """Steps done in the newest one; 0 where there is none."""
        return self._manager.latest_step() or 0

    @property
    def best(self) -> int | None:
        """Steps done in the one with the lowest held-out loss."""
        return self._manager.best_step()

    def save(self, done: int, model, opt_state, data: dict, held_out: float | None):
        """Keep everything after `done` steps."""
        self._manager.save(
            done,
            args=ocp.args.Composite(
                arrays=ocp.args.StandardSave(_named((model, opt_state))),
                position=ocp.args.JsonSave({"step": done, "data": data}),
            ),
            metrics=_metrics(held_out),
        )
        self._manager.wait_until_finished()

    def forget_from(self, step: int) -> int:
        """Remove those of the steps from `step` on, as long as an older one is left.

        Returns the newest one's step then, 0 where there is none.
        """
        steps = sorted(self._manager.all_steps())
        if any(found < step for found in steps):
            for found in steps:
                if found >= step:
                    self._manager.delete(found)
        return self.newest

    def restore(self, model, opt_state) -> Resumed:
        """What the newest one holds, or a start from the given model."""
        done = self.newest
        if not done:
            return Resumed(model, opt_state, 0, None)
        arrays, static = eqx.partition((model, opt_state), eqx.is_array)
        leaves, structure = jax.tree.flatten(arrays)
        found = self._manager.restore(
            done,
            args=ocp.args.Composite(
                arrays=ocp.args.StandardRestore(_shapes(leaves)),
                position=ocp.args.JsonRestore(),
            ),
        )
        leaves = [found["arrays"][str(i)] for i in range(len(leaves))]
        arrays = jax.tree.unflatten(structure, leaves)
        position = found["position"]
        return Resumed(*eqx.combine(arrays, static), position["step"], position["data"])


def _metrics(held_out: float | None) -> dict | None:
    is_number = held_out is not None and math.isfinite(held_out)
    return {"held_out": held_out} if is_number else None


def _held_out(metrics: dict) -> float:
    return metrics["held_out"]


def _named(tree) -> dict:
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_array))
    return {str(i): leaf for i, leaf in enumerate(leaves)}


def _shapes(leaves) -> dict:
    # Its place of its own lets any number of devices take up what any other left.
    return {
        str(i): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        for i, leaf in enumerate(leaves)
    }


def claim_devices(run: Path, *, elastic: bool = False, state: int = 1) -> str | None:
    """Record the devices of a new run; on others than a begun run's, or with weights
    cut into another number of pieces, refuse.

    Sums of another order round otherwise: on another number of devices a run goes on,
    but not to the same bits. `elastic=True` accepts that. Returns a warning, if any.

    **Raises** `ValueError` where the number or kind of devices differs.
    """
    here = {
        "platform": jax.devices()[0].platform,
        "devices": jax.device_count(),
        "cores": runs.usable_cores(),
    } | ({"state": state} if state > 1 else {})
    path = run / "devices.json"
    if not path.exists():
        files.write(path, json.dumps(here) + "\n")
        return None
    then = json.loads(path.read_text("utf-8"))
    if then == here:
        return None
    said = f"this run was begun on {_say(then)}, here are {_say(here)}"
    decisive = ("platform", "devices", "state")
    if any(then.get(key) != here.get(key) for key in decisive) and not elastic:
        raise ValueError(
            f"{said}: it would go on to slightly other numbers. Use the same devices, "
            "or accept that with --elastic."
        )
    return f"{said}: losses may differ from an uninterrupted run by rounding."


def _say(machine: dict) -> str:
    kind, cores = machine["platform"], machine["cores"]
    cut = f" (state {machine['state']})" if "state" in machine else ""
    return f"{machine['devices']} {kind} device(s){cut} on {cores} core(s)"
