"""Where does each of our arrays come from in a Llama-shaped model?

Llama, SmolLM, Qwen and Mistral are one architecture with switches: embedding, blocks of
attention and gated MLP with one norm before each, a norm, logits. `BLOCK` and `MODEL`
list where our arrays lie in the layout of Hugging Face, whose names everything here
goes by. Two things differ: matrices there are `[out, in]`, and a rotary pair there is
`(i, i + head_dim / 2)` (*halves*), here `(2i, 2i + 1)`. So rows of queries and keys
change places, and attention does not notice.

A `Found` model is its configuration and a function that reads one of its arrays.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lab import checkpoints
from lab.tensors import Spec
from ttt_core import ModelConfig, Transformer


MODEL = {
    "embed": "model.embed_tokens.weight",
    "final_norm.weight": "model.norm.weight",
    "head": "lm_head.weight",
}
BLOCK = {
    "mixer.projections.wq": "self_attn.q_proj.weight",
    "mixer.projections.wk": "self_attn.k_proj.weight",
    "mixer.projections.wv": "self_attn.v_proj.weight",
    "mixer.projections.wo": "self_attn.o_proj.weight",
    "mixer.projections.bq": "self_attn.q_proj.bias",
    "mixer.projections.bk": "self_attn.k_proj.bias",
    "mixer.projections.bv": "self_attn.v_proj.bias",
    "mixer.projections.q_norm.weight": "self_attn.q_norm.weight",
    "mixer.projections.k_norm.weight": "self_attn.k_norm.weight",
    "slow_mlp.gate": "mlp.gate_proj.weight",
    "slow_mlp.up": "mlp.up_proj.weight",
    "slow_mlp.down": "mlp.down_proj.weight",
    "around_mixer.pre.weight": "input_layernorm.weight",
    "around_slow.pre.weight": "post_attention_layernorm.weight",
}
TURNED = ("wq", "wk", "bq", "bk", "q_norm.weight", "k_norm.weight")  # by positions
FLOATS = ("float64", "float32", "float16", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Found:
    """A pretrained model that was found: what it is, and how its arrays are read.

    `specs`: types and shapes of its arrays by Hugging Face's names, `read` gives one of
    them. `halves`: whether a rotary pair is two halves of a head. `tokenizer`: the
    definition for `lab.data.tokenizers`, "" = none came with it. `about`: what its card
    should say.
    """

    config: ModelConfig
    specs: Mapping[str, Spec]
    read: Callable[[str], np.ndarray]
    halves: bool
    tokenizer: str
    about: Mapping[str, object]


def arrays_of(found: Found) -> dict[str, Spec]:
    """Types and shapes of our arrays by our names, in the order of a file.

    A matrix that is published in bfloat16 stays so; anything else becomes float32,
    which holds float16 exactly.

    **Raises** `ValueError` naming an array that is missing, of no use, or of a shape
    that does not fit the configuration.
    """
    _check(found)
    return {
        ours: Spec(_kept_type(found, ours), leaf.shape)
        for ours, leaf in _leaves(found.config).items()
    }


def make_array(found: Found, ours: str) -> np.ndarray:
    """One of our arrays, those of blocks stacked over the repeats of their stack."""
    rows = [_row(found, ours, theirs) for theirs in _sources(found.config)[ours]]
    return np.stack(rows) if ours.startswith("slow_stacks") else rows[0]


def build(found: Found) -> Transformer:
    """The model in memory.

    **Raises** `ValueError` as `arrays_of` does.
    """
    specs, leaves = arrays_of(found), _leaves(found.config)
    arrays = {}
    for name in leaves:
        made = make_array(found, name)
        arrays[name] = jnp.asarray(made, jnp.dtype(specs[name].dtype))
    skeleton = _skeleton(found.config)
    structure = jax.tree.structure(skeleton)
    return jax.tree.unflatten(structure, [arrays[name] for name in leaves])


@functools.lru_cache(maxsize=4)
def _skeleton(config: ModelConfig) -> Transformer:
    return eqx.filter_eval_shape(config.build, key=jax.random.key(0))


def _leaves(config: ModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    skeleton = _skeleton(config)
    leaves = jax.tree.leaves(skeleton)
    return dict(zip(checkpoints.names(skeleton), leaves, strict=True))


@functools.lru_cache(maxsize=4)
def _sources(config: ModelConfig) -> dict[str, list[str]]:
    """For each of our arrays, the arrays that it is made of."""
    firsts, start = [], 0
    for stack in _skeleton(config).slow_stacks:
        firsts.append((start, len(stack.unit), stack.repeats))
        start += stack.repeats * len(stack.unit)
    found = {}
    for ours in _leaves(config):
        if not ours.startswith("slow_stacks."):
            found[ours] = [MODEL[ours]]
            continue
        _, stack, _, place, part = ours.split(".", 4)
        first, unit, repeats = firsts[int(stack)]
        layers = [first + int(place) + unit * i for i in range(repeats)]
        found[ours] = [f"model.layers.{i}.{BLOCK[part]}" for i in layers]
    return found


def _row(found: Found, ours: str, theirs: str) -> np.ndarray:
    array = found.read(theirs)
    if found.halves and ours.endswith(TURNED):
        array = interleave(array, found.config.head_dim)
    return array.T if array.ndim == 2 and ours != "embed" else array


def interleave(a: np.ndarray, head_dim: int) -> np.ndarray:
    """Rows `(i, i + head_dim / 2)` of each head, moved to `(2i, 2i + 1)`.

    >>> interleave(np.arange(8), 8)
    array([0, 4, 1, 5, 2, 6, 3, 7])
    """
    heads = a.reshape(-1, 2, head_dim // 2, *a.shape[1:])  # [heads, 2, half, ...]
    return heads.swapaxes(1, 2).reshape(a.shape)


def _kept_type(found: Found, ours: str) -> str:
    types = {found.specs[theirs].dtype for theirs in _sources(found.config)[ours]}
    is_matrix = len(found.specs[_sources(found.config)[ours][0]].shape) == 2
    return "bfloat16" if is_matrix and types == {"bfloat16"} else "float32"


def _check(found: Found):
    """Check that the arrays are those that the configuration needs, and no others."""
    wanted = dict(_wanted(found.config))
    for name, shape in wanted.items():
        if name not in found.specs:
            raise ValueError(f"the model has no array {name!r}, which it needs.")
        spec = found.specs[name]
        if spec.shape != shape:
            raise ValueError(
                f"{name!r} has shape {list(spec.shape)}, but the configuration says "
                f"{list(shape)}."
            )
        if spec.dtype not in FLOATS:
            raise ValueError(
                f"{name!r} holds {spec.dtype}, which is not supported; supported: "
                f"{', '.join(FLOATS)}."
            )
    ignored = {"lm_head.weight"} if found.config.tied else set()
    extra = [n for n in found.specs if n not in wanted and n not in ignored]
    extra = [name for name in extra if not name.endswith("rotary_emb.inv_freq")]
    if extra:
        raise ValueError(
            f"the model has {len(extra)} arrays that its configuration has no place "
            f"for, such as {sorted(extra)[0]!r}."
        )


def _wanted(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    leaves = _leaves(config)
    for ours, names in _sources(config).items():
        shape = leaves[ours].shape
        shape = shape[1:] if ours.startswith("slow_stacks.") else shape
        turned = shape[::-1] if ours != "embed" else shape
        yield from ((name, turned) for name in names)
