"""Can a model of two million weights be trained to learn while it reads?

The paper's recipe scaled down: sliding-window Transformer, fast MLPs in the last third
of the blocks, meta-trained through all 32 inner steps of sequences of 2,048 tokens,
then through the 256 of 16,384.

    ttt-lab train tiny-e2e                 # 14.4 M tokens, about two hours of two cores
    ttt-lab train tiny-e2e --size nano     # bytes of the State of the Union, a minute
    ttt-lab train tiny-e2e --plain         # its twin that is not meta-trained

`nano` is for tests and tutorials: it learns something, and nothing to speak of.
"""

from lab.experiment import Experiment
from lab.recipes import sizes


QUESTION = "Can two million weights be trained to learn while they read?"
COST = "2 hours on 2 cores (nano: one minute)"
EXPECTED = "held-out novels at 16 K tokens: learning while reading lowers the loss"
SIZES = sizes.SIZES


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    return sizes.experiment("e2e", size)
