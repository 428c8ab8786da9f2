"""The authors' checkpoints: reading them, writing them, and their names for our arrays.

The authors' weights are in Orbax layout, `<directory>/<step>/model_weights/`: zarr
arrays in one OCDBT store, each under its dotted path. A model is twenty arrays, and
their shapes decide everything but window, chunk and the inner loop's numbers:

    language_model.model.
      wte.weight                            the embedding, and (tied) the head
      ln_f.weight                           the final norm
      h.blocks.*                            one stack over all layers, the fast ones too
      h.prime_storage.*                     fast MLPs and their norms, last blocks only

Our slow and fast blocks are separate, so `h.blocks` is both of our stacks, one after
the other. Both layouts have matrices `[in, out]` and interleaved rotary pairs. A
checkpoint without `prime_storage` (the full-attention baselines) is a model without
fast blocks.
"""

from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tensorstore

from ttt_core import InnerConfig, ModelConfig, Transformer
from ttt_core.mixers import kinds_of
from ttt_core.shapes import PyTree
from ttt_core.stacks import Stack


PREFIX = "language_model.model."
BLOCKS = PREFIX + "h.blocks."
FAST = PREFIX + "h.prime_storage."
LLAMA3_VOCAB, LLAMA3_BOS = 128_256, 128_000

Getter = Callable[[PyTree], PyTree]

MODEL_ARRAYS: dict[str, Getter] = {
    PREFIX + "wte.weight": lambda model: model.embed,
    PREFIX + "ln_f.weight": lambda model: model.final_norm.weight,
}
FAST_MLP_ARRAYS: dict[str, Getter] = {
    FAST + "feed_forward_prime.w1.weight": lambda model: model.fast_mlps.gate,
    FAST + "feed_forward_prime.w2.weight": lambda model: model.fast_mlps.down,
    FAST + "feed_forward_prime.w3.weight": lambda model: model.fast_mlps.up,
}
BLOCK_ARRAYS: dict[str, Getter] = {
    BLOCKS + "seq_modeling_block.wq.weight": lambda b: b.mixer.projections.wq,
    BLOCKS + "seq_modeling_block.wk.weight": lambda b: b.mixer.projections.wk,
    BLOCKS + "seq_modeling_block.wv.weight": lambda b: b.mixer.projections.wv,
    BLOCKS + "seq_modeling_block.wo.weight": lambda b: b.mixer.projections.wo,
    BLOCKS + "seq_modeling_block.q_norm.weight": (
        lambda b: b.mixer.projections.q_norm.weight
    ),
    BLOCKS + "seq_modeling_block.k_norm.weight": (
        lambda b: b.mixer.projections.k_norm.weight
    ),
    BLOCKS + "feed_forward.w1.weight": lambda b: b.slow_mlp.gate,
    BLOCKS + "feed_forward.w2.weight": lambda b: b.slow_mlp.down,
    BLOCKS + "feed_forward.w3.weight": lambda b: b.slow_mlp.up,
    BLOCKS + "seq_norm.weight": lambda b: b.around_mixer.pre.weight,
    BLOCKS + "seq_post_norm.weight": lambda b: b.around_mixer.post.weight,
    BLOCKS + "ffn_norm.weight": lambda b: b.around_slow.pre.weight,
    BLOCKS + "ffn_post_norm.weight": lambda b: b.around_slow.post.weight,
}
FAST_BLOCK_ARRAYS: dict[str, Getter] = {
    FAST + "ffn_prime_norm.weight": lambda b: b.around_fast.pre.weight,
    FAST + "ffn_prime_post_norm.weight": lambda b: b.around_fast.post.weight,
}


def load(
    directory: str | Path,
    window: int | None = 8192,
    chunk: int = 1024,
    rope_theta: float = 500_000.0,
    inner_lr: float = 1.0,
    inner_clip: float = 1.0,
    bos: int | None = None,
) -> Transformer:
    """The model of one of the authors' checkpoints, computing in float32.

    `directory`: a step, the folder of steps (the latest is taken), or `model_weights`
    itself. `window=None` reads with full attention. `bos=None` takes 128000 if the
    vocabulary is Llama 3's 128,256, else 0.

    **Raises** `FileNotFoundError` if there is no checkpoint; `ValueError` naming the
    array that is missing or has a shape that does not fit the others.

    >>> model = load("checkpoints/125m_ttt_e2e_pretrain_dclm_8k_1x_cc")
    """
    arrays = read_arrays(directory)
    sizes = _sizes(arrays)
    if bos is None:
        bos = LLAMA3_BOS if sizes["vocab"] == LLAMA3_VOCAB else 0
    config = ModelConfig(
        **sizes,
        bos=bos,
        window=chunk if window is None else window,
        chunk=chunk,
        mixers=("full",) if window is None else ("window",),
        rope_theta=rope_theta,
        inner=InnerConfig(lr=inner_lr, clip=inner_clip),
    )
    return from_arrays(config, arrays)


