"""What does a decaying memory remember at equal parameters? Mamba 2.

Every other block is a Mamba 2 mixer (`ttt_core.mixers.mamba2`), the rest are sliding
windows. Slow MLPs are narrower, to make up for the mixer's parameters.

    ttt-lab train tiny-mamba2              # 14.4 M tokens
    ttt-lab train tiny-mamba2 --size nano  # half a minute, for tests
"""

from lab.recipes import sizes
from lab.recipes.experiment import Experiment


QUESTION = "What does Mamba 2 remember beyond its windows?"
COST = "an hour on 2 cores (nano: half a minute)"
EXPECTED = "held out 3.81: tiny-swa 3.95, tiny-naive 3.75, tiny-e2e 3.56"
SIZES = sizes.SIZES


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    keys = 128 if size in sizes.PAPER else sizes.head_width(size)
    widths = {"expand": 2.0, "state_dim": keys}
    changes = sizes.recurrent(size, "mamba2", "window", **widths)
    return sizes.experiment("mamba2", size, **changes)
