"""What does a memory that corrects itself remember? Gated DeltaNet.

Every other block is a Gated DeltaNet mixer (`ttt_core.mixers.gated_delta`), the rest
are sliding windows. Slow MLPs are narrower, to make up for the mixer's parameters.

    ttt-lab train tiny-gdn                 # 14.4 M tokens
    ttt-lab train tiny-gdn --size nano     # half a minute, for tests
"""

from lab.recipes import sizes
from lab.recipes.experiment import Experiment


QUESTION = "What does Gated DeltaNet remember beyond its windows?"
COST = "an hour on 2 cores (nano: half a minute)"
EXPECTED = "held out 3.86: tiny-mamba2 3.81, tiny-swa 3.95, tiny-e2e 3.56"
SIZES = sizes.SIZES


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    widths = {"expand": 1.5, "state_dim": sizes.head_width(size) * 3 // 4}
    changes = sizes.recurrent(size, "gated_delta", "window", **widths)
    return sizes.experiment("gdn", size, **changes)
