"""What does a state know now? Nats, ranks and first choices of an answer to a question.

Every question of the lab is asked here: after each chunk of a live reading, at each
distance from a fact. A question is asked on a fork, so the state does not change.
"""

from typing import NamedTuple

import numpy as np


class Answer(NamedTuple):
    """How a state answers a question, token by token of the right answer.

    `nll [answer]`: nats of each token given the tokens before it, as in
    `ttt_core.score`. `rank [answer]`: number of entries of the vocabulary that are
    likelier; 0 = the model would have written this token itself.
    """

    nll: np.ndarray
    rank: np.ndarray

    @property
    def nats(self) -> float:
        """Mean nats per token."""
        return float(self.nll.mean())

    @property
    def first(self) -> float:
        """Share of the tokens that are the model's first choice."""
        return float((self.rank == 0).mean())


def ask(model, state, prompt, answer) -> Answer:
    """Nats and ranks of `answer` after `prompt`, on a fork of `state`; no inner step.

    **Raises** `ValueError` for an empty answer or ids outside the vocabulary.
    """
    import ttt_core as ttt

    if not len(answer):
        raise ValueError("`answer` is empty: give at least one token to ask for.")
    asked = np.concatenate([prompt, answer]).astype(np.int32)
    logits = ttt.predict(model, state, asked)
    return grade(np.asarray(logits)[len(prompt) : len(asked)], answer)


def grade(logits: np.ndarray, answer) -> Answer:
    """Nats and ranks of an answer under `logits [answer, vocab]`."""
    logits = logits.astype(np.float64)
    right = np.take_along_axis(logits, np.asarray(answer)[:, None], axis=1)
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return Answer(total - right[:, 0], (logits > right).sum(axis=1))
