"""What a model is, as two frozen, hashable, validated dataclasses that build it.

Every system the lab compares is a configuration: `mixers` is the pattern of sequence
mixers repeated over the layers, `fast_blocks` counts the last blocks that carry a fast
MLP, and `inner` says how those learn while reading (`lr = 0`: not at all). Numbers in
`inner` other than "does it learn?" are data to the compiled programs: changing them
recompiles nothing.

What a mixer needs of a configuration, the mixer says (`ttt_core.mixers.kind`).
`ttt_core.presets` lists the models there are.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jaxtyping import PRNGKeyArray

from ttt_core.ranges import Range, check_ranges


if TYPE_CHECKING:
    import ttt_core.model


DTYPES = ("float32", "bfloat16")
KERNELS = ("xla", "cudnn")
_WIDTH = 2**24  # of any matrix; whether a model fits a machine is another question
RANGES = {
    "vocab": Range(1, _WIDTH, "entries of the vocabulary"),
    "d_model": Range(1, _WIDTH, "width of the residual stream"),
    "layers": Range(1, 10_000, "number of blocks"),
    "heads": Range(1, _WIDTH, "heads of attention"),
    "kv_heads": Range(1, _WIDTH, "heads of keys and values"),
    "d_ff": Range(0, _WIDTH, "width of the slow MLPs, 0 = no slow MLP"),
    "d_fast": Range(0, _WIDTH, "width of the fast MLPs"),
    "window": Range(1, 2**17, "keys that a token sees, itself included"),
    "chunk": Range(1, 2**17, "tokens between inner steps"),
    "rope_theta": Range(1, 1e12, "base of the rotary positions"),
    "norm_eps": Range(0, 1, "added to squares before a root", is_open=True),
    "init_std": Range(0, 10, "standard deviation of first weights", is_open=True),
    "expand": Range(0, 64, "width of the values, over attention's", is_open=True),
    "state_dim": Range(1, _WIDTH, "width of the keys of a recurrent mixer"),
    "taps": Range(1, 1024, "length of the short convolutions"),
    "bind_chunk": Range(0, 2**17, "tokens between two bindings, 0 = `chunk`"),
    "qk_gain": Range(0, 1000, "start of the QK norms' weights", is_open=True),
    "sinks": Range(1, 1024, "first tokens that stay visible"),
    "qkv_taps": Range(0, 1024, "length of attention's convolutions, 0 = none"),
    "head_width": Range(0, _WIDTH, "width of a head, 0 = d_model / heads"),
}


@dataclasses.dataclass(frozen=True)
class InnerConfig:
    """The inner loop: how fast weights learn from each chunk (paper, equation 5).

    `lr`: inner learning rate, 0 = no learning at test time. `clip`: global norm that
    the chunk's gradient is clipped to before the step, `math.inf` = no clipping.
    `rule`: the update rule, a name in `ttt_core.rules.RULES`.
    """

    lr: float = 1.0
    clip: float = 1.0
    rule: str = "sgd"

    def __post_init__(self):
        if not (self.lr >= 0 and math.isfinite(self.lr)):
            raise ValueError(
                f"`inner.lr` must be a finite number >= 0: got {self.lr}; "
                "0 switches learning off, the paper uses 1.0."
            )
        if not self.clip > 0:
            raise ValueError(
                f"`inner.clip` must be > 0: got {self.clip}; "
                "use math.inf for no clipping, the paper uses 1.0."
            )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Everything that decides a model's shapes and mathematics.

    `mixers` names one sequence mixer per block, as `ttt_core.mixers.KINDS` does, and is
    repeated over the `layers`. The last `fast_blocks` blocks carry a fast MLP of hidden
    width `d_fast` between their mixer and their slow MLP of width `d_ff` (0 = no slow
    MLP). `window` is the number of keys a token sees, itself included; `chunk` the
    number of tokens between inner steps.

    `compute_dtype` is that of activations and matrix products; parameters, fast
    weights, norms, rotary angles and losses are at least float32 always. `kernel` picks
    the attention of the blocks below the first fast one when a whole sequence is read
    (they are differentiated once): "xla" anywhere, "cudnn" on NVIDIA GPUs.

    Only recurrent mixers read the last four, as their files say. `expand`: width of the
    values or of a hidden layer, over attention's. `state_dim`: width of the keys.
    `taps`: length of the short convolutions. `bind_chunk`: tokens between two bindings
    of keys to values (0 = `chunk`).

    `qk_gain`: where the weights of the QK norms start. A score is at most `qk_gain^2 *
    sqrt(head_dim)`, and to single out one key of `n` it takes a lead of `log n`.
    `qkv_taps`: length of attention's short convolutions on queries, keys and values
    (`ttt_core.mixers.convolution`), 0 = none.

    `sinks`: first tokens of a text that the mixer "sinks" keeps in sight. `in_place`:
    whether a fast block's fast MLP is its only one, as where the MLPs of a pretrained
    model learn while reading (`ttt_core.warm_start`).

    Pretrained models need three more, for attention only. `qkv_bias`: biases on
    queries, keys and values. `head_width`: width of a head, 0 = `d_model / heads`.
    `rope_factors`: what the rotary frequencies are divided by, one number a pair (Llama
    3's scaling), () = nothing.

    **Raises** `ValueError` with the offending value and a fix for every inconsistency.
    """

    vocab: int
    bos: int
    d_model: int
    layers: int
    heads: int
    d_ff: int
    window: int
    chunk: int
    fast_blocks: int = 0
    d_fast: int = 0
    mixers: tuple[str, ...] = ("window",)
    kv_heads: int = 0
    qk_norm: bool = True
    post_norm: bool = True
    tied: bool = True
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-6
    init_std: float = 0.02
    compute_dtype: str = "float32"
    kernel: str = "xla"
    expand: float = 2.0
    state_dim: int = 64
    taps: int = 4
    bind_chunk: int = 0
    inner: InnerConfig = InnerConfig()
    qk_gain: float = 1.0
    qkv_taps: int = 0
    sinks: int = 4
    in_place: bool = False
    qkv_bias: bool = False
    head_width: int = 0
    rope_factors: tuple[float, ...] = ()

    def __post_init__(self):
        _default(self, "kv_heads", self.heads)
        _default(self, "d_fast", self.d_ff)
        object.__setattr__(self, "mixers", tuple(self.mixers))
        object.__setattr__(self, "rope_factors", tuple(self.rope_factors))
        _check_sizes(self)
        _check_names(self)
        _check_heads(self)
        _check_mixers(self)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.head_width or self.d_model // self.heads

    @property
    def rope(self) -> "float | tuple[float, ...]":
        """What rotary positions are made of: their base, or their scaled frequencies.

        Frequencies are radians a token, one for each pair of a head.
        """
        from ttt_core.layers import rotary_frequencies

        if not self.rope_factors:
            return self.rope_theta
        plain = rotary_frequencies(self.rope_theta, self.head_dim)
        return tuple((plain / self.rope_factors).tolist())

    @property
    def kinds(self) -> tuple[str, ...]:
        """The mixer of each block, `[layers]` names."""
        return tuple(self.mixers[i % len(self.mixers)] for i in range(self.layers))

    @property
    def learns(self) -> bool:
        """Whether reading changes weights: a static fact, decided before compiling."""
        return self.inner.lr > 0 and self.fast_blocks > 0

    @property
    def bind_every(self) -> int:
        """Tokens between two bindings, `bind_chunk` or else `chunk`."""
        return self.bind_chunk or self.chunk

    @property
    def reach(self) -> int | None:
        """Tokens back that information travels through all blocks' mixers together.

        None where nothing limits it: in full attention, and in a recurrent state. What
        a model still knows of text further back is in its fast weights.
        """
        from ttt_core.mixers import kinds_of

        reaches = [kind.reach(self) for kind in kinds_of(self)]
        return None if None in reaches else sum(reaches)

    def build(self, *, key: PRNGKeyArray) -> "ttt_core.model.Transformer":
        """A freshly initialised model: Normal(0, init_std) matrices, norms at one."""
        from ttt_core.model import build

        return build(self, key=key)

    def replace(self, **changes) -> "ModelConfig":
        """A copy with changes; `lr`, `clip` and `rule` reach into `inner`."""
        inner = {k: changes.pop(k) for k in ("lr", "clip", "rule") if k in changes}
        if inner:
            base = changes.get("inner", self.inner)
            changes["inner"] = dataclasses.replace(base, **inner)
        return dataclasses.replace(self, **changes)