def save(directory: str | Path, model: Transformer, step: int = 0) -> Path:
    """Write `<directory>/<step>/model_weights/` as the authors do, and return `<step>`.

    **Raises** `ValueError` for a model that does not fit the official layout,
    `FileExistsError` for a step that exists.

    >>> save("exported", model)
    """
    import orbax.checkpoint as ocp  # this takes seconds, and only writing needs it

    if jax.tree.leaves(model.rule):
        raise ValueError(
            f"the inner rule {model.config.inner.rule!r} holds trained arrays, which "
            "the official layout has no place for; export a model with rule='sgd'."
        )
    folder = Path(directory).absolute() / str(step)
    if folder.exists():
        raise FileExistsError(f"{folder} exists; choose another step or remove it.")
    tree = _nested(to_arrays(model))
    handler = ocp.CompositeCheckpointHandler()
    weights = ocp.args.Composite(model_weights=ocp.args.StandardSave(tree))
    with ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(folder, weights)
    return folder


def to_arrays(tree: Transformer) -> dict[str, np.ndarray]:
    """`{official dotted path: array}` of a tree shaped like the model.

    The tree may hold weights, gradients, updates, or any result of `jax.grad` or
    `jax.tree.map`. Parts that are None (say, the slow weights in a gradient of the fast
    ones) are left out.

    **Raises** `ValueError` for a model that does not fit the official layout.

    >>> gradients = to_arrays(eqx.filter_grad(loss)(model))
    """
    _check_layout(tree.config)
    found = {path: get(tree) for path, get in MODEL_ARRAYS.items()}
    stacks = (*tree.slow_stacks, *tree.fast_stacks)
    found |= {path: _over_layers(stacks, get) for path, get in BLOCK_ARRAYS.items()}
    if tree.config.fast_blocks:
        stacks = tree.fast_stacks
        found |= {p: _over_layers(stacks, get) for p, get in FAST_BLOCK_ARRAYS.items()}
        found |= {path: get(tree) for path, get in FAST_MLP_ARRAYS.items()}
    return {path: np.asarray(a) for path, a in found.items() if a is not None}


def from_arrays(config: ModelConfig, arrays: dict[str, np.ndarray]) -> Transformer:
    """The model of this configuration whose weights are `arrays`, in float32.

    **Raises** `ValueError` naming a missing array or a wrong shape.
    """
    _check_layout(config)
    skeleton = eqx.filter_eval_shape(lambda: config.build(key=jax.random.key(0)))
    weights = {p: jnp.asarray(a, jnp.float32) for p, a in arrays.items()}
    _check_shapes(skeleton, weights)
    boundary = config.layers - config.fast_blocks
    blocks = {path: weights[path] for path in BLOCK_ARRAYS}
    slow = _fill_stacks(skeleton.slow_stacks, BLOCK_ARRAYS, _rows(blocks, 0, boundary))
    fast_blocks = _rows(blocks, boundary, config.layers)
    getters, model_getters = BLOCK_ARRAYS, MODEL_ARRAYS
    if config.fast_blocks:
        fast_blocks |= {path: weights[path] for path in FAST_BLOCK_ARRAYS}
        getters = BLOCK_ARRAYS | FAST_BLOCK_ARRAYS
        model_getters = MODEL_ARRAYS | FAST_MLP_ARRAYS
    fast = _fill_stacks(skeleton.fast_stacks, getters, fast_blocks)
    stacks = lambda model: (model.slow_stacks, model.fast_stacks)
    model = eqx.tree_at(stacks, skeleton, (slow, fast))
    return _fill(model, model_getters, weights)


def read_arrays(directory: str | Path) -> dict[str, np.ndarray]:
    """All weights of a checkpoint, `{dotted path: array}`, as stored on disk.

    **Raises** `FileNotFoundError` if there is no checkpoint.
    """
    base = {"driver": "file", "path": f"{find_weights(directory)}/"}
    store = {"driver": "ocdbt", "base": base}
    keys = tensorstore.KvStore.open(store).result().list().result()
    paths = [k.decode().removesuffix("/.zarray") for k in keys if b"/.zarray" in k]
    arrays = {}
    for path in sorted(paths):
        spec = {"driver": "zarr", "kvstore": {**store, "path": f"{path}/"}}
        arrays[path] = tensorstore.open(spec, read=True).result().read().result()
    return arrays


def find_weights(directory: str | Path) -> Path:
    """The `model_weights` folder in, above or below `directory`, of the latest step."""
    directory = Path(directory).absolute()
    steps = [p for p in directory.glob("*") if p.name.isdigit() and p.is_dir()]
    steps = sorted(steps, key=lambda p: int(p.name), reverse=True)
    folders = [p / "model_weights" for p in (directory, *steps)]
    for folder in (directory, *folders):
        if (folder / "manifest.ocdbt").is_file():
            return folder
    raise FileNotFoundError(
        f"there is no checkpoint in {directory}: looked for manifest.ocdbt here, in "
        "model_weights and in numbered step folders; give the folder of the steps."
    )


