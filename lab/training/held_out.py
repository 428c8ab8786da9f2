"""Held-out loss while and after training: passages of the `val` split, with twins.

During a training a few passages are read now and then (`Watch`), always the same ones,
at steps that the experiment decides. When a stage is done, more passages are read
(`summary`), and their losses go on the card. A recall mixture is measured on its text
alone, without the planted facts.
"""

import dataclasses

import equinox as eqx
import jax
import numpy as np

import ttt_core as ttt
from lab.data import recall, sources
from lab.data.batches import Passages
from lab.recipes.experiment import Experiment, Phase
from lab.training.devices import gather


CARD = {"count": 12, "length": 4096}
WATCH = {"tokens": 16_384, "length": 4096}
SHORTEST = 16


@dataclasses.dataclass(frozen=True)
class Watch:
    """A few held-out passages, `tokens [count, length + 1]`; None if there are none."""

    tokens: np.ndarray | None

    def __call__(self, model: ttt.Transformer) -> dict[str, float]:
        """Mean nats per token, as `held_out`; empty without passages.

        For a model that learns, `held_out_frozen` is the mean of its frozen twin.
        """
        if self.tokens is None:
            return {}
        model = gather(model)
        found = {"held_out": float(losses(model, self.tokens).mean())}
        if model.config.learns:
            twin = ttt.without_learning(model)
            found["held_out_frozen"] = float(losses(twin, self.tokens).mean())
        return found


def open_watch(experiment: Experiment) -> Watch:
    """Passages as long as the longest stage's sequences, up to `WATCH["length"]`."""
    stages = experiment.stages
    length = min(WATCH["length"], max(stage.seq for stage in stages))
    count = max(1, WATCH["tokens"] // length)
    found = passages(stages[-1].corpus, experiment.tokenizer, count, length)
    return Watch(None if found is None else found.tokens)


def summary(phase: Phase, model: ttt.Transformer) -> dict | None:
    """Mean loss on passages that the model has not seen, with learning and without.

    The result is None if no part of the text is held out.
    """
    corpus, tokenizer = phase.stage.corpus, phase.experiment.tokenizer
    found = passages(corpus, tokenizer, CARD["count"], CARD["length"])
    if found is None:
        return None
    learning = losses(model, found.tokens)
    frozen = losses(ttt.without_learning(model), found.tokens)
    return {
        "text": f"{text_of(corpus)}/val",
        "passages": len(found.tokens),
        "tokens_each": found.tokens.shape[1] - 1,
        "loss_learning": round(float(learning.mean()), 4),
        "loss_frozen": round(float(frozen.mean()), 4),
    }


def passages(corpus: str, tokenizer: str, count: int, length: int) -> Passages | None:
    """At most `count` held-out passages of `length` tokens, or None.

    If no text is that long, the passages are half as long, and so on.
    """
    while length >= SHORTEST:
        try:
            total = sources.count_windows(corpus, tokenizer, "val", length)
        except FileNotFoundError:  # a store without a held-out part
            return None
        except ValueError:  # there is no held-out part, or none of this length
            length //= 2
            continue
        count = min(count, total)
        return sources.open_passages(corpus, tokenizer, count=count, length=length)
    return None


def text_of(corpus: str) -> str:
    """The corpus that a mixture is made from, or the corpus itself."""
    mixed = corpus.startswith("recall:")
    return recall.parse(corpus.removeprefix("recall:"))[0] if mixed else corpus


def losses(model: ttt.Transformer, tokens: np.ndarray) -> np.ndarray:
    """Mean nats per token of each passage, `[count]`; the first token is given.

    A `bos` inside a passage of `tokens [count, length + 1]` begins another document and
    does not count as a target.
    """
    mask = tokens[:, 1:] != model.config.bos
    return np.asarray(_losses(model, tokens, mask), np.float64)


@eqx.filter_jit
def _losses(model, tokens, mask):
    one = lambda row: ttt.meta_loss(model, *row)[0]
    return jax.lax.map(one, (tokens, mask))
