"""Models and streams as files: safetensors, and a card that says where a model is from.

A model is `NAME.safetensors` and `NAME.json` (the card: configuration, tokenizer,
recipe, command, commit, seed, data hash, tokens seen, held-out losses, sha256 of the
weights). A card may point at another model's weights (`"weights": "tiny-swa"`) and
differ only in configuration. `load` refuses a file whose hash is not the card's.

Cards open without JAX; weights need it.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from lab import files, tensors
from lab.data import folders
from lab.names import unknown


PUBLISHED = Path(__file__).parent / "published" / "models"
# Weights that go into a pretrained model, which has to be added first.
ADAPTERS = PUBLISHED.with_name("adapters")
ADDED = (  # fields that older cards do not have
    *("expand", "state_dim", "taps", "bind_chunk", "qk_gain", "qkv_taps"),
    *("sinks", "in_place", "qkv_bias", "head_width", "rope_factors"),
)
EXPERIMENT = {"name": str, "stages": [{"name": str}]}  # what every run's file holds
CARD = {"config": dict, "sha256": str}  # what every card holds
START = {"name": str, "sha256": str}  # the model that a card's weights go into
WORDS = ("name", "tokenizer", "weights")  # what it may hold, as text
RESTORE = (
    "if it is published, restore it (git checkout), or else make it again, or remove it"
)
STREAMS = ("ttt-e2e-lab stream 1", "ttt-e2e-lab stream 2")  # the last is written


class Fields(dict):
    """What a card says, by name; where it says nothing, a sentence names the file.

    A card that a person wrote, or `save(path, model, {})`, may lack any field.
    """

    def __init__(self, said: dict, path: Path):
        super().__init__(said)
        self.path = path

    def __missing__(self, name: str):
        raise ValueError(f"{self.path} does not say {name!r}: add it; {RESTORE}.")


def card(name: str | os.PathLike) -> dict:
    """The card of a published model, of a run's, or of the model at a path.

    A run's model goes by the name of the run. Opens without JAX.

    **Raises** `FileNotFoundError` naming the published models and the runs,
    `ValueError` for a card that is damaged.
    """
    path = _card_path(name)
    described, run = read_card(path), Path(name).name
    own = {"name": run} if path.parent.name == run else {}
    return Fields(described | own, path)


def read_card(path: Path) -> dict:
    """The card in a file.

    **Raises** `ValueError` naming the file, if it is not the card of a model.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        inner = found["config"]["inner"]
        is_card = all(isinstance(found[name], kind) for name, kind in CARD.items())
        is_card &= all(isinstance(found.get(name, ""), str) for name in WORDS)
        is_card &= isinstance(inner["lr"] + found["config"]["fast_blocks"], int | float)
        is_card &= "start" not in found or files.fits(found["start"], START)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise ValueError(_damaged_card(path, error)) from error
    if not is_card:
        wrong = f"{', '.join(CARD)} or start are of other types"
        raise ValueError(_damaged_card(path, wrong))
    return Fields(found | {"config": Fields(found["config"], path)}, path)


def kept() -> dict[str, dict]:
    """The cards of the models that `ttt-lab model add` keeps here, by name.

    The lab's adapters (`ADAPTERS`) are among them as soon as the model that they go
    into is here. A card that is damaged is left out.
    """
    added = folders.models().glob("[!.]*/*.json")
    found = _whole_cards(path for path in added if path.stem == path.parent.name)
    here = [{"name": n, "sha256": card["sha256"]} for n, card in found.items()]
    fit = {n: card for n, card in adapters().items() if card.get("start") in here}
    return found | fit


def adapters() -> dict[str, dict]:
    """The cards of the lab's own weights for pretrained models, by name."""
    return _whole_cards(ADAPTERS.glob("*.json"))


def adapter_of(model: str) -> str | None:
    """The lab's weights with which a model that is here learns while it reads.

    None if there are none for it, or for other weights of that name.
    """
    given = card(model)
    meant = {"name": given.get("name", model), "sha256": given["sha256"]}
    found = (name for name, card in adapters().items() if card.get("start") == meant)
    return next(found, None)


