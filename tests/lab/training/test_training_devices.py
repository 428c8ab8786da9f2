"""One outer step, whatever the mesh: the same loss, gradient and donated buffers."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest
from small_experiment import small_experiment

from lab.training import devices
from ttt_core.scale import sharding


def said_by(script: str, *arguments: str, **environment: str):
    """What a script beside this file says, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def with_devices(count: int, script: str, *arguments: str) -> dict:
    """What it says in a process that has so many devices."""
    flags = f"--xla_force_host_platform_device_count={count}"
    fast = "--xla_backend_optimization_level=0"  # compiles in a third of the time
    return said_by(script, *arguments, XLA_FLAGS=f"{flags} {fast}")


def eight_devices(dtype: str) -> dict:
    """Differences from one device, by mesh."""
    return with_devices(8, "eight_devices.py", dtype)


def test_every_mixer_trains_on_two_devices_of_one_process():
    """And ends: a solver that waited in XLA's thread pool once stood still here."""
    for mixer, (two, one) in with_devices(2, "two_devices.py").items():
        assert abs(two - one) < 1e-5, mixer


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_a_process_held_to_one_core_takes_one_device():
    assert said_by("cores.py", "0", "2") == [1, 1]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux only")
@pytest.mark.parametrize(("batch", "expected"), [(2, 2), (3, 3), (4, 2), (7, 1)])
def test_as_many_devices_as_usable_cores_share_the_batch_evenly(batch, expected):
    assert said_by("cores.py", "3", str(batch)) == [3, expected]


def check_layout(found: dict):
    assert set(found) == {"8x1", "1x8", "2x4"}
    for name, mesh in found.items():
        pieces = int(name.partition("x")[2])
        assert mesh["devices"] == 8
        assert mesh["shard"] == [1, 32 // pieces, 16], name
        assert mesh["dtypes"] == ["float32"]
        assert mesh["largest"] > 0.1, "a gradient this small shows nothing"
        assert mesh["donated"] and mesh["reused"] >= 1.0, name
        whole = [shape for shape in mesh["gathered"] if sorted(shape[-2:]) == [16, 32]]
        assert not whole, f"{name}: fast matrices are put together somewhere"


@pytest.mark.slow
def test_every_mesh_has_the_loss_and_gradient_of_one_device():
    found = eight_devices("float32")
    check_layout(found)
    for mesh in found.values():
        assert mesh["loss"] < 1e-5
        assert mesh["gradient"] < 1e-5


@pytest.mark.slow
def test_mixed_precision_is_as_exact_on_every_mesh_as_on_one_device():
    found = eight_devices("bfloat16")
    one = found.pop("one device")
    check_layout(found)
    assert 0.01 < one["relative"] < 0.3, "bfloat16 must differ, and not wildly"
    for mesh in found.values():
        assert mesh["relative"] < 1.5 * one["relative"]
        assert mesh["loss"] < 0.01


@pytest.mark.parametrize(
    ("count", "batch", "cut", "shape"),
    [
        (1, 7, 1, (1, 1)),
        (8, 8, 1, (8, 1)),
        (8, 6, 1, (6, 1)),
        (8, 7, 1, (7, 1)),
        (8, 4, 2, (4, 2)),
        (8, 3, 8, (1, 8)),
        (64, 128, 4, (16, 4)),
    ],
)
def test_a_mesh_takes_as_many_devices_as_share_the_batch(count, batch, cut, shape):
    assert devices.mesh_shape(count, batch, cut) == shape


def test_meshes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="use one of 1, 2, 4, 8"):
        devices.mesh_shape(8, 8, 3)
    with pytest.raises(ValueError, match="use 1 x 4 = 4"):
        devices.mesh_shape(8, 3, 2, all_of_them=True)
    assert devices.mesh_shape(8, 4, 2, all_of_them=True) == (4, 2)


@pytest.mark.parametrize(
    ("batch", "accumulate", "data", "parts"),
    [
        (8, 1, 1, 1),
        (8, 8, 1, 8),
        (8, 8, 2, 4),
        (8, 4, 2, 4),  # two at once: one on each device
        (8, 2, 8, 1),
        (20, 10, 4, 5),  # 5 sequences a device, 2 at once over all: one by one
        (12, 2, 2, 2),
    ],
)
def test_no_more_sequences_are_at_once_than_a_part_has(batch, accumulate, data, parts):
    phase = SimpleNamespace(batch=batch, accumulate=accumulate)
    assert devices.parts_per_device(phase, data) == parts


@pytest.mark.parametrize(
    ("shape", "per_process", "shares"),
    [
        ((8, 1), 4, [(0, 2), (1, 2)]),
        ((4, 2), 4, [(0, 2), (1, 2)]),
        ((2, 4), 2, [(0, 2), (0, 2), (1, 2), (1, 2)]),
        ((1, 8), 4, [(0, 1), (0, 1)]),
    ],
)
def test_processes_that_share_weights_read_the_same_rows(
    shape, per_process, shares, monkeypatch
):
    all_of_them = [SimpleNamespace(process_index=i // per_process) for i in range(8)]
    mesh = SimpleNamespace(devices=np.array(all_of_them).reshape(shape))
    for index, share in enumerate(shares):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        assert devices.rows(mesh) == share


def test_a_run_begins_in_pieces_with_the_weights_it_would_have_whole(tmp_path):
    phase = small_experiment(tmp_path).phases[0]
    mesh = sharding.make_mesh(1, 2)
    model, moments = devices.begin(phase, optax.adam(1e-3), mesh, seed=3)
    whole = phase.model.build(key=jax.random.key(3))
    pairs = zip(jax.tree.leaves(model), jax.tree.leaves(whole), strict=True)
    for mine, theirs in pairs:  # one program or many: an ulp apart
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    assert model.fast_mlps.down.sharding.shard_shape((1, 16, 16)) == (1, 8, 16)
    assert moments[0].mu.fast_mlps.down.sharding == model.fast_mlps.down.sharding

    gathered = devices.gather(model)
    assert all(len(leaf.devices()) == 1 for leaf in jax.tree.leaves(gathered))
    jax.tree.map(np.testing.assert_array_equal, gathered, model)
    placed = devices.place(gathered, phase.model, mesh)
    assert placed.fast_mlps.down.sharding == model.fast_mlps.down.sharding


def test_batches_of_all_devices_together_may_be_odd(tmp_path):
    phase = small_experiment(tmp_path).phases[0]
    odd = dataclasses.replace(phase.stage, batch=3, accumulate=1)
    assert devices.make_mesh(odd.batch).size == 1  # the tests have two devices
    assert devices.make_mesh(phase.batch).size == 2
    assert dict(devices.make_mesh(odd.batch, 2).shape) == {"data": 1, "model": 2}
