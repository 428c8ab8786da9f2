"""How many processor cores may this process use?

A batch system may bind a process to some of the machine's cores, and a container may
grant a share of their time: Linux calls it a CPU quota and writes it in the files of
control groups, of which there are two versions.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path


OWN_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Number of processor cores that this process may use.

    XLA cuts large products into as many parts as there are cores. A share of a core
    counts as one: a quota of 1.5 is two cores that sometimes wait.
    """
    if hasattr(os, "sched_getaffinity"):
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    return max(1, math.ceil(min(found, cpu_quota())))


def cpu_quota(own: Path = OWN_GROUPS, groups: Path = GROUPS) -> float:
    """Cores' worth of time that this process's control groups grant; may be infinity.

    `own`: the file that names the groups of this process, `groups`: where they lie. The
    smallest quota of a group and of the groups around it counts.
    """
    try:
        lines = own.read_text("utf-8").splitlines()
    except (OSError, ValueError):  # not Linux
        return math.inf
    found = [_quota(place) for line in lines for place in _places(line, groups)]
    return min(found, default=math.inf)


def _places(line: str, groups: Path) -> Iterator[Path]:
    """The folders of one of a process's groups, and of the groups around it.

    A line is `0::/PATH` in version 2 and `N:cpu,cpuacct:/PATH` in version 1. Inside a
    container the path may be that outside, so that only the last folder, the top,
    exists.
    """
    _, kinds, path = (line.split(":", 2) + ["", ""])[:3]
    if kinds and "cpu" not in kinds.split(","):
        return
    tops = [groups / kinds, groups / "cpu"] if kinds else [groups, groups / "unified"]
    for top in tops:
        inner = Path(path.lstrip("/"))
        yield from (top / part for part in (inner, *inner.parents))


def _quota(place: Path) -> float:
    """The quota in one folder, in cores."""
    try:
        if (place / "cpu.max").exists():
            quota, period = (place / "cpu.max").read_text("utf-8").split()[:2]
        else:
            quota = (place / "cpu.cfs_quota_us").read_text("utf-8")
            period = (place / "cpu.cfs_period_us").read_text("utf-8")
        share = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max", or no such file
        return math.inf
    return share if share > 0 else math.inf
