"""Which models there are: the small ones we ship, and the paper's sizes.

`preset(name)` gives a `ModelConfig`; every other system is a change to one
(`config.replace`). The paper's sizes stand in section 4, table 3.
"""

import math

from ttt_core.config import ModelConfig, suggest


def _paper(layers: int, d_model: int, heads: int, base_ff: int) -> ModelConfig:
    """A paper size: a quarter fast, MLPs narrowed to keep the parameter count."""
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
    "toy": _TOY.replace(lr=0.1),  # small steps, since there is one after every token
    "tiny-e2e": _TINY,
    "tiny-swa": _TINY.replace(lr=0.0),
    "tiny-naive": _TINY,  # reads with tiny-swa's weights, which were trained without
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

    **Raises** `ValueError` naming the preset that is close, and all there are.

    >>> preset("tiny-e2e").window
    128
    """
    if name not in PRESETS:
        raise ValueError(
            f"There is no preset {name!r}{suggest(name, PRESETS)} "
            f"Known: {', '.join(PRESETS)}."
        )
    return PRESETS[name]
