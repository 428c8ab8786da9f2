"""A training of seconds, in two stages, on a folder of made-up texts."""

import ttt_core as ttt
from lab.recipes.experiment import Experiment, Stage


WORDS = "the quick brown fox jumps over the lazy dog and reads a book of words "


def write_texts(folder):
    """Four short texts; the last one is held out."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(4):
        text = " ".join(WORDS.split()[i:] + WORDS.split()[:i])
        (folder / f"{i}.txt").write_text((text + " ") * 30)
    return folder


def small_experiment(folder) -> Experiment:
    """Four steps of 4 x 32 bytes, then three of 2 x 64 at another rotary base."""
    model = ttt.preset("nano").replace(
        d_model=16, layers=2, window=16, chunk=8, d_ff=16, d_fast=16
    )
    pretrain = Stage(
        name="pretrain",
        corpus=str(folder),
        tokens=4 * 4 * 32,
        seq=32,
        batch=4,
        accumulate=2,
        lr=1e-2,
    )
    extend = Stage(
        name="extend",
        corpus=str(folder),
        tokens=3 * 2 * 64,
        seq=64,
        batch=2,
        lr=5e-3,
        inner_start=1.0,
        rope_theta=20_000.0,
        remat=2,
    )
    return Experiment(
        name="small",
        model=model,
        tokenizer="bytes",
        stages=(pretrain, extend),
        checks=2,
        gain_every=2,
    )
