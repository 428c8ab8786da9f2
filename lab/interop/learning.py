"""A model of one's own that learns while it reads, made from one that never did.

The model's weights stay where they are. What is kept is a card that names them, how
fast weights are given to them (`ttt_core.warm_start`), and the arrays that are new: W0
and the norms around it, or nothing at all where the model's own MLPs learn. The result
goes by its name wherever a model is named.

    keep("smollm2-inplace", "smollm2", Learning())
"""

import dataclasses
import json
from typing import Annotated, Literal

from tyro.conf import arg

from lab import checkpoints, files
from lab.data import folders
from lab.interop import kept


HOWS = {
    "inplace": "the MLPs of the last blocks learn",
    "added": "the last blocks get a second MLP, which learns",
}
# Inner rates that suit SmolLM2 untrained: lab/LOG.md, 2026-11-26.
RATES = {"inplace": 0.03, "added": 0.3}
UNSHOWN = arg(metavar="N", help_behavior_hint="")  # the words name the default


@dataclasses.dataclass(frozen=True)
class Learning:
    """How a model is given fast weights.

    Args:
        how: inplace: the blocks' own MLPs learn. added: a second MLP in each block
            does.
        blocks: how many of the last blocks learn (default: a quarter).
        window: tokens that attention sees; 0 = attention stays as it is.
        sinks: first tokens of a text that stay visible beyond the window.
        chunk: tokens between two inner steps.
        width: hidden width of added MLPs (default: a third of the blocks' own).
        lr: inner rate (default: 0.03 in place, 0.3 for added MLPs).
        clip: largest norm of an inner gradient.
        seed: decides which hidden units added MLPs begin with.
    """

    how: Literal["inplace", "added"] = "inplace"
    blocks: Annotated[int | None, UNSHOWN] = None
    window: int = 512
    sinks: int = 4
    chunk: int = 64
    width: Annotated[int | None, UNSHOWN] = None
    lr: Annotated[float | None, UNSHOWN] = None
    clip: float = 1.0
    seed: int = 0

    def apply(self, model):
        """The model with fast weights.

        **Raises** what `ttt_core.with_fast_weights` raises.
        """
        import jax

        import ttt_core as ttt

        return ttt.with_fast_weights(
            model,
            fast_blocks=self.blocks or max(1, model.config.layers // 4),
            window=self.window or None,
            sinks=self.sinks if self.window else 0,
            chunk=self.chunk,
            in_place=self.how == "inplace",
            d_fast=self._width(model.config.d_ff),
            lr=RATES[self.how] if self.lr is None else self.lr,
            clip=self.clip,
            key=jax.random.key(self.seed),
        )

    def _width(self, d_ff: int) -> int | None:
        if self.how == "inplace":
            return self.width
        return self.width or max(1, d_ff // 3)


def name_of(model: str, learning: Learning) -> str:
    """What the model that learns is called, unless a name is given.

    >>> name_of("smollm2", Learning()), name_of("smollm2", Learning(window=256))
    ('smollm2-inplace', 'smollm2-inplace-window-256')
    """
    words = [model, learning.how]
    for field in dataclasses.fields(learning):
        value = getattr(learning, field.name)
        if field.name != "how" and value != field.default:
            words += [field.name, f"{value:g}".replace(".", "p").replace("+", "")]
    return "-".join(words).lower()


def keep(name: str, model: str, learning: Learning) -> dict:
    """Keep the model that learns, and return its card.

    **Raises** `ValueError` for a name that is taken, or for numbers that do not fit the
    model; else what `checkpoints.load` raises.
    """
    import equinox as eqx

    from ttt_core.warm_start import trained_parts

    kept.check_name(name)
    given = checkpoints.card(model)
    learner = learning.apply(checkpoints.load(model))
    is_new = trained_parts(learner, "fast")
    none = eqx.filter(learner, lambda _: False)
    part = none if learning.how == "inplace" else eqx.filter(learner, is_new)
    card = {
        "title": f"{model}, {HOWS[learning.how]}",
        "tokenizer": given["tokenizer"],
        "licence": given.get("licence"),
        "start": {"name": model, "sha256": given["sha256"]},
        "learning": dataclasses.asdict(learning),
    }
    with files.appearing(folders.models() / name) as draft:
        draft.mkdir()
        path = checkpoints.save(draft / name, learner, card, part)
        return json.loads(path.read_text("utf-8"))


def chosen(model: str, learning: Learning) -> str:
    """The name of `model` learning so; the model is made, if there is none yet.

    **Raises** what `keep` raises.
    """
    name = name_of(model, learning)
    if name not in kept.names():
        keep(name, model, learning)
    elif checkpoints.card(name)["start"]["sha256"] != checkpoints.card(model)["sha256"]:
        raise ValueError(
            f"{name} was made from another model called {model}: `ttt-lab model remove "
            f"{name}` first."
        )
    return name