def _sizes(arrays: dict[str, np.ndarray]) -> dict[str, int]:
    """The fields of `ModelConfig` that the shapes decide."""

    def shape(path: str, axes: int) -> tuple[int, ...]:
        if path not in arrays:
            raise ValueError(
                f"the checkpoint has no array {path!r}; it holds "
                f"{', '.join(sorted(arrays)) or 'nothing'}."
            )
        if arrays[path].ndim != axes:
            raise ValueError(
                f"{path!r} must have {axes} axes: got shape {list(arrays[path].shape)}."
            )
        return arrays[path].shape

    vocab, d_model = shape(PREFIX + "wte.weight", 2)
    layers, head_dim = shape(BLOCKS + "seq_modeling_block.q_norm.weight", 2)
    d_ff = shape(BLOCKS + "feed_forward.w1.weight", 3)[-1]
    fast_blocks = d_fast = 0
    if any(path.startswith(FAST) for path in arrays):
        fast_blocks, _, d_fast = shape(FAST + "feed_forward_prime.w1.weight", 3)
    widths = {"vocab": vocab, "d_model": d_model, "d_ff": d_ff, "d_fast": d_fast}
    depths = {"layers": layers, "fast_blocks": fast_blocks}
    return {**widths, **depths, "heads": d_model // head_dim}


def _check_layout(config: ModelConfig):
    reasons = {
        "an untied head": not config.tied,
        "no QK norm": not config.qk_norm,
        "biases on queries, keys and values": config.qkv_bias,
        "heads of another width than d_model / heads": config.head_width > 0,
        "scaled rotary frequencies": config.rope_factors != (),
        "attention without positions": "unplaced" in config.kinds,
        "short convolutions on queries, keys and values": config.qkv_taps > 0,
        "no post-norms": not config.post_norm,
        "no slow MLPs (d_ff = 0)": config.d_ff == 0,
        "fast MLPs in place of slow ones": config.in_place,
        "attention sinks": "sinks" in config.kinds,
        "blocks without a mixer": not all(kind.build for kind in kinds_of(config)),
        "grouped key and value heads": config.kv_heads != config.heads,
    }
    found = [reason for reason, holds in reasons.items() if holds]
    if found:
        raise ValueError(
            f"the official layout has no place for a model with {' and '.join(found)}; "
            "it holds tied, normed attention blocks, each with a slow MLP."
        )


def _check_shapes(skeleton: Transformer, arrays: dict[str, jax.Array]):
    stacked = jax.tree.map(lambda leaf: np.broadcast_to(0.0, leaf.shape), skeleton)
    for path, expected in to_arrays(stacked).items():
        if path not in arrays:
            raise ValueError(f"the checkpoint has no array {path!r}.")
        if arrays[path].shape != expected.shape:
            raise ValueError(
                f"{path!r} must have shape {list(expected.shape)} to fit the other "
                f"arrays: got {list(arrays[path].shape)}."
            )


def _over_layers(stacks: tuple[Stack, ...], get: Getter):
    """One array of all blocks, `[layers, ...]`, in the order of execution."""
    rows = [_over_repeats([get(block) for block in stack.unit]) for stack in stacks]
    return None if any(row is None for row in rows) else np.concatenate(rows)


def _over_repeats(parts: list):
    if any(part is None for part in parts):
        return None
    row = np.stack([np.asarray(part) for part in parts], axis=1)
    return row.reshape(-1, *row.shape[2:])


def _fill_stacks(
    stacks: tuple[Stack, ...], getters: dict[str, Getter], rows: dict[str, jax.Array]
) -> tuple[Stack, ...]:
    """The stacks with `rows`, `[blocks, ...]` each, cut along their units."""
    filled, start = [], 0
    for stack in stacks:
        size = len(stack.unit)
        stop = start + stack.repeats * size
        unit = tuple(
            _fill(block, getters, _rows(rows, start + i, stop, size))
            for i, block in enumerate(stack.unit)
        )
        filled.append(eqx.tree_at(lambda stack: stack.unit, stack, unit))
        start = stop
    return tuple(filled)


def _fill(tree, getters: dict[str, Getter], values: dict[str, jax.Array]):
    where = lambda tree: [get(tree) for get in getters.values()]
    return eqx.tree_at(where, tree, [values[path] for path in getters])


def _rows(arrays: dict[str, jax.Array], start: int, stop: int, step: int = 1):
    return {path: array[start:stop:step] for path, array in arrays.items()}


def _nested(arrays: dict[str, np.ndarray]) -> dict:
    """`{"a.b": x}` as `{"a": {"b": x}}`."""
    tree: dict = {}
    for path, array in arrays.items():
        *folders, name = path.split(".")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[name] = array
    return tree
