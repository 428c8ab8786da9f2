"""Can a pretrained language model be taught to learn while it reads?

SmolLM2-135M (Apache-2.0) reads with a window of 512 tokens and four attention sinks.
Its last seven blocks get a second MLP each, as in the paper, and nothing else is
trained: the MLPs' start, W0, and the norms around them. The language model stays as its
authors published it.

    ttt-lab model add smollm2
    ttt-lab train smollm2-e2e              # 2 M tokens of novels: a night of two cores
    ttt-lab train smollm2-swa              # its twin: same weights, no inner steps
    ttt-lab train smollm2-e2e --size nano  # 16 K tokens, to see that all works

The twin trains the same weights on the same tokens without inner steps, so that getting
used to novels is not sold as learning while reading.
"""

from dataclasses import dataclass

from lab.recipes.experiment import Experiment, Stage


START = "smollm2"
SIZES = ("tiny", "nano")
TOKENS = {"tiny": 2_000_000, "nano": 16_384}


@dataclass(frozen=True)
class Variant:
    """One of the systems; an object that looks like a recipe module."""

    name: str
    QUESTION: str
    COST: str
    EXPECTED: str
    learns: bool
    SIZES: tuple[str, ...] = SIZES

    def experiment(self, size: str = "tiny") -> Experiment:
        """The experiment at one of `SIZES`."""
        config = model_config()
        stage = Stage(
            "warm",
            "eltec-eng",
            tokens=TOKENS[size],
            seq=2048,
            batch=2,
            lr=1e-3,
            warmup=0.05,
            inner_start=1.0,
        )
        return Experiment(
            name=self.name if size == "tiny" else f"{size}-{self.name}",
            model=config if self.learns else config.replace(lr=0.0),
            tokenizer=START,
            stages=(stage,),
            method="meta" if self.learns else "plain",
            decay=0.0,
            checks=4 if size == "tiny" else 0,
            gain_every=60 if size == "tiny" else 2,
            start=START,
            trained="fast",
        )


def model_config():
    """SmolLM2 with a window, sinks and fast weights in the last seven of 30 blocks."""
    import ttt_core as ttt

    return ttt.ModelConfig(
        vocab=49_152,
        bos=0,
        d_model=576,
        layers=30,
        heads=9,
        kv_heads=3,
        d_ff=1536,
        qk_norm=False,
        post_norm=False,
        rope_theta=100_000.0,
        norm_eps=1e-5,
        mixers=("sinks",),
        window=512,
        sinks=4,
        chunk=64,
        fast_blocks=7,
        d_fast=512,
    )


E2E = Variant(
    "smollm2-e2e",
    QUESTION="Can a pretrained language model be taught to learn while it reads?",
    COST="about six hours on 2 cores, ten minutes on an H100 (nano: six minutes)",
    EXPECTED=(
        "3.21 nats on held-out passages of 4 K tokens, 0.04 by learning while reading; "
        "0.03 below smollm2-swa, 0.04 on addresses, 0.08 on texts of 2026"
    ),
    learns=True,
)
SWA = Variant(
    "smollm2-swa",
    QUESTION="What do the same new weights bring without learning while reading?",
    COST="a minute on an H100, less than smollm2-e2e on 2 cores (nano: three minutes)",
    EXPECTED="3.24 nats on held-out passages of 4 K tokens",
    learns=False,
)
VARIANTS = {variant.name: variant for variant in (E2E, SWA)}
