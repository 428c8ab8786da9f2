"""What a model is, as two frozen, hashable, validated dataclasses that build it.

Every system the lab compares is a configuration: `mixers` is the pattern of sequence
mixers repeated over the layers, `fast_blocks` counts the last blocks that carry a fast
MLP, and `inner` says how those learn while reading (`lr = 0`: not at all). Numbers in
`inner` other than "does it learn?" are data to the compiled programs: changing them
recompiles nothing.

`preset(name)` gives the small models we ship and the paper's sizes (section 4, table
3).
"""

import dataclasses
import difflib
import math

from jaxtyping import PRNGKeyArray


MIXERS = ("window", "full", "mamba2", "gated_delta", "kv_binding", "none")
RECURRENT = ("mamba2", "gated_delta", "kv_binding")
DTYPES = ("float32", "bfloat16")
KERNELS = ("xla", "cudnn")


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

    `mixers` names one sequence mixer per block and is repeated over the `layers`. The
    last `fast_blocks` blocks carry a fast MLP of hidden width `d_fast` between their
    mixer and their slow MLP of width `d_ff` (0 = no slow MLP). `window` is the number
    of keys a token sees, itself included; `chunk` the number of tokens between inner
    steps.

    `compute_dtype` is that of activations and matrix products; parameters, fast
    weights, norms, rotary angles and losses are at least float32 always. `kernel` picks
    the attention of the blocks below the first fast one when a whole sequence is read
    (they are differentiated once): "xla" anywhere, "cudnn" on NVIDIA GPUs.

    The last four are read by recurrent mixers only. `expand` is the width of their
    values over `d_model` ("mamba2", "gated_delta"), or of the hidden layer over
    `head_dim` ("kv_binding"); `state_dim` the width of keys in "mamba2" and in each
    head of "gated_delta"; `taps` the length of their short convolutions; `bind_chunk`
    the tokens between two bindings of "kv_binding" (0 = `chunk`).

    Raises `ValueError` with the offending value and a fix for every inconsistency.
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

    def __post_init__(self):
        _default(self, "kv_heads", self.heads)
        _default(self, "d_fast", self.d_ff)
        object.__setattr__(self, "mixers", tuple(self.mixers))
        _check_sizes(self)
        _check_names(self)
        _check_attention(self)
        _check_recurrent(self)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.d_model // self.heads

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
        """Tokens that "kv_binding" learns at once."""
        return self.bind_chunk or self.chunk

    @property
    def reach(self) -> int:
        """How many tokens back attention can carry information, `layers * (window -
        1)`.

        Only meaningful where every mixer is a sliding window; beyond it, whatever the
        model still knows is in its fast weights.
        """
        return self.layers * (self.window - 1)

    def build(self, *, key: PRNGKeyArray):
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


def _check_sizes(config: ModelConfig):
    sizes = ("vocab", "d_model", "layers", "heads", "kv_heads", "window", "chunk")
    for name in sizes:
        if getattr(config, name) < 1:
            raise ValueError(f"`{name}` must be >= 1: got {getattr(config, name)}.")
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
    if config.d_ff < 0:
        raise ValueError(f"`d_ff` must be >= 0 (0 = no slow MLP): got {config.d_ff}.")


def _check_names(config: ModelConfig):
    if not config.mixers:
        raise ValueError("`mixers` must name at least one mixer: got an empty tuple.")
    for name in config.mixers:
        _check_choice("mixers", name, MIXERS)
    _check_choice("compute_dtype", config.compute_dtype, DTYPES)
    _check_choice("kernel", config.kernel, KERNELS)
    from ttt_core.rules import RULES

    _check_choice("inner.rule", config.inner.rule, tuple(RULES))


def _check_choice(field: str, value: str, choices: tuple[str, ...]):
    if value not in choices:
        raise ValueError(
            f"`{field}` does not know {value!r}; did you mean "
            f"{closest(value, choices)!r}? Known: {', '.join(choices)}."
        )


def _check_attention(config: ModelConfig):
    if config.d_model % config.heads:
        sizes = range(1, config.d_model + 1)
        fits = [n for n in sizes if config.d_model % (2 * n) == 0] or [1]
        near = sorted(sorted(fits, key=lambda n: abs(n - config.heads))[:3])
        raise ValueError(
            f"`d_model` must be divisible by `heads`: got d_model={config.d_model}, "
            f"heads={config.heads}; use heads={' or '.join(map(str, near))}."
        )
    if config.head_dim % 2 and set(config.kinds) - {"none"}:
        raise ValueError(
            f"rotary positions need an even head width: got d_model / heads = "
            f"{config.head_dim}; use fewer heads or another d_model."
        )
    if config.heads % config.kv_heads:
        raise ValueError(
            f"`heads` must be divisible by `kv_heads`: got heads={config.heads}, "
            f"kv_heads={config.kv_heads}."
        )
    windows = {"window", "kv_binding"} & set(config.kinds)
    if windows and config.chunk > config.window:
        raise ValueError(
            f"`chunk` must not exceed `window`, or tokens leave the window before "
            f"they are learned from: got chunk={config.chunk}, window={config.window}; "
            f"use chunk <= {config.window}."
        )


