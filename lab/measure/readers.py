"""Who reads? A model as its card says, frozen, or with another inner rate and clip.

A `Reader` is a name and a few numbers: it can be listed, compared and sent to another
process without JAX. `load` turns a reader into a model.
"""

import dataclasses
from pathlib import Path

from lab import checkpoints, runs


FULL_LIMIT = 16_384


@dataclasses.dataclass(frozen=True)
class Reader:
    """How one model reads.

    `model`: a published name or a path. `learning`: whether the model learns while
    reading. `lr`, `clip`: inner rate and clip, None = the card's. `limit`: the model
    reads at most this many tokens of a passage, None = all.
    """

    model: str
    learning: bool = True
    lr: float | None = None
    clip: float | None = None
    limit: int | None = None


@dataclasses.dataclass(frozen=True)
class Facts:
    """The facts about a system that a result records.

    `learns`: whether the system learns while reading. `trained_to`: longest training
    sequence, `tokens_seen`: number of training tokens, None if the card does not say.
    `reads_to`: number of tokens that the system reads of a passage, None = all.
    """

    learns: bool
    chunk: int
    trained_to: int | None
    tokens_seen: int | None
    reads_to: int | None
    sha256: str


@dataclasses.dataclass(frozen=True)
class System:
    """A model under comparison, its two ways of reading, and facts from its card.

    `frozen`: the twin that does not learn. `learning`: None for a model that never
    learns. `trained_to`: longest training sequence in tokens, `tokens_seen`: number of
    training tokens; both None if the card does not say.
    """

    name: str
    chunk: int
    learning: Reader | None
    frozen: Reader
    trained_to: int | None
    tokens_seen: int | None
    tokenizer: str
    data_hash: str | None
    sha256: str

    @property
    def readers(self) -> dict[str, Reader]:
        """Label -> reader: `NAME` as the card says, and for learners `NAME, frozen`."""
        if self.learning is None:
            return {self.name: self.frozen}
        return {self.name: self.learning, self.frozen_label: self.frozen}

    @property
    def facts(self) -> Facts:
        """The facts about this system that a result records."""
        return Facts(
            learns=self.learning is not None,
            chunk=self.chunk,
            trained_to=self.trained_to,
            tokens_seen=self.tokens_seen,
            reads_to=self.frozen.limit,
            sha256=self.sha256,
        )

    @property
    def frozen_label(self) -> str:
        """The label of this system's reading without learning."""
        return self.name if self.learning is None else f"{self.name}, frozen"


def system(model: str, *, full_to: int | None = None) -> System:
    """The system of a published model or a path.

    Full attention costs more and more per token and cannot read positions that it was
    not trained at, so such a model reads `full_to` tokens of a passage. The default is
    the length of its training sequences (16,384 if the card does not say).

    **Raises** `FileNotFoundError` naming the published models, `ValueError` for a
    `full_to` that is not positive.
    """
    if full_to is not None and full_to < 1:
        raise ValueError(f"`full_to` must be >= 1 token: got {full_to}.")
    from ttt_core.mixers import kinds_of

    card = checkpoints.card(model)
    config = checkpoints.config_from_dict(card["config"])
    longest = trained_length(card)
    grows = any(kind.grows for kind in kinds_of(config))
    limit = (full_to or longest or FULL_LIMIT) if grows else None
    return System(
        name=card["name"],
        chunk=config.chunk,
        learning=Reader(model, limit=limit) if config.learns else None,
        frozen=Reader(model, learning=False, limit=limit),
        trained_to=longest,
        tokens_seen=card.get("tokens_seen"),
        tokenizer=card["tokenizer"],
        data_hash=card.get("data_hash"),
        sha256=card["sha256"],
    )


def systems(models: tuple[str, ...], *, full_to: int | None = None) -> list[System]:
    """Several systems, ready to be compared on the same tokens.

    **Raises** `ValueError` for no model, two models of one name, or different
    tokenizers.
    """
    found = [system(model, full_to=full_to) for model in models]
    names = [one.name for one in found]
    if not found or len(set(names)) < len(names):
        raise ValueError(
            f"Name one or more models, each once: got {', '.join(names) or 'none'}."
        )
    tokenizers = {one.tokenizer for one in found}
    if len(tokenizers) > 1:
        words = ", ".join(f"{one.name} reads {one.tokenizer}" for one in found)
        raise ValueError(
            f"These models do not read the same tokens ({words}), so their nats per "
            "token cannot be compared; choose models of one tokenizer."
        )
    return found


def trained_length(card: dict) -> int | None:
    """Tokens of a model's longest training sequences, None if the card does not say."""
    experiment = card.get("experiment") or {}
    stages = [experiment, *(experiment.get("stages") or [])]
    lengths = [stage["seq"] for stage in stages if stage.get("seq")]
    return max(lengths, default=card.get("context"))  # of a model from elsewhere


def load(reader: Reader):
    """The reader's model.

    **Raises** `ValueError` if the reader learns and the model cannot learn.
    """
    model = checkpoints.load(reader.model)
    changes = {"clip": 1.0, "lr": 0.0}  # one frozen twin, whatever the card's clip
    if reader.learning:
        given = {"lr": reader.lr, "clip": reader.clip}
        changes = {name: value for name, value in given.items() if value is not None}
    changed = with_inner(model, **changes)
    config = changed.config
    if reader.learning and not config.learns:
        raise ValueError(
            f"{reader.model!r} cannot learn while reading: it has {config.fast_blocks} "
            f"fast blocks and the inner rate {config.inner.lr:g}; give a rate, and a "
            "model with fast blocks."
        )
    return changed


def with_inner(model, **changes):
    """The same weights with another inner `lr`, `clip` or `rule`."""
    return dataclasses.replace(model, config=model.config.replace(**changes))


def find_weights(name: str) -> Path:
    """The card of `name`: from a finished run on this machine, else the published one.

    **Raises** `FileNotFoundError` if there is neither.
    """
    here = runs.folder(name) / f"{name}.json"
    path = here if here.exists() else checkpoints.PUBLISHED / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{name} has neither been trained here nor been published: run "
            f"`ttt-lab train {name}` first."
        )
    return path
