"""Devices that a process takes which may use so many cores.

Run by `test_training_devices.py`.
"""

import json
import os
import sys


cores, batch = map(int, sys.argv[1:])
if cores:
    os.sched_getaffinity = lambda process: set(range(cores))  # of a larger machine
else:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax  # noqa: E402

from lab import runs  # noqa: E402
from lab.training import devices  # noqa: E402


devices.use_all_cores(batch)
print(json.dumps([runs.usable_cores(), len(jax.devices())]))
