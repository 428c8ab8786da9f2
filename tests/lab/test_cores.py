"""A container's share of the processor is followed, in both versions of its files."""

import math

import pytest

from lab import cores


# Files of control groups, as Linux writes them: the quota that follows from them.
GROUPS = {
    "version 2": ("0::/\n", {"cpu.max": "100000 100000\n"}, 1.0),
    "version 2, no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
    "version 2, the group around": (
        "0::/pod/box\n",
        {"pod/cpu.max": "150000 100000\n", "pod/box/cpu.max": "max 100000\n"},
        1.5,
    ),
    "version 1": (
        "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n1:cpuset:/docker/a\n",
        {
            "cpu,cpuacct/docker/a/cpu.cfs_quota_us": "50000\n",
            "cpu,cpuacct/docker/a/cpu.cfs_period_us": "100000\n",
            "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        0.5,
    ),
    "version 1, seen from inside": (
        "4:cpuacct,cpu:/docker/a\n",
        {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"},
        2.0,
    ),
    "version 1, another limit": (
        "5:memory:/a\n",
        {"memory/a/cpu.max": "1 100000\n"},
        math.inf,
    ),
    "nonsense": ("what\n\n::\n", {"cpu.max": "a b c"}, math.inf),
    "no files": ("0::/a/b\n", {}, math.inf),
}


@pytest.fixture
def quota(tmp_path):
    """A function that writes the files of control groups and returns the quota."""

    def quota(own, files):
        (tmp_path / "own").write_text(own)
        for name, content in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return cores.cpu_quota(tmp_path / "own", tmp_path / "groups")

    return quota


@pytest.mark.parametrize(("own", "files", "expected"), GROUPS.values(), ids=GROUPS)
def test_the_quota_is_read_from_the_groups_of_the_process(own, files, expected, quota):
    assert quota(own, files) == expected


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert cores.cpu_quota(tmp_path / "none") == math.inf


@pytest.mark.parametrize(
    ("quota", "expected"), [(1.0, 1), (0.5, 1), (2.5, 3), (8.0, 4), (math.inf, 4)]
)
def test_cores_are_bound_by_the_quota(quota, expected, monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: range(4), False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert cores.usable_cores() == expected