def _whole_cards(paths: Iterable[Path]) -> dict[str, dict]:
    found = {}
    for path in sorted(paths):
        with contextlib.suppress(ValueError, OSError):
            found[path.stem] = read_card(path)
    return found


def load(name: str | os.PathLike):
    """The model published or kept here under `name`, a run's newest, or one at a path.

    **Raises** `FileNotFoundError` if there is no such model, `ValueError` if card or
    weights are damaged, or the weights not those that the card was written for.

    >>> model = load("tiny-e2e")
    """
    path = _card_path(name)
    described = read_card(path)
    weights = path.with_name(described.get("weights", path.stem) + ".safetensors")
    try:
        config = config_from_dict(described["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(_damaged_card(path, error)) from error
    if "start" not in described:
        return _load_weights(weights, described, config)
    model = start_from(described["start"]["name"], config, described["start"]["sha256"])
    return _load_part(weights, described, model)


def start_from(name: str | os.PathLike, config, sha256: str | None = None):
    """The model `name` with fast weights as `config` says: where a warm start begins.

    `sha256`: the hash of the weights that are meant, None = whatever is there.

    **Raises** what `load` raises, `ValueError` if weights or shapes are others.
    """
    import jax

    from ttt_core.warm_start import with_fast_weights

    try:
        found = card(name)["sha256"]
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"This model begins from {name}, which is not here: `ttt-lab model add "
            f"{name}` first."
        ) from error
    if sha256 not in (None, found):
        raise ValueError(
            f"{name} has weights of the hash {found[:12]}, and this model begins from "
            f"{sha256[:12]}: add or train the {name} that it was made from."
        )
    given, has_window = load(name), {"window", "sinks"} & set(config.mixers)
    model = with_fast_weights(
        given,
        fast_blocks=config.fast_blocks,
        window=config.window if has_window else None,
        sinks=config.sinks if "sinks" in config.mixers else 0,
        chunk=config.chunk,
        in_place=config.in_place,
        d_fast=None if config.in_place else config.d_fast,
        lr=config.inner.lr,
        clip=config.inner.clip,
        key=jax.random.key(0),
    )
    if different := _differences(model.config, config):
        raise ValueError(
            f"{name} cannot become this model: {', '.join(different)} would be "
            "different."
        )
    return dataclasses.replace(model, config=config)


def _differences(a, b) -> list[str]:
    """Fields of two configurations that decide shapes or numbers, and differ."""
    free = ("inner", "compute_dtype", "kernel", "init_std", "rope_theta")
    names = (field.name for field in dataclasses.fields(a) if field.name not in free)
    return [name for name in names if getattr(a, name) != getattr(b, name)]


def save(path: str | os.PathLike, model, card: dict, part=None) -> Path:
    """Write `path`.safetensors and `path`.json, and return the path of the card.

    Configuration and hash are added to the card. Both files appear whole or not at all.
    `part`: the arrays that are written, a tree like the model with None elsewhere, for
    a model whose card says where the others are (`start`); None = all.
    """
    from safetensors.numpy import save as to_bytes

    path, part = Path(path), model if part is None else part
    data = to_bytes(_named_arrays(part), metadata={"format": "ttt-e2e-lab"})
    described = {
        "name": path.name,
        "config": config_to_dict(model.config),
        "parameters": int(sum(a.size for a in _named_arrays(model).values())),
        **_remark(model.config),
        **card,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    files.write(path.with_name(path.name + ".safetensors"), data)
    text = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
    return files.write(path.with_name(path.name + ".json"), text)


def _remark(config) -> dict:
    from ttt_core.mixers import remark_on

    remark = remark_on(config)
    return {"remark": remark} if remark else {}


def config_to_dict(config) -> dict:
    """A `ModelConfig` as plain JSON data (infinity as a word).

    Fields that older cards lack (`ADDED`) are left out at their defaults, so that a
    model keeps its old hash.
    """
    data = dataclasses.asdict(config)
    for field in dataclasses.fields(config):
        if field.name in ADDED and data[field.name] == field.default:
            del data[field.name]
    if math.isinf(data["inner"]["clip"]):
        data["inner"]["clip"] = "inf"
    return data | {"mixers": list(config.mixers)}


def config_from_dict(data: dict):
    """The `ModelConfig` that `config_to_dict` wrote."""
    import ttt_core as ttt

    inner = dict(data["inner"])
    inner["clip"] = float(inner["clip"])
    fields = data | {"mixers": tuple(data["mixers"]), "inner": ttt.InnerConfig(**inner)}
    return ttt.ModelConfig(**fields)


def model_hash(model) -> str:
    """sha256 of a model's configuration and weights: which model made this stream?"""
    digest = hashlib.sha256(json.dumps(config_to_dict(model.config)).encode())
    for name, array in _named_arrays(model).items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save_stream(
    path: str | os.PathLike, state, model, about: dict[str, str] | None = None
) -> Path:
    """Write a `StreamState` to one file, marked with the hash of its model.

    State and model may be given in either order, as `ttt_core` takes the model first.
    `about`: more marks, which `stream_marks` gives back.

    **Raises** `TypeError` where the two are not a state and a model.
    """
    from safetensors.numpy import save as to_bytes

    state, model = state_first(state, model, "save_stream")
    marks = {**(about or {}), "format": STREAMS[-1], "model": model_hash(model)}
    arrays = _named_arrays(state)
    marks["sha256"] = _hash_of(arrays)
    return files.write(path, to_bytes(arrays, metadata=marks))


def state_first(state, model, called: str):
    """State and model, which may be given in either order.

    **Raises** `TypeError` naming the function `called`, where they are not these two.
    """
    import ttt_core as ttt

    if isinstance(state, ttt.Transformer) and isinstance(model, ttt.StreamState):
        state, model = model, state
    if isinstance(state, ttt.StreamState) and isinstance(model, ttt.Transformer):
        return state, model
    raise TypeError(
        f"{called} takes a path, a state and the state's model: got "
        f"{type(state).__name__} and {type(model).__name__}; call "
        f"{called}(path, state, model)."
    )


def load_stream(path: str | os.PathLike, model):
    """The `StreamState` at `path`, which continues bit-identically.

    **Raises** `ValueError` for the stream of another model or a file that is not a
    stream, `FileNotFoundError` if there is no file.
    """
    import ttt_core as ttt

    path = Path(path)
    marks = stream_marks(path)
    if marks["model"] != model_hash(model):
        raise ValueError(
            f"{path} is a stream of another model (hash {marks['model'][:12]}, this "
            f"model's is {model_hash(model)[:12]}), whose fast weights do not fit "
            "this model; load the model that the stream was saved with."
        )
    # The same model has the same shapes, except the length of attention's buffers.
    skeleton = ttt.init_state(model)
    arrays = _renamed(_read_arrays(path), skeleton)
    state = _fill(skeleton, arrays, path)
    _check_stream(state, model, path)
    _check_seal(path, arrays, marks)
    return state


def _hash_of(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _check_seal(path: Path, arrays: Mapping[str, np.ndarray], marks: dict[str, str]):
    """Check that a stream holds what was written; older files have no hash."""
    if marks.get("sha256", "") not in ("", _hash_of(arrays)):
        raise ValueError(
            f"{path} is damaged: its arrays are not those that were written; take a "
            "copy, or read the document again."
        )


def stream_marks(path: str | os.PathLike) -> dict[str, str]:
    """The marks of a saved stream: its format, its model's hash, and what was added.

    **Raises** `ValueError` for a file that is not a stream, `FileNotFoundError` if
    there is no file.
    """
    marks = _marks(Path(path))
    if marks.get("format") not in STREAMS:
        raise ValueError(f"{path} is not a saved stream; `save_stream` writes one.")
    return marks


def _damaged_card(path: Path, why: object) -> str:
    why = f"there is no {why}" if isinstance(why, KeyError) else why
    return f"{path} is not the card of a model, or is damaged ({why}); {RESTORE}."


def _load_weights(weights: Path, described: dict, config):
    import equinox as eqx
    import jax

    _check_hash(weights, described)
    skeleton = eqx.filter_eval_shape(config.build, key=jax.random.key(0))
    arrays = _read_arrays(weights)
    model = _fill(skeleton, arrays, weights)
    _check_shapes(skeleton, model, weights)
    return model


def _check_hash(weights: Path, described: dict):
    """Check that the weights are there and those that the card was written for."""
    if not weights.exists():
        raise FileNotFoundError(f"{weights} is missing beside its card.")
    found = tensors.sha256(weights)
    if found != described["sha256"]:
        raise ValueError(
            f"{weights} has sha256 {found[:12]}..., but its card says "
            f"{described['sha256'][:12]}...: the file is damaged or was replaced; "
            f"{RESTORE}."
        )


def _load_part(weights: Path, described: dict, model):
    """The model with those arrays replaced that the file holds."""
    import jax
    import jax.numpy as jnp

    _check_hash(weights, described)
    arrays, wanted = _read_arrays(weights), list(names(model))
    if extra := set(arrays) - set(wanted):
        raise ValueError(
            f"{weights} does not fit its configuration: not expected "
            f"{sorted(extra)[:3]}."
        )
    leaves, structure = jax.tree.flatten(model)
    for i, (name, leaf) in enumerate(zip(wanted, leaves, strict=True)):
        if name in arrays:
            _check_numbers(weights, name, arrays[name], leaf.dtype)
            _check_shape(weights, name, arrays[name].shape, leaf.shape)
            leaves[i] = jnp.array(arrays[name], leaf.dtype)
    return jax.tree.unflatten(structure, leaves)


def _fill(skeleton, arrays: Mapping[str, np.ndarray], path: Path):
    import jax
    import jax.numpy as jnp

    wanted = list(names(skeleton))
    missing, extra = set(wanted) - set(arrays), set(arrays) - set(wanted)
    if missing or extra:
        raise ValueError(
            f"{path} does not fit its configuration: missing {sorted(missing)[:3]}, "
            f"not expected {sorted(extra)[:3]}."
        )
    leaves, structure = jax.tree.flatten(skeleton)
    filled = []
    for name, leaf in zip(wanted, leaves, strict=True):
        array = arrays[name]
        _check_numbers(path, name, array, leaf.dtype)
        if array.ndim != len(leaf.shape):
            _check_shape(path, name, array.shape, leaf.shape)
        filled.append(jnp.array(array))  # a copy: the file may be gone tomorrow
    return jax.tree.unflatten(structure, filled)


def _check_numbers(path: Path, name: str, array: np.ndarray, wanted: np.dtype):
    """Check that an array holds numbers of the right kind, all of them finite."""
    is_float = np.dtype(wanted).kind not in "iub"  # bfloat16 is of kind V
    kind = "f" if array.dtype.name == "bfloat16" else array.dtype.kind
    if kind != ("f" if is_float else np.dtype(wanted).kind):
        raise ValueError(
            f"{path}: {name} holds {array.dtype} where {wanted} belongs; {RESTORE}."
        )
    if wrong := int(array.size - np.isfinite(array).sum()):
        raise ValueError(
            f"{path}: {wrong:,} of the {array.size:,} numbers of {name} are NaN or "
            f"infinite; {RESTORE}."
        )


def _renamed(arrays: Mapping[str, np.ndarray], skeleton) -> dict[str, np.ndarray]:
    """A stream's arrays by today's names.

    Format 1 called the mixers' states `states.slow` and `states.fast`.
    """
    then = lambda name: re.sub(r"^mixers\.(slow|fast)_blocks\.", r"states.\1.", name)
    today = {then(name): name for name in names(skeleton)}
    return {today.get(name, name): array for name, array in arrays.items()}


def _check_stream(state, model, path: Path):
    """Check the shapes and the counters of a stream that was read from a file."""
    import equinox as eqx

    import ttt_core as ttt
    from ttt_core.mixers.full import capacity_of

    empty = lambda: ttt.init_state(model, capacity=capacity_of(state.mixers) or 1)
    _check_shapes(eqx.filter_eval_shape(empty), state, path)
    limits = {"n_open": model.config.chunk, "open": model.config.vocab - 1}
    for name in ("n_open", "open", "position"):
        found = np.asarray(getattr(state, name))
        if found.min() < 0 or found.max() > limits.get(name, found.max()):
            raise ValueError(f"{path}: {name} is {found}, which cannot be; {RESTORE}.")


def _check_shapes(skeleton, model, path: Path):
    import jax

    leaves = zip(jax.tree.leaves(skeleton), jax.tree.leaves(model), strict=True)
    for name, (wanted, leaf) in zip(names(skeleton), leaves, strict=True):
        _check_shape(path, name, leaf.shape, wanted.shape)


def _check_shape(path: Path, name: str, found: tuple, wanted: tuple):
    if found != wanted:
        raise ValueError(
            f"{path}: {name} has shape {list(found)}, its configuration says "
            f"{list(wanted)}."
        )


def names(tree) -> Iterator[str]:
    """What the arrays of a tree are called in a file, in the tree's order."""
    import jax

    for path, _ in jax.tree_util.tree_leaves_with_path(tree):
        yield ".".join(_key(part) for part in path)


def _key(part) -> str:
    for field in ("name", "key", "idx"):
        if hasattr(part, field):
            return str(getattr(part, field))
    return str(part)


def _named_arrays(tree) -> dict[str, np.ndarray]:
    import equinox as eqx
    import jax

    arrays = eqx.filter(tree, eqx.is_array)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(arrays)]
    return dict(zip(names(arrays), leaves, strict=True))


def _read_arrays(path: Path) -> Mapping[str, np.ndarray]:
    try:
        return tensors.Tensors(path)
    except ValueError as error:
        raise ValueError(f"{str(error).removesuffix('.')}; {RESTORE}.") from error


def _marks(path: Path) -> dict:
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise FileNotFoundError(f"There is no saved stream at {path}.")
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a saved stream: {error}.") from error


def _card_path(name: str | os.PathLike) -> Path:
    given = Path(name)
    stem = given.with_suffix("") if given.suffix in (".json", ".safetensors") else given
    published = [folder / f"{stem}.json" for folder in (PUBLISHED, ADAPTERS)]
    for path in (*published, stem.with_name(stem.name + ".json")):
        if path.exists():
            return path
    own = folders.models() / stem.name / f"{stem.name}.json"
    if stem == Path(stem.name) and own.exists():
        return own
    for folder in (given, files.runs() / given):
        if path := _card_in(folder):
            return path
    known = [path.stem for path in PUBLISHED.glob("*.json")]
    known += kept()
    known += [path.parent.name for path in files.runs().glob("*/experiment.json")]
    more = "" if known else " Train one with `ttt-lab train tiny-e2e`."
    if str(name) in {c.get("start", {}).get("name") for c in adapters().values()}:
        more = f"\n`ttt-lab model add {name}` fetches it."
    raise FileNotFoundError(unknown("model", str(name), sorted(set(known))) + more)


def _card_in(run: Path) -> Path | None:
    """The card of a run's finished model, else of the last stage done; None = no run.

    **Raises** `FileNotFoundError` if the run has no model yet.
    """
    tuned, about = run / f"{run.name}.json", run / "experiment.json"
    if tuned.exists() or not about.exists():
        return tuned if tuned.exists() else None
    asked = files.read_json(about, EXPERIMENT)
    name, stages = asked["name"], [stage["name"] for stage in asked["stages"]]
    for stem in (name, *(f"{name}-{stage}" for stage in reversed(stages))):
        if (run / f"{stem}.json").exists():
            return run / f"{stem}.json"
    raise FileNotFoundError(
        f"The run {run.name!r} has no model yet: one is saved at the end of each stage "
        f"({', '.join(stages)}). Go on with the command that started the run; "
        f"{run / 'environment.json'} holds it."
    )
