"""How much full attention is enough? Five sliding windows to one full block.

tiny-full with windows in five blocks of six. The base of the rotary positions grows in
the extension, as in tiny-full.

    ttt-lab train tiny-hybrid              # 14.4 M tokens
    ttt-lab train tiny-hybrid --size nano  # half a minute, for tests
"""

from lab.recipes import sizes
from lab.recipes.experiment import Experiment


QUESTION = "How much full attention is enough?"
COST = "an hour on 2 cores (nano: half a minute)"
EXPECTED = "held out 3.96: tiny-swa 3.95, tiny-full 4.13, tiny-e2e 3.56"
SIZES = sizes.SIZES


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    mixers = ("window",) * 5 + ("full",)
    planned = sizes.experiment("hybrid", size, **sizes.rival(size, mixers))
    return sizes.with_theta(planned, sizes.FULL_THETA.get(size))
