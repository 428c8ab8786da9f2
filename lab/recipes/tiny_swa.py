"""What is the same Transformer worth when it never learns while reading?

tiny-e2e's shapes, extra MLPs included, trained plainly on the same text in the same
order: the baseline that every gain is measured against.

    ttt-lab train tiny-swa                 # 14.4 M tokens, under an hour of two cores
"""

from lab.experiment import Experiment
from lab.recipes import sizes


QUESTION = "What is the same Transformer worth without learning while reading?"
COST = "an hour on 2 cores (nano: half a minute)"
EXPECTED = "flat beyond its reach of 762 tokens, above tiny-e2e everywhere"
SIZES = sizes.SIZES


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    return sizes.experiment("swa", size, lr=0.0)
