"""How a command line names an experiment: recipe, size, and `--set NAME=VALUE`.

seed=1              the experiment
model.window=256    the model; model.lr, model.clip and model.rule are the inner
                    loop's
extend.lr=1e-3      one stage
lr=4e-3             every stage
"""

import dataclasses
import math
import reprlib

from lab.names import choose
from lab.recipes import RECIPES
from lab.recipes.experiment import Experiment


_FIXED = {"name", "model", "stages", "inner"}


def find(name: str, size: str):
    """The recipe called `name`, checked to have this size.

    **Raises** `ValueError` naming the closest recipe or size that exists.
    """
    recipe = RECIPES[choose("recipe", name, RECIPES)]
    choose("size", size, recipe.SIZES)
    return recipe


def make_experiment(
    name: str, size: str = "tiny", settings: tuple[str, ...] = (), plain: bool = False
) -> Experiment:
    """The experiment of a recipe, with settings applied; `plain` gives its plain twin.

    **Raises** `ValueError` for an unknown name, or a recipe that trains nothing.
    """
    recipe = find(name, size)
    if not hasattr(recipe, "experiment"):
        raise ValueError(
            f"{name} trains nothing: it reads with the weights of "
            f"{recipe.points_at(size)}; train those."
        )
    experiment = override(recipe.experiment(size), settings)
    return experiment.plain() if plain else experiment


def override(experiment: Experiment, settings: tuple[str, ...]) -> Experiment:
    """The experiment with `NAME=VALUE` settings, applied together.

    **Raises** `ValueError` for an unknown name, naming the closest one, a value of the
    wrong kind, or two values for one name.
    """
    known, everywhere = _known(experiment), {}
    whole, model, given = {}, {}, {}
    stages = {stage.name: {} for stage in experiment.stages}
    for path, text in map(_split, settings):
        choose("setting", path, known)
        if given.setdefault(path, text) != text:
            both = f"{path}={given[path]} and {path}={text}"
            raise ValueError(f"{path} is set twice: {both}; leave one out.")
        value = _parse(path, text, *known[path])
        owner, _, field = path.rpartition(".")
        if owner == "model":
            model[field] = value
        elif owner:
            stages[owner][field] = value
        else:
            target = whole if path in _fields(experiment) else everywhere
            target[path] = value
    if model:
        whole["model"] = experiment.model.replace(**model)
    changed = [
        dataclasses.replace(stage, **(everywhere | stages[stage.name]))
        for stage in experiment.stages
    ]
    return dataclasses.replace(experiment, stages=tuple(changed), **whole)


def shortened(
    experiment: Experiment, settings: tuple[str, ...], tokens: float
) -> Experiment:
    """The first stage alone, over `tokens`, with settings; its name says all three.

    **Raises** `ValueError` for a setting that does not exist or lies out of range.
    """
    changed = override(experiment, settings)
    length = int(tokens) if math.isfinite(tokens) else tokens  # refused by the stage
    stage = dataclasses.replace(changed.stages[0], tokens=length)
    name = f"{experiment.name}-{length}-{','.join(settings)}"
    return dataclasses.replace(changed, name=name, stages=(stage,))


def _split(setting: str) -> tuple[str, str]:
    path, equals, text = setting.partition("=")
    if not equals:
        raise ValueError(f"settings look like lr=2e-3: got {setting!r}.")
    return path.strip(), text.strip()


def _known(experiment: Experiment) -> dict:
    """Every setting with its value and type."""
    model = experiment.model
    known = _fields(experiment) | _fields(experiment.stages[0])
    known |= {f"model.{k}": v for k, v in (_fields(model) | _inner(model)).items()}
    for stage in experiment.stages:
        known |= {f"{stage.name}.{k}": v for k, v in _fields(stage).items()}
    return known


def _inner(model) -> dict:
    return _fields(model.inner) if hasattr(model, "inner") else {}


def _fields(config) -> dict:
    return {
        field.name: (getattr(config, field.name), field.type)
        for field in dataclasses.fields(config)
        if field.name not in _FIXED
    }


def _parse(name: str, text: str, current, kind):
    kind = str(getattr(kind, "__name__", kind) if isinstance(kind, type) else kind)
    if "None" in kind and text.lower() == "none":
        return None
    try:
        if kind.startswith("bool"):
            return {"true": True, "false": False}[text.lower()]
        if kind.startswith("int"):
            return _whole(text)
        if kind.startswith("float"):
            return float(text)
        if kind.startswith("tuple[float"):
            return tuple(map(float, text.split(",")))
        if kind.startswith("tuple"):
            return tuple(text.split(","))
    except (ValueError, KeyError, OverflowError) as error:
        raise ValueError(
            f"{name} must be a value like {current!r} ({kind}): got "
            f"{reprlib.repr(text)}."
        ) from error
    return text


def _whole(text: str) -> int:
    """A whole number as people write it: `4096`, `1e6`, `5_000`; exact if written out.

    **Raises** `ValueError` or `OverflowError` for anything else.
    """
    try:
        return int(text)
    except ValueError:
        number = float(text)
        return int(number) if number.is_integer() else int(text)
