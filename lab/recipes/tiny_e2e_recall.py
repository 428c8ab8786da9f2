"""Can a model that learns while it reads be taught to look things up in its weights?

The model and the budget are tiny-e2e's. Half of the training sequences contain planted
facts that are asked for again, also far beyond the window (`lab.data.recall`): up to 8
facts in 1,000 tokens. The metrics line has the cost of all answers (`answers`) and of
those out of attention's reach (`answers_far`).

    ttt-lab train tiny-e2e-recall              # 14.4 M tokens, as tiny-e2e
    ttt-lab train tiny-e2e-recall --size nano  # a minute, for tests

The other systems are trained on another text, so held-out losses are not directly
comparable; recall is (`ttt-lab eval recall`).
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
        if stage.name in ("pretrain", "extend")
        else stage
        for stage in planned.stages
    )
    return dataclasses.replace(planned, stages=stages)
