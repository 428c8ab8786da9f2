"""What is the same Transformer worth when it never learns while reading?

A model with tiny-e2e's shapes, including the extra MLPs, is trained plainly on the same
text in the same order: the baseline that every gain is measured against.

    ttt-lab train tiny-swa                 # 14.4 M tokens, 40 minutes of two cores
"""

from lab.recipes import sizes
from lab.recipes.experiment import Experiment


QUESTION = "What is the same Transformer worth without learning while reading?"
COST = "40 minutes on 2 cores (nano: half a minute)"
EXPECTED = "3.96 nats on held-out passages of 16 K tokens; reach: 762 tokens"
SIZES = sizes.SIZES


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    return sizes.experiment("swa", size, lr=0.0)
