"""Which trainings answer a question? One setting at a time, and always the plain twin.

A grid is a few settings of the learning model (`tiny-e2e` at some size), each trained
over the same budget of tokens with each seed, beside its twin that is trained plainly
and never learns. A training is named by what distinguishes it from its recipe, so that
grids share what they have in common: the usual setting is trained once.
"""

import dataclasses

from lab.names import choose
from lab.recipes.experiment import Experiment
from lab.recipes.settings import make_experiment, shortened


RECIPE = "tiny-e2e"
# Values around a size's own, all with a context longer than the window and several
# chunks a sequence; a chunk may not be longer than the window.
AXES: dict[str, dict[str, tuple[int, ...]]] = {
    "window": {"nano": (16, 32, 64, 128), "tiny": (64, 128, 256, 512)},
    "chunk": {"nano": (4, 8, 16, 32), "tiny": (16, 32, 64, 128)},
    "layers": {"nano": (1, 2, 3, 4), "tiny": (1, 2, 3, 6)},
}
# Tokens of a training: of an ablation's, and of the usual one that others are longer
# and shorter than.
BUDGETS = {"nano": 1_200_000, "tiny": 500_000}
USUAL = {"nano": 300_000, "tiny": 500_000}
SIZES = tuple(BUDGETS)
WIDTHS = (0.5, 1.0, 2.0)  # of the model, times its usual widths
SHARES = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the usual tokens


@dataclasses.dataclass(frozen=True)
class Pair:
    """A setting's trainings, one for each seed: learning ones, and their plain twins.

    `value`: of what is varied. `tokens`: of each training.
    """

    value: float
    tokens: int
    learning: tuple[Experiment, ...]
    plain: tuple[Experiment, ...]


@dataclasses.dataclass(frozen=True)
class Budget:
    """What every training of a grid has in common.

    `size`: a size of the recipe. `tokens`: of each training. `seeds`: trainings
    of each setting. `settings`: overrides, as `lr=2e-3`.
    """

    size: str = "nano"
    tokens: float = BUDGETS["nano"]
    seeds: int = 2
    settings: tuple[str, ...] = ()

    def __post_init__(self):
        choose("size", self.size, SIZES)

    @property
    def usual(self) -> Experiment:
        """The experiment that settings change; nothing is measured on the way."""
        found = make_experiment(RECIPE, self.size, self.settings)
        return dataclasses.replace(found, checks=0, gain_every=0)

    def pair(
        self,
        value: float,
        changes: dict[str, int],
        tokens: float | None = None,
        plain: dict[str, int] | None = None,
    ) -> Pair:
        """The trainings of one setting.

        `changes`: of the model, by name of the field. `plain`: those of the plain twin,
        if it takes others. `tokens`: a length of its own.

        **Raises** `ValueError` for what no model can have.
        """
        tokens = self.tokens if tokens is None else tokens
        build = lambda settings: tuple(
            shortened(self.usual, (*self.settings, *settings, f"seed={seed}"), tokens)
            for seed in range(self.seeds)
        )
        learning = build(self._settings(changes))
        twins = build(self._settings(changes if plain is None else plain))
        plainly = tuple(twin.plain() for twin in twins)
        return Pair(value, learning[0].tokens, learning, plainly)

    def _settings(self, changes: dict[str, int]) -> tuple[str, ...]:
        """Changes as settings, without those that change nothing."""
        model = self.usual.model
        return tuple(
            f"model.{name}={value}"
            for name, value in changes.items()
            if getattr(model, name) != value
        )


def own_value(axis: str, budget: Budget) -> int:
    """The value of an axis that the size has by itself."""
    field = {"layers": "fast_blocks"}.get(axis, axis)
    return getattr(budget.usual.model, field)


def ablation(axis: str, budget: Budget, values: tuple[int, ...] = ()) -> list[Pair]:
    """The trainings of an ablation, by rising value, the usual setting among them.

    **Raises** `ValueError` for an axis or a value that does not exist.
    """
    given = values or AXES[choose("axis", axis, AXES)][budget.size]
    wanted = sorted({*given, own_value(axis, budget)})
    return [_setting(axis, value, budget) for value in wanted]


def _setting(axis: str, value: int, budget: Budget) -> Pair:
    if axis == "layers":
        return budget.pair(value, _narrowed(value, budget.usual.model))
    # How long a chunk is makes no difference to a model that never learns.
    return budget.pair(value, {axis: value}, plain={} if axis == "chunk" else None)


def _narrowed(fast_blocks: int, model) -> dict[str, int]:
    """Fields of a model with so many fast blocks and as many weights (steps of 8).

    As in the paper, all MLPs are narrowed to make up for the added ones.
    """
    if fast_blocks == model.fast_blocks:
        return {}
    total = model.layers * model.d_ff + model.fast_blocks * model.d_fast
    width = max(8, round(total / (model.layers + fast_blocks) / 8) * 8)
    return {"fast_blocks": fast_blocks, "d_ff": width, "d_fast": width}


def widths(budget: Budget, factors: tuple[float, ...] = WIDTHS) -> list[Pair]:
    """Models of other widths, each trained on as many tokens per weight.

    **Raises** `ValueError` for a factor that leaves no whole head.
    """
    own = _weights(budget.usual.model)
    return [_wide(factor, budget, own) for factor in sorted({*factors, 1.0})]


def _wide(factor: float, budget: Budget, own: int) -> Pair:
    model = budget.usual.model
    heads = model.heads * factor
    if heads < 1 or heads % 1:
        raise ValueError(
            f"A model {factor:g} times as wide has {heads:g} heads, and must have a "
            f"whole number: {model.heads} at its usual width."
        )
    fields = ("d_model", "heads", "kv_heads", "d_ff", "d_fast")
    changes = {name: round(getattr(model, name) * factor) for name in fields}
    weights = _weights(model.replace(**changes))
    return budget.pair(factor, changes, tokens=budget.tokens * weights // own)


def budgets(budget: Budget, shares: tuple[float, ...] = SHARES) -> list[Pair]:
    """The usual model on fewer and on more tokens, each with a schedule of its own."""
    wanted = sorted({*shares, 1.0})
    return [budget.pair(share, {}, tokens=budget.tokens * share) for share in wanted]


def _weights(config) -> int:
    """Number of weights of a model; nothing is built."""
    import equinox as eqx
    import jax

    build = lambda: config.build(key=jax.random.key(0))
    shapes = jax.tree.leaves(eqx.filter_eval_shape(build))
    return sum(leaf.size for leaf in shapes if hasattr(leaf, "size"))