def _default(config: ModelConfig, field: str, value: int):
    if getattr(config, field) == 0:
        object.__setattr__(config, field, value)


def _check_least(config: ModelConfig, name: str, least: int):
    if getattr(config, name) < least:
        raise ValueError(f"`{name}` must be >= {least}: got {getattr(config, name)}.")


def _check_sizes(config: ModelConfig):
    check_ranges(config, RANGES)
    if not 0 <= config.bos < config.vocab:
        raise ValueError(
            f"`bos` must be an entry of the vocabulary: got bos={config.bos} with "
            f"vocab={config.vocab}; use a value from 0 to {config.vocab - 1}."
        )
    if not 0 <= config.fast_blocks <= config.layers:
        raise ValueError(
            f"`fast_blocks` must be from 0 to layers: got fast_blocks="
            f"{config.fast_blocks} with layers={config.layers}; take a quarter."
        )
    if config.fast_blocks and config.d_fast < 1:
        raise ValueError(
            f"`d_fast` must be >= 1 where fast_blocks > 0: got {config.d_fast} "
            "(it takes the value of d_ff unless given)."
        )


def _check_names(config: ModelConfig):
    from ttt_core.mixers import KINDS
    from ttt_core.rules import RULES

    if not config.mixers:
        raise ValueError("`mixers` must name at least one mixer: got an empty tuple.")
    for name in config.mixers:
        _check_choice("mixers", name, KINDS)
    _check_choice("compute_dtype", config.compute_dtype, DTYPES)
    _check_choice("kernel", config.kernel, KERNELS)
    _check_choice("inner.rule", config.inner.rule, RULES)


