"""Can a model of two million weights be trained to learn while it reads?

The paper's recipe, scaled down: a sliding-window Transformer with fast MLPs in the last
third of the blocks, meta-trained through all 32 inner steps of sequences of 2,048
tokens, then through the 256 inner steps of 16,384 tokens.

    ttt-lab train tiny-e2e                 # 14.4 M tokens, 75 minutes of two cores
    ttt-lab train tiny-e2e --size nano     # bytes of the State of the Union, 30 s
    ttt-lab train tiny-e2e --plain         # its twin that is not meta-trained

`nano` is for tests and tutorials: it learns, but not much.
"""

from lab.recipes import sizes
from lab.recipes.experiment import Experiment


QUESTION = "Can two million weights be trained to learn while they read?"
COST = "75 minutes on 2 cores (nano: half a minute)"
EXPECTED = (
    "3.59 nats on held-out passages of 16 K tokens, 0.37 below tiny-swa, nearly all "
    "of it by learning while reading"
)
SIZES = sizes.SIZES


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    return sizes.experiment("e2e", size)
