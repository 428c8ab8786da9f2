"""Is learning while reading worth anything to a model that was not trained for it?

tiny-swa's weights, learning at test time only (the paper's TTT-naive, or dynamic
evaluation). Nothing is trained: inner rate and clip are chosen among `RATES` and
`CLIPS` (and beyond, if the best is the smallest or largest value) on passages of the
train split, and a card that points at tiny-swa's weights is written.

    ttt-lab train tiny-naive               # ten minutes, once tiny-swa is trained
"""

from lab.recipes import sizes


QUESTION = "Is learning while reading worth anything to an unprepared model?"
COST = "ten minutes on 2 cores, once tiny-swa is trained"
EXPECTED = "0.22 nats below tiny-swa on held-out passages of 16 K tokens"
SIZES = sizes.SIZES
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
CLIPS = (0.03, 0.1, 0.3, 1.0, float("inf"))


def name(size: str = "tiny") -> str:
    """The name of the model."""
    return f"{size}-naive"


def points_at(size: str = "tiny") -> str:
    """The name of the model whose weights are used."""
    return f"{size}-swa"