def _check_choice(field: str, value: str, choices: Iterable[str]):
    if value not in choices:
        raise ValueError(
            f"`{field}` does not know {value!r}{suggest(value, choices)} "
            f"Known: {', '.join(choices)}."
        )


def _check_heads(config: ModelConfig):
    if config.d_model % config.heads and not config.head_width:
        sizes = range(1, min(config.d_model, 4 * config.heads, 4096) + 1)
        fits = [n for n in sizes if config.d_model % (2 * n) == 0] or [1]
        near = sorted(sorted(fits, key=lambda n: abs(n - config.heads))[:3])
        raise ValueError(
            f"`d_model` must be divisible by `heads`: got d_model={config.d_model}, "
            f"heads={config.heads}; use heads={' or '.join(map(str, near))}."
        )
    if config.heads % config.kv_heads:
        raise ValueError(
            f"`heads` must be divisible by `kv_heads`: got heads={config.heads}, "
            f"kv_heads={config.kv_heads}."
        )


def _check_mixers(config: ModelConfig):
    from ttt_core.mixers import KINDS, kinds_of

    for kind in KINDS.values():
        for name, least in kind.least.items():
            _check_least(config, name, least)
    for kind in dict.fromkeys(kinds_of(config)):
        kind.check(config)
    recurrent = [kind.name for kind in kinds_of(config) if kind.is_recurrent]
    _check_attention_only(config, recurrent)


def _check_attention_only(config: ModelConfig, recurrent: list[str]):
    """Refuse what pretrained attention has, where another mixer has no place for it."""
    for field in ("qkv_bias", "head_width", "rope_factors"):
        if recurrent and getattr(config, field):
            raise ValueError(
                f"`{field}` is for attention only: got {getattr(config, field)} with "
                f"the mixer {recurrent[0]!r}; leave it out."
            )
    factors, half = config.rope_factors, config.head_dim // 2
    are_good = all(factor > 0 and math.isfinite(factor) for factor in factors)
    if factors and (len(factors) != half or not are_good):
        raise ValueError(
            f"`rope_factors` must be {half} numbers > 0, one for each pair of a head: "
            f"got {len(factors)}, the least {min(factors)}."
        )


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on a mistyped name: the name meant, if one is close.

    >>> suggest("windw", ("window", "full")), suggest("xyz", ("window", "full"))
    ("; did you mean 'window'?", '.')
    """
    near = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else "."
