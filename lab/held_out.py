"""Held-out loss while and after training: passages of the `val` split, with twins.

While training, a few passages are measured now and then (`Watch`), always the same
ones, at steps that the experiment decides. When a stage is done, more of them are read
as a stream (`summary`), which is what a card says.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import ttt_core as ttt
from lab.data import batches, shards
from lab.experiment import Experiment, Phase


CARD = {"count": 12, "length": 4096}
WATCH = {"tokens": 16_384, "length": 4096}


@dataclasses.dataclass(frozen=True)
class Watch:
    """A few held-out passages: `tokens [count, length + 1]`, or None without any."""

    tokens: np.ndarray | None

    def __call__(self, model) -> dict[str, float]:
        """`held_out`: mean nats per token, and `held_out_frozen` of a model that
        learns, by its frozen twin. Empty without passages."""
        if self.tokens is None:
            return {}
        model = _on_one_device(model)
        found = {"held_out": float(_mean_loss(model, self.tokens))}
        if model.config.learns:
            twin = ttt.without_learning(model)
            found["held_out_frozen"] = float(_mean_loss(twin, self.tokens))
        return found


def open_watch(experiment: Experiment) -> Watch:
    """Passages as long as the longest stage's sequences, up to `WATCH["length"]`."""
    stages = experiment.stages
    length = min(WATCH["length"], max(stage.seq for stage in stages))
    try:
        opened = shards.open(stages[-1].corpus, experiment.tokenizer, "val")
        total = batches.windows(opened, length).total
    except ValueError:  # no held-out part, or none that is long enough
        return Watch(None)
    count = min(total, max(1, WATCH["tokens"] // length))
    bos = experiment.model.bos
    return Watch(batches.passages(opened, count=count, length=length, bos=bos).tokens)


def summary(phase: Phase, model) -> dict:
    """Mean loss of passages the model has not seen, with learning and without."""
    from lab.evals.gain import measure_gain

    corpus = phase.stage.corpus
    opened = shards.open(corpus, phase.experiment.tokenizer, "val")
    passages = batches.passages(opened, **CARD, bos=model.config.bos)
    gain = measure_gain(model, passages.tokens[:, 1:])
    return {
        "text": f"{corpus}/val",
        "passages": CARD["count"],
        "tokens_each": CARD["length"],
        "loss_learning": round(float(gain.learning.mean()), 4),
        "loss_frozen": round(float(gain.frozen.mean()), 4),
    }


@eqx.filter_jit
def _mean_loss(model, tokens):
    one = lambda row: ttt.meta_loss(model, row)[0]
    return jnp.mean(jax.lax.map(one, tokens))


def _on_one_device(model):
    arrays, static = eqx.partition(model, eqx.is_array)
    return eqx.combine(jax.device_put(jax.device_get(arrays), jax.devices()[0]), static)


def with_inner(model, **changes):
    """The same weights with another inner `lr`, `clip` or `rule`."""
    return dataclasses.replace(model, config=model.config.replace(**changes))
