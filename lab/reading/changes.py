"""A model's way of learning changed for one reading: inner rule, chunk, window.

No weight changes, so nothing is trained anew: how well a model learns in a way that it
was not trained for is what the reading shows. All three are compiled into the programs,
while the inner rate is data to them.

The command, the explorer and lines of Python name the changes alike; a trace records
them (`Changes.recorded`), so that its reading can be made again.
"""

import dataclasses
from collections.abc import Mapping

from lab.names import unknown


# The rules of `ttt_core.rules.RULES` in words.
RULES = {
    "sgd": "the paper's: against the gradient",
    "block-rates": "the paper's, with a rate for each block, all 1 unless trained",
    "momentum": "gradients add up, earlier ones fade",
    "tilted": "surprising tokens count more, all alike unless trained",
    "anchored": "the paper's, and a pull back to the start",
    "muon": "a step of one size in all directions",
    "factored": "the gradient over its own size, by rows and columns",
    "normalised": "a step of one length, whatever the gradient",
    "adam": "each weight moves by about the rate: choose a small one",
}
WINDOWED = {"window", "sinks", "kv_binding"}  # mixers with a window
_FACTORS = (0.25, 0.5, 1, 2, 4)


@dataclasses.dataclass(frozen=True)
class Changes:
    """What is changed; None stays as the model was trained.

    Attributes:
        rule: the inner rule, a name in `RULES`.
        chunk: tokens between two inner steps.
        window: tokens that attention sees.
    """

    rule: str | None = None
    chunk: int | None = None
    window: int | None = None

    def __bool__(self) -> bool:
        return bool(self.recorded)

    @property
    def recorded(self) -> dict[str, str | int]:
        """The changes by name, without those that are None."""
        found = dataclasses.asdict(self)
        return {name: value for name, value in found.items() if value is not None}

    @property
    def words(self) -> str:
        """The changes for people; empty if there are none.

        >>> Changes("adam", 32).words
        'rule adam, chunk 32'
        """
        return ", ".join(f"{name} {value}" for name, value in self.recorded.items())

    def called(self, model: str) -> str:
        """A name for the model with the changes.

        >>> Changes(window=64).called("tiny-e2e"), Changes().called("tiny-e2e")
        ('tiny-e2e (window 64)', 'tiny-e2e')
        """
        return f"{model} ({self.words})" if self else model

    def beyond(self, config: Mapping) -> "Changes":
        """The changes without those that a card's configuration has already."""
        mine = {"rule": (config.get("inner") or {}).get("rule", "sgd"), **config}
        kept = {k: v for k, v in self.recorded.items() if mine.get(k) != v}
        return Changes(**kept)

    def to(self, config, model: str):
        """The configuration with the changes; `model` is its name, for sentences.

        **Raises** `ValueError` for what the model has not, for an unknown rule, and for
        sizes that do not go together.
        """
        self._check(config, model)
        changes = dict(self.recorded)
        if self.chunk is not None and "kv_binding" in config.mixers:
            changes["bind_chunk"] = config.bind_every  # a trained rate belongs to it
        try:
            return config.replace(**changes)
        except ValueError as error:
            raise ValueError(f"{model} with {self.words}: {error}") from None

    def _check(self, config, model: str):
        has_step = self.rule is not None or self.chunk is not None
        if has_step and not config.learns:
            what = "inner rule" if self.rule else "chunk between inner steps"
            raise ValueError(
                f"{model} never learns while it reads, so it has no {what} to change."
            )
        if self.window is not None and not WINDOWED & set(config.mixers):
            raise ValueError(
                f"{model} has no window to change: its mixers are "
                f"{', '.join(dict.fromkeys(config.mixers))}."
            )
        if self.rule is not None and self.rule not in RULES:
            raise ValueError(unknown("inner rule", self.rule, RULES))

    def apply(self, model, name: str):
        """The model (a `ttt_core.Transformer`) with the changes, and its own weights.

        A rule that holds weights of its own begins with untrained ones.

        **Raises** what `to` raises.
        """
        import equinox as eqx
        import jax

        from ttt_core.rules import RULES as MADE

        wanted = self.to(model.config, name)
        rule, config = model.rule, model.config.replace(inner=wanted.inner)
        if config.inner.rule != model.config.inner.rule:
            rule = MADE[config.inner.rule](config.fast_blocks)
        model = dataclasses.replace(model, rule=rule, config=config)
        # Windows are static parts of the mixers: the same arrays in another skeleton.
        skeleton = eqx.filter_eval_shape(wanted.build, key=jax.random.key(0))
        return jax.tree.unflatten(jax.tree.structure(skeleton), jax.tree.leaves(model))


AS_TRAINED = Changes()


def of(provenance: Mapping) -> Changes:
    """The changes that a trace's provenance records, as far as they make sense."""
    kinds = {"rule": str, "chunk": int, "window": int}
    held = {k: provenance.get(k) for k in kinds}
    return Changes(**{k: v for k, v in held.items() if isinstance(v, kinds[k])})


def rate(provenance: Mapping) -> float:
    """The factor on the inner rate that a trace's provenance records, 1 = none."""
    found = provenance.get("rate")
    return float(found) if isinstance(found, int | float) else 1.0


def options(provenance: Mapping) -> list[str]:
    """How the command line asks for a reading's changes, and for its inner rate."""
    words = []
    for name, value in of(provenance).recorded.items():
        words += [f"--{name}", str(value)]
    factor = rate(provenance)
    return words + (["--rate", f"{factor:g}"] if factor != 1 else [])


def check(changes: Changes, card: Mapping, model: str):
    """Refuse what the model of a card cannot be, before the model is opened.

    **Raises** what `Changes.to` raises.
    """
    from lab.checkpoints import config_from_dict

    changes.to(config_from_dict(dict(card["config"])), model)


def choices(config: Mapping, name: str) -> list[int]:
    """Sizes of "chunk" or "window" worth trying, around the one of a configuration.

    >>> choices({"chunk": 64, "window": 128}, "chunk")
    [16, 32, 64, 128, 256]
    """
    return sorted({max(1, int(config[name] * factor)) for factor in _FACTORS})


def in_words(provenance: Mapping) -> str:
    """What was changed in a reading, for people, its inner rate included."""
    factor = rate(provenance)
    said = [of(provenance).words, f"inner rate {factor:g}×" if factor != 1 else ""]
    return ", ".join(filter(None, said))