def _check_recurrent(config: ModelConfig):
    for name, least in (("state_dim", 1), ("taps", 1), ("bind_chunk", 0)):
        if getattr(config, name) < least:
            raise ValueError(
                f"`{name}` must be >= {least}: got {getattr(config, name)}."
            )
    # Mamba 2 has more heads of the same width, the others have wider ones
    count = config.heads if "mamba2" in config.kinds else config.head_dim
    whole = config.expand * count
    if set(config.kinds) & set(RECURRENT) and (whole < 1 or whole % 1):
        unit = "heads" if count == config.heads else "the head width"
        raise ValueError(
            f"`expand` times {unit} must be a whole number >= 1: got expand="
            f"{config.expand}, {unit}={count}; use a multiple of 1/{count}."
        )
    if "kv_binding" in config.kinds and config.bind_every > config.window:
        raise ValueError(
            f"`bind_chunk` must not exceed `window`, or tokens leave the window before "
            f"they are bound: got bind_chunk={config.bind_every}, "
            f"window={config.window}; use bind_chunk <= {config.window}."
        )


def closest(name: str, known) -> str:
    """The known name nearest to a mistyped one."""
    known = [str(k) for k in known]
    return (difflib.get_close_matches(str(name), known, n=1, cutoff=0.0) or known)[0]


def _paper(layers, d_model, heads, base_ff) -> ModelConfig:
    """A paper size: a quarter fast, FFNs narrowed to keep the parameter count."""
    fast_blocks = layers // 4
    width = math.ceil(base_ff * layers / (layers + fast_blocks) / 128) * 128
    return ModelConfig(
        vocab=128_256,
        bos=128_000,
        d_model=d_model,
        layers=layers,
        heads=heads,
        d_ff=width,
        fast_blocks=fast_blocks,
        window=8192,
        chunk=1024,
        rope_theta=500_000.0,
        compute_dtype="bfloat16",
    )


_NANO = ModelConfig(
    vocab=257,
    bos=256,
    d_model=32,
    layers=4,
    heads=2,
    d_ff=64,
    fast_blocks=1,
    window=32,
    chunk=16,
    init_std=0.1,
)

_TINY = ModelConfig(
    vocab=4096,
    bos=4095,
    d_model=128,
    layers=6,
    heads=2,
    d_ff=384,
    fast_blocks=2,
    window=128,
    chunk=64,
    init_std=0.05,
)

_TOY = ModelConfig(
    vocab=4096,
    bos=4095,
    d_model=128,
    layers=2,
    heads=2,
    d_ff=0,
    d_fast=512,
    fast_blocks=2,
    window=128,
    chunk=1,
    mixers=("none",),
    init_std=0.05,
)


def _recurrent(*mixers: str, **sizes) -> ModelConfig:
    """tiny-swa with other mixers; `d_ff` pays for the wider ones.

    The paper does not publish its ratio of recurrent blocks to windows; one to one is
    Samba's, and that of Gated DeltaNet's own hybrids. KV binding has its window in each
    layer. Widths are those of each mixer's paper.
    """
    return _TINY.replace(lr=0.0, mixers=mixers, **sizes)


PRESETS: dict[str, ModelConfig] = {
    "nano": _NANO,
    "toy": _TOY.replace(lr=0.1),  # of many small steps: one after every token
    "tiny-e2e": _TINY,
    "tiny-swa": _TINY.replace(lr=0.0),
    "tiny-naive": _TINY,  # of tiny-swa's weights: they learn, and never learned to
    "tiny-full": _TINY.replace(lr=0.0, mixers=("full",)),
    "tiny-hybrid": _TINY.replace(lr=0.0, mixers=("window",) * 5 + ("full",)),
    "tiny-mamba2": _recurrent("mamba2", "window", expand=2.0, state_dim=64, d_ff=320),
    "tiny-gdn": _recurrent("gated_delta", "window", expand=1.5, state_dim=48, d_ff=336),
    "tiny-kvb": _recurrent("kv_binding", expand=1.0, d_ff=312),
    "125m": _paper(layers=12, d_model=768, heads=12, base_ff=2048),
    "350m": _paper(layers=24, d_model=1024, heads=16, base_ff=2816),
    "760m": _paper(layers=24, d_model=1536, heads=16, base_ff=4096),
    "1b": _paper(layers=24, d_model=2048, heads=32, base_ff=5376),
    "3b": _paper(layers=32, d_model=2560, heads=32, base_ff=6912),
}


def preset(name: str) -> ModelConfig:
    """The configuration of a model we ship or of a paper size.

    **Raises** `ValueError` naming the closest known preset.

    >>> preset("tiny-e2e").window
    128
    """
    if name not in PRESETS:
        raise ValueError(
            f"There is no preset {name!r}; did you mean {closest(name, PRESETS)!r}? "
            f"Known: {', '.join(PRESETS)}."
        )
    return PRESETS[name]
