"""Several processes, one training: how they find each other, and which one writes.

Every host runs the same command. With `--hosts auto` the cluster names the hosts
(Slurm, Cloud TPU pods, Open MPI). Plain machines are listed, the leader first:

    ttt-lab train tiny-e2e --hosts 10.0.0.1:9876,10.0.0.2 --host-index 0   # the first
    ttt-lab train tiny-e2e --hosts 10.0.0.1:9876,10.0.0.2 --host-index 1   # the other

The environment variables `TTT_LAB_HOSTS` and `TTT_LAB_HOST_INDEX` do the same. Run
folders must be on a file system that all hosts share. If a process dies, the others end
within `HEARTBEAT_S` seconds, and the same commands continue from the last checkpoint.
"""

import dataclasses
import os


HEARTBEAT_S = 10
PORT = 9876


@dataclasses.dataclass(frozen=True)
class Hosts:
    """Which machines train together; by default this one alone.

    Args:
        hosts: "auto" (Slurm, TPU pods, Open MPI), or ADDRESS:PORT,ADDRESS,...: run the
            same command on each.
        host_index: position of this host in the list of addresses, from 0.
    """

    hosts: str | None = None
    host_index: int | None = None

    def join(self):
        """Join the others; see `join_hosts`."""
        join_hosts(self.hosts, self.host_index)


def join_hosts(hosts: str | None = None, index: int | None = None):
    """Join the other processes of a training, before JAX is used.

    Args:
        hosts: "auto", or addresses separated by commas, the leader first and with a
            port; None takes `TTT_LAB_HOSTS`, or else this process trains alone.
        index: position of this process in the addresses; None takes
            `TTT_LAB_HOST_INDEX`.

    **Raises** `ValueError` if the arguments do not determine the other hosts,
    `OSError` if the hosts do not answer.
    """
    hosts = hosts or os.environ.get("TTT_LAB_HOSTS", "")
    if not hosts:
        return
    import jax

    where = {} if hosts == "auto" else plain_addresses(hosts, index)
    try:
        jax.distributed.initialize(**where, heartbeat_timeout_seconds=HEARTBEAT_S)
    except ValueError as error:
        raise ValueError(
            f"no cluster was found that names the hosts ({error}); name them with "
            "--hosts ADDRESS:PORT,ADDRESS,... --host-index N."
        ) from error
    except RuntimeError as error:
        raise OSError(f"the hosts {hosts} did not connect: {error}") from error


def plain_addresses(hosts: str, index: int | None = None) -> dict:
    """The arguments of `jax.distributed.initialize` for a list of hosts.

    **Raises** `ValueError` if the arguments do not determine the other hosts.
    """
    addresses = [address.strip() for address in hosts.split(",")]
    if not all(addresses):
        raise ValueError(
            f"--hosts must be addresses separated by commas: got {hosts!r}."
        )
    if index is None:
        index = _index_from_environment()
    if not 0 <= index < len(addresses):
        raise ValueError(
            f"--host-index must number the {len(addresses)} hosts from 0 to "
            f"{len(addresses) - 1}: got {index}."
        )
    leader = addresses[0]
    leader = leader if leader.rpartition(":")[2].isdigit() else f"{leader}:{PORT}"
    return {
        "coordinator_address": leader,
        "num_processes": len(addresses),
        "process_id": index,
    }


def _index_from_environment() -> int:
    text = os.environ.get("TTT_LAB_HOST_INDEX", "")
    if not text.isdecimal():
        raise ValueError(
            "which of the hosts is this one? Give --host-index N (0 is the leader), or "
            f"set TTT_LAB_HOST_INDEX: got {text!r}."
        )
    return int(text)


def is_leader() -> bool:
    """Whether this is the first process, which writes metrics and cards."""
    import jax

    return jax.process_index() == 0


def are_several() -> bool:
    """Whether more than one process takes part in this training."""
    import jax

    return jax.process_count() > 1


def agree(*numbers: int) -> list[int]:
    """The greatest of each number over all processes: decisions must not differ.

    Clocks differ, and a signal may reach one process only.
    """
    if not are_several():
        return list(numbers)
    import numpy as np
    from jax.experimental import multihost_utils

    found = multihost_utils.process_allgather(np.asarray(numbers, np.int32))
    return found.max(0).tolist()  # found [processes, numbers]
