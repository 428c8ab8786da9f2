"""Is it the next-token loss that matters, or learning while reading? TTT-KVB.

Every block has a sliding window and beside it, on the same keys and values, an MLP that
learns while reading to answer keys with values (LaCT, `ttt_core.mixers.kv_binding`), as
often as tiny-e2e learns. Slow MLPs are narrower, to make up for that MLP's parameters.

    ttt-lab train tiny-kvb                 # 14.4 M tokens
    ttt-lab train tiny-kvb --size nano     # half a minute, for tests
"""

from lab.recipes import sizes
from lab.recipes.experiment import Experiment


QUESTION = "Is learning keys and values while reading as good as learning text?"
COST = "75 minutes on 2 cores (nano: half a minute)"
EXPECTED = "held out 4.01: tiny-swa 3.95, tiny-mamba2 3.81, tiny-e2e 3.56"
SIZES = sizes.SIZES


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    changes = sizes.recurrent(size, "kv_binding", expand=1.0)
    return sizes.experiment("kvb", size, **changes)
