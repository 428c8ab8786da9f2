"""Can a model that learns while it reads be taught to look things up in its weights?

tiny-e2e's model and budget. Half of the training sequences have facts planted in them
that are asked for again, far beyond the window too (`lab.data.recall`): up to 8 facts
in 1,000 tokens. The metrics line says what the answers cost, all (`answers`) and those
out of attention's reach (`answers_far`).

    ttt-lab train tiny-e2e-recall              # 14.4 M tokens, as tiny-e2e
    ttt-lab train tiny-e2e-recall --size nano  # a minute, for tests

Its text is not that of the other systems, so its held-out loss is not to be compared
with theirs without a word; what it can recall is (`ttt-lab eval recall`).
"""

import dataclasses

from lab.recipes import sizes
from lab.recipes.experiment import Experiment


QUESTION = "How far can forgetting single facts be trained away?"
COST = "75 minutes on 2 cores (nano: half a minute)"
EXPECTED = "four of five facts in known words right 16 K tokens on; prose +0.015 nats"
SIZES = ("tiny", "nano", "small")
MIXTURE = "share=0.5&density=8"


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    planned = sizes.experiment("e2e-recall", size)
    stages = tuple(
        dataclasses.replace(stage, corpus=f"recall:{stage.corpus}?{MIXTURE}")
        for stage in planned.stages
    )
    return dataclasses.replace(planned, stages=stages)
