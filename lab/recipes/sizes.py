"""The family's models and budgets by size: one row per size, the same for all systems.

Systems of one size differ in the mixer, in whether they learn while reading and (if
`RATES` has an entry for the system) in the peak rate, never in text, order, length or
schedule. The paper's sizes use the paper's recipe (table 3 and the authors'
configurations): pre-training at 8 K, then an extension at 32 K on 5 % of the tokens,
with twice as many tokens per step. They need a pod and the authors' tokenised data,
which are expected in the current folder (`--set pretrain.corpus=zarr:PATH
extend.corpus=zarr:PATH` names another); `nano`, `tiny` and `small` are ours.
"""

import dataclasses

from lab.recipes.experiment import Experiment, Stage


SIZES = ("tiny", "nano", "small", "125m", "350m", "760m", "1b", "3b")
PAPER = {
    # pre-training rate, steps, batch of 8 K; extension steps
    "125m": (3e-3, 4_800, 64, 120),
    "350m": (1.5e-3, 13_500, 64, 337),
    "760m": (1.25e-3, 29_000, 64, 725),
    "1b": (1e-3, 50_000, 64, 1_250),
    "3b": (8e-4, 52_000, 128, 1_300),
}
# The peak outer rate of `tiny` is 4e-3, unless 2e-3 or 8e-3 was better after 2.4 M
# tokens of the training itself (lab/LOG.md has the tables).
RATES = {"mamba2": 8e-3, "gdn": 8e-3}
# The paper's full attention has no fast MLP, and a slow MLP of this width.
FULL_WIDTH = {"125m": 2048, "350m": 2816, "760m": 4096, "1b": 5376, "3b": 6912}
# The base of full attention's rotary positions grows in the extension. The paper has
# 500 K at 8 K, 2 M at 32 K, 5 M at 64 K; ours grows in proportion to the context.
FULL_THETA = {"tiny": 1e5, "small": 4e4} | dict.fromkeys(PAPER, 2e6)


def experiment(system: str, size: str, **changes) -> Experiment:
    """The experiment `SIZE-SYSTEM`; `changes` turn the size's model into the system's.

    A system whose model does not learn is trained plainly.
    """
    model = model_config(size).replace(**changes)
    tokenizers = {"nano": "bytes", "tiny": "bpe-4k", "small": "bpe-4k"}
    return Experiment(
        name=f"{size}-{system}",
        model=model,
        tokenizer=tokenizers.get(size, "llama-3"),
        stages=stages(size, RATES.get(system, 4e-3)),
        method="meta" if model.learns else "plain",
        decay_norms=size != "tiny",
    )


def model_config(size: str):
    """The meta-trained model of a size, which other systems change."""
    import ttt_core as ttt

    tiny = ttt.preset("tiny-e2e")
    if size == "tiny":
        return tiny.replace(qk_gain=1.5)
    if size == "small":
        wide = dict(d_model=384, layers=8, heads=6, d_ff=1024, d_fast=1024)
        return tiny.replace(**wide, window=256, chunk=128, init_std=0.03)
    return ttt.preset(size)


def rival(size: str, mixers: tuple[str, ...]) -> dict:
    """Changes that turn a size's model into one of the systems without learning.

    At the paper's sizes the model has the paper's shape: no second MLP in any block,
    and a wider slow MLP.
    """
    changes = {"lr": 0.0, "mixers": mixers}
    if size in PAPER:
        changes |= {"fast_blocks": 0, "d_ff": FULL_WIDTH[size]}
    return changes


def recurrent(size: str, *mixers: str, **widths) -> dict:
    """Changes to a size's model: `mixers`, repeated, and the `widths` of the mixers.

    The mixers have more parameters than attention; slow MLPs are narrowed (in steps of
    8) to make up for it, so that all systems of a size are equally large.
    """
    from ttt_core.mixers import KINDS

    changes = rival(size, mixers) | widths
    config = model_config(size).replace(**changes)
    weights = [KINDS[name].weights(config) for name in mixers]
    more = sum(weights) / len(mixers) - KINDS["window"].weights(config)
    d_ff = config.d_ff - more / (3 * config.d_model)
    return changes | {"d_ff": int(d_ff) // 8 * 8}


def head_width(size: str) -> int:
    """Width of an attention head of a size."""
    return model_config(size).head_dim


def stages(size: str, rate: float) -> tuple[Stage, ...]:
    """Pre-training and extension of a size; `nano`, a minute long, has no extension.

    `rate`: the peak outer rate, for `tiny` only.
    """
    if size == "nano":
        return _nano()
    if size == "tiny":
        return _tiny(rate)
    return _small() if size == "small" else _paper(size)


def with_theta(experiment: Experiment, theta: float | None) -> Experiment:
    """The experiment with another base of rotary positions in its last stage."""
    *before, last = experiment.stages
    last = dataclasses.replace(last, rope_theta=theta)
    return dataclasses.replace(experiment, stages=(*before, last))


def _nano() -> tuple[Stage, ...]:
    return (Stage("pretrain", "sotu", tokens=400_000, seq=256, batch=8, lr=1e-2),)


def _tiny(rate: float) -> tuple[Stage, ...]:
    """Short sequences first: attention learns where to look among few keys."""
    short = dict(tokens=800_000, accumulate=2, lr=rate, final_lr=rate)
    return (
        Stage("short", "eltec-eng", seq=128, batch=32, **short),
        Stage("middle", "eltec-eng", seq=512, batch=8, **short),
        Stage(
            "pretrain",
            "eltec-eng",
            tokens=10_400_000,
            seq=2048,
            batch=2,
            accumulate=2,
            lr=rate,
        ),
        Stage(
            "extend",
            "eltec-eng",
            tokens=2_400_000,
            seq=16_384,
            batch=2,
            accumulate=2,
            lr=1e-3,
            inner_start=1.0,
        ),
    )


def _small() -> tuple[Stage, ...]:
    return (
        Stage(
            "pretrain",
            "eltec-eng",
            tokens=48_000_000,
            seq=4096,
            batch=16,
            accumulate=16,
            lr=3e-3,
            remat=4,
        ),
        Stage(
            "extend",
            "eltec-eng",
            tokens=4_800_000,
            seq=16_384,
            batch=8,
            accumulate=8,
            lr=6e-4,
            inner_start=1.0,
            remat=8,
        ),
    )


def _paper(size: str) -> tuple[Stage, ...]:
    lr, steps, batch, extension = PAPER[size]
    long = batch // 2  # half as many sequences, four times as long: twice the tokens
    return (
        Stage(
            "pretrain",
            "zarr:llama3-dclm-filter-8k",
            tokens=steps * batch * 8192,
            seq=8192,
            batch=batch,
            lr=lr,
            remat=1,
        ),
        Stage(
            "extend",
            "zarr:llama3-books3",
            tokens=extension * long * 32_768,
            seq=32_768,
            batch=long,
            lr=4e-4,
            inner_start=1.0,
            remat=1,
        ),
    )
