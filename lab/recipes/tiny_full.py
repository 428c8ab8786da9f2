"""What does full attention gain from the whole context, at equal parameters?

tiny-swa with full attention in every block. The base of the rotary positions grows in
the extension, as in the paper. At the paper's sizes the model has the paper's shape: no
second MLP in any block, and a wider slow MLP.

    ttt-lab train tiny-full                # 14.4 M tokens
"""

from lab.recipes import sizes
from lab.recipes.experiment import Experiment


QUESTION = "What does full attention gain from the whole context?"
COST = "two hours on 2 cores (nano: half a minute)"
EXPECTED = "4.13 nats, above tiny-swa, against expectation: see lab/LOG.md"
SIZES = sizes.SIZES


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    planned = sizes.experiment("full", size, **sizes.rival(size, ("full",)))
    return sizes.with_theta(planned, sizes.FULL_THETA.get(size))
