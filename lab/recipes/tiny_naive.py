"""Is learning while reading worth anything to a model that was not trained for it?

tiny-swa's weights (the paper's TTT-naive, or dynamic evaluation), learning at test time
only. Nothing is trained: the inner rate is chosen among `RATES` on held-out passages,
and a card that points at tiny-swa's weights is written.

    ttt-lab train tiny-naive               # two minutes, once tiny-swa is trained
"""

from lab.recipes import sizes


QUESTION = "Is learning while reading worth anything to an unprepared model?"
COST = "two minutes, once tiny-swa is trained"
EXPECTED = "a small gain over tiny-swa at a small rate, a loss at a large one"
SIZES = sizes.SIZES
RATES = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8)


def name(size: str = "tiny") -> str:
    """What the model is called."""
    return f"{size}-naive"


def points_at(size: str = "tiny") -> str:
    """The model whose weights it reads with."""
    return f"{size}-swa"
