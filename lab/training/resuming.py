"""What a killed run needs to resume to the same numbers: its checkpoints, its devices.

A checkpoint holds the model, the optimiser's state, the position of the data and the
step. Orbax writes a checkpoint under another name and renames it, so that it is there
whole or not at all. The newest two are kept, and the best by held-out loss.
"""

import contextlib
import errno
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import optax
import orbax.checkpoint as ocp

import ttt_core as ttt
from lab import files, runs
from lab.training.interrupts import kept


NEWEST = 2
MACHINE = {"platform": str, "devices": int, "cores": int}  # what `devices.json` holds
# Checkpoints by the clock have no held-out loss, and Orbax would warn each time. An
# error in a thread of Orbax is raised in the main thread too, which says what to do.
NOT_SHOWN = ("did not provide metrics", "_SignalingThread.run() raised an exception")
logging.getLogger("absl").addFilter(
    lambda record: not any(text in record.getMessage() for text in NOT_SHOWN)
)


class Resumed(NamedTuple):
    """Where a run resumes: the next step, and the model and states before it.

    Attributes:
        step: the next step, which the optimiser's state fits.
        data: the position of the data, None before the first batch of a stage.
    """

    model: ttt.Transformer
    opt_state: optax.OptState
    step: int
    data: dict | None


class Checkpoints:
    """The checkpoints of a run folder."""

    def __init__(self, run: Path):
        """Open the checkpoints of the folder `run`, without incomplete ones."""
        keep = ocp.checkpoint_managers
        best = keep.BestN(
            get_metric_fn=_held_out,
            reverse=True,  # Orbax keeps the last of the sorted losses, here the lowest
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

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_):
        self._manager.close()

    @property
    def newest(self) -> int:
        """Steps done in the newest checkpoint; 0 if there is none."""
        return self._manager.latest_step() or 0

    @property
    def best(self) -> int | None:
        """Steps done in the checkpoint with the lowest held-out loss."""
        return self._manager.best_step()

    def save(
        self,
        done: int,
        model: ttt.Transformer,
        opt_state: optax.OptState,
        data: dict,
        held_out: float | None,
    ):
        """Save everything after `done` steps; `held_out` decides which is the best."""
        self._manager.save(
            done,
            args=ocp.args.Composite(
                arrays=ocp.args.StandardSave(_named((model, opt_state))),
                position=ocp.args.JsonSave({"step": done, "data": data}),
            ),
            metrics=_metrics(held_out),
        )
        self._manager.wait_until_finished()

    def forget_from(self, step: int) -> str:
        """Remove the checkpoints from `step` on, as long as an older one is left.

        Returns:
            Half a sentence that names the checkpoints left.
        """
        steps = sorted(self._manager.all_steps())
        if any(found < step for found in steps):
            for found in steps:
                if found >= step:
                    self._manager.delete(found)
        if not self.newest:
            return "no checkpoint was kept yet"
        is_other = self.best not in (None, self.newest)
        best = f", the best that of step {self.best}" if is_other else ""
        left = f"the last good checkpoint is that of step {self.newest}{best}"
        return f"{left} ({self._manager.directory})"

    def restore(self, model: ttt.Transformer, opt_state: optax.OptState) -> Resumed:
        """The newest checkpoint, in the shapes of the given model and state.

        If there is no checkpoint, the given model and state are returned.
        """
        done = self.newest
        if not done:
            return Resumed(model, opt_state, 0, None)
        arrays, static = eqx.partition((model, opt_state), eqx.is_array)
        leaves, structure = jax.tree.flatten(arrays)
        found = self._read(done, leaves)
        leaves = [found["arrays"][str(i)] for i in range(len(leaves))]
        arrays = jax.tree.unflatten(structure, leaves)
        position = found["position"]
        return Resumed(*eqx.combine(arrays, static), position["step"], position["data"])

    def _read(self, done: int, leaves: list) -> ocp.args.Composite:
        """The contents of a checkpoint, in the shapes of `leaves`.

        **Raises** `ValueError` naming the checkpoint, if it is damaged.
        """
        args = ocp.args.Composite(
            arrays=ocp.args.StandardRestore(_shapes(leaves)),
            position=ocp.args.JsonRestore(),
        )
        try:
            return self._manager.restore(done, args=args)
        except Exception as error:  # Orbax and TensorStore have many
            older = [step for step in self._manager.all_steps() if step < done]
            place = self._manager.directory / str(done)
            raise ValueError(
                f"{place} is damaged ({type(error).__name__}); remove it, and the same "
                f"command goes on from step {max(older, default=0)}."
            ) from error


@contextlib.contextmanager
def told_if_full(run: Path) -> Iterator[None]:
    """A context that turns the many errors of a full disk into a sentence.

    **Raises** `OSError` if the disk is full, with the checkpoint that is kept.
    """
    try:
        yield
    except Exception as error:
        if not _is_full(error):
            raise
        raise OSError(
            f"the disk of {run} is full, and the training had to stop; {kept(run)} "
            "once there is space."
        ) from error


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is anywhere behind the error; Orbax wraps it in its own."""
    while error is not None:
        code = getattr(error, "errno", None)
        if code in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _metrics(held_out: float | None) -> dict | None:
    is_number = held_out is not None and math.isfinite(held_out)
    return {"held_out": held_out} if is_number else None


def _held_out(metrics: dict) -> float:
    return metrics["held_out"]


def _named(tree) -> dict:
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_array))
    return {str(i): leaf for i, leaf in enumerate(leaves)}


def _shapes(leaves) -> dict:
    # Each array keeps its own sharding: a run can resume on another number of devices.
    return {
        str(i): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        for i, leaf in enumerate(leaves)
    }


def claim_devices(run: Path, *, elastic: bool = False, cut: int = 1) -> str | None:
    """Record the devices of a new run, or compare them with those of a resumed run.

    Sums in another order round differently: on another number of devices, or with
    weights cut into another number of pieces (`cut`), a run can continue, but not to
    the same bits. `elastic=True` accepts that.

    Returns:
        A warning, or None.

    **Raises** `ValueError` if the number or kind of devices differs.
    """
    here = {
        "platform": jax.devices()[0].platform,
        "devices": jax.device_count(),
        "cores": runs.usable_cores(),
    } | ({"cut": cut} if cut > 1 else {})
    path = run / "devices.json"
    if not path.exists():
        files.write(path, json.dumps(here) + "\n")
        return None
    then = files.read_json(path, MACHINE)
    if "state" in then:  # older runs used this name
        then["cut"] = then.pop("state")
    if then == here:
        return None
    said = f"this run was started on {_say(then)}, but here are {_say(here)}"
    decisive = ("platform", "devices", "cut")
    if any(then.get(key) != here.get(key) for key in decisive) and not elastic:
        raise ValueError(
            f"{said}: the numbers would change slightly. Use the same devices, or "
            "accept the change with --elastic."
        )
    return f"{said}: losses may differ from an uninterrupted run by rounding."


def _say(machine: dict) -> str:
    kind, cores = machine["platform"], machine["cores"]
    cut = f" (weights cut in {machine['cut']})" if "cut" in machine else ""
    return f"{machine['devices']} {kind} device(s){cut} on {cores} core(s)"
