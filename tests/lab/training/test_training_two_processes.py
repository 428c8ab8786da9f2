"""Two real processes on one machine: they train together, one dies, both go on."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_experiment import write_texts

from lab import runs
from lab.training import hosts


HERE = Path(__file__).parents[1]  # where small_experiment lies
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from lab.training.hosts import is_leader, join_hosts
join_hosts()
from lab import checkpoints
from lab.training.conduct import Conduct
from lab.training.interrupts import Interrupts
from lab.training.loop import train
from small_experiment import small_experiment
run, texts, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
def report(line):
    import time
    print("step", line["step"], flush=True)
    time.sleep(pause if line["step"] == 3 else 0)
def done(phase, model):
    if is_leader():
        checkpoints.save(run / phase.checkpoint_name, model, {{}})
conduct = Conduct(checkpoint_every=0, elastic=True, cut={pieces})
with Interrupts(run) as interrupts:
    train(
        small_experiment(texts),
        run,
        conduct,
        report=report,
        stage_done=done,
        interrupts=interrupts,
    )
print("done", flush=True)
"""


@pytest.fixture
def start(tmp_path):
    """A function that starts some processes of one training and returns them."""
    texts = write_texts(tmp_path / "texts")
    environment = os.environ | {
        "TTT_LAB_DATA": str(tmp_path / "data"),
        "TTT_LAB_QUICK": "1",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    running = []

    def start(run, count, *, pause=0.0, pieces=1):
        script = tmp_path / f"child{pieces}.py"
        script.write_text(CHILD.format(here=str(HERE), pieces=pieces))
        command = [sys.executable, str(script), str(run), str(texts), str(pause)]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            leader = f"127.0.0.1:{free.getsockname()[1]}"
        named = {"TTT_LAB_HOSTS": ",".join([leader, "127.0.0.1"][:count])}
        named = named if count > 1 else {}
        for index in range(count):
            mine = environment | named | {"TTT_LAB_HOST_INDEX": str(index)}
            with (tmp_path / f"{run.name}-{index}.log").open("a") as log:
                running.append(
                    subprocess.Popen(command, env=mine, stdout=log, stderr=log)
                )
        return running[-count:]

    yield start
    for process in running:
        process.kill()
        process.wait()


def losses(run) -> list[float]:
    return [line["loss"] for line in runs.read_metrics(run / "metrics.jsonl")]


def wait_for_lines(run, count, processes, seconds=600):
    until = time.monotonic() + seconds
    while len(losses(run)) < count:
        assert time.monotonic() < until, "the training does not get on"
        assert all(process.poll() is None for process in processes), "a process ended"
        time.sleep(0.1)


def kill_one(pair, victim, run):
    """Kill one of two when both have saved (the leader waits after step 3); the other
    ends by itself, with an error."""
    wait_for_lines(run, 4, pair)
    assert [p.name for p in (run / "checkpoints").iterdir() if p.name.isdigit()]
    pair[victim].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    assert pair[1 - victim].wait(6 * hosts.HEARTBEAT_S) != 0
    assert time.monotonic() - killed < 4 * hosts.HEARTBEAT_S


@pytest.mark.slow
def test_two_processes_train_die_and_resume(start, tmp_path):
    alone, both, cut = (tmp_path / name for name in ("alone", "both", "cut"))
    assert [p.wait() for p in start(alone, 1)] == [0]
    assert [p.wait() for p in start(both, 2)] == [0, 0], _logs(tmp_path)
    assert len(losses(both)) == 7
    np.testing.assert_allclose(losses(both), losses(alone), rtol=1e-5)
    assert (both / "small.safetensors").exists()

    kill_one(start(cut, 2, pause=3600), 1, cut)
    assert [p.wait() for p in start(cut, 2)] == [0, 0], _logs(tmp_path)
    assert losses(cut) == losses(both)
    assert (cut / "small.json").read_bytes() == (both / "small.json").read_bytes()


@pytest.mark.slow
def test_two_processes_may_share_every_weight_and_lose_their_leader(start, tmp_path):
    alone, cut = tmp_path / "alone", tmp_path / "cut"
    assert [p.wait() for p in start(alone, 1)] == [0]
    kill_one(start(cut, 2, pause=3600, pieces=2), 0, cut)
    assert [p.wait() for p in start(cut, 2, pieces=2)] == [0, 0], _logs(tmp_path)
    np.testing.assert_allclose(losses(cut), losses(alone), rtol=1e-5)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_at_the_same_step(start, tmp_path):
    run = tmp_path / "cut"
    pair = start(run, 2, pause=5.0)
    wait_for_lines(run, 4, pair)  # now the leader waits
    pair[1].send_signal(signal.SIGTERM)
    assert 0 not in [process.wait(120) for process in pair]
    logs = [(tmp_path / f"cut-{index}.log").read_text() for index in (0, 1)]
    ends = {re.search(r"stopped at step \d; saved", log)[0] for log in logs}
    assert len(ends) == 1
    assert str(runs.newest_checkpoint(run)) in ends.pop()
    assert [process.wait() for process in start(run, 2)] == [0, 0], _logs(tmp_path)
    assert len(losses(run)) == 7


@pytest.mark.parametrize(
    ("named", "index", "message"),
    [
        ("10.0.0.1:9,10.0.0.2", 2, "from 0 to 1: got 2"),
        ("10.0.0.1,,10.0.0.2", 0, "addresses separated by commas"),
        ("10.0.0.1,10.0.0.2", None, "which of the hosts is this one"),
    ],
)
def test_hosts_that_make_no_sense_are_refused(named, index, message, monkeypatch):
    monkeypatch.delenv("TTT_LAB_HOST_INDEX", raising=False)
    with pytest.raises(ValueError, match=message):
        hosts.plain_addresses(named, index)


def test_plain_addresses_name_the_leader_first(monkeypatch):
    monkeypatch.setenv("TTT_LAB_HOST_INDEX", "1")
    found = hosts.plain_addresses("10.0.0.1, 10.0.0.2")
    assert found == {
        "coordinator_address": f"10.0.0.1:{hosts.PORT}",
        "num_processes": 2,
        "process_id": 1,
    }
    named = hosts.plain_addresses("node1:1234,node2", 0)
    assert named["coordinator_address"] == "node1:1234"


def test_no_cluster_is_a_sentence():
    command = [sys.executable, "-m", "lab", "train", "tiny-e2e", "--hosts", "auto"]
    clusters = ("SLURM_", "OMPI_", "TPU_", "KUBERNETES_")
    alone = {k: v for k, v in os.environ.items() if not k.startswith(clusters)}
    done = subprocess.run(command, env=alone, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no cluster was found" in done.stderr
    assert "--hosts ADDRESS:PORT" in done.stderr


def test_without_hosts_nothing_is_joined(monkeypatch):
    monkeypatch.delenv("TTT_LAB_HOSTS", raising=False)
    hosts.join_hosts()
    assert hosts.is_leader()
    assert hosts.agree(False, 15) == [0, 15]


def _logs(folder) -> str:
    found = sorted(folder.glob("*.log"))
    return "\n".join(f"{path.name}\n{path.read_text()[-3000:]}" for path in found)
