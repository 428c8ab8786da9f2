"""Can weights do what attention does, if they learn from every token?

The paper's toy experiment (section 2 and appendix A) at width 128: two blocks without
attention, so that a model predicts from the current token and from what the weights
have learned since the start of a sequence of 128 tokens. There are four trainings on
the same text in the same order, with the paper's outer rates. `ttt-lab eval toy` reads
them and a fifth, *naive*: `toy-none`'s weights learning at test time only.

    ttt-lab train toy            # b = 1: a step after every token, a tenth as large
    ttt-lab train toy-b16        # b = 16: a step after every 16 tokens
    ttt-lab train toy-full       # full attention instead of learning
    ttt-lab train toy-none       # neither: what the current token alone is worth
    ttt-lab eval toy             # loss at each of the 128 positions

The paper has width 384, 6 heads and 125 K tokens per outer step; its losses at t = 1,
16, 32, 64, 128 are in `PAPER`. `nano` is for tests: bytes, width 32.
"""

import dataclasses

from lab.recipes.experiment import Experiment, Stage


LENGTH = 128
TOKENS = 2_500_000
PAPER_AT = (1, 16, 32, 64, 128)
PAPER = {
    "full": (6.19, 5.26, 5.19, 5.16, 5.14),
    "none": (5.88, 5.88, 5.88, 5.88, 5.88),
    "naive": (5.88, 5.85, 5.81, 5.77, 5.69),
    "b1": (5.98, 5.39, 5.27, 5.20, 5.14),
    "b16": (5.90, 5.90, 5.58, 5.41, 5.34),
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """The training of one curve: a recipe, like the other modules of this room.

    `system`: "b1", "b16", "full" or "none". `name`: name of the model.
    """

    system: str
    name: str
    QUESTION: str
    COST: str
    EXPECTED: str
    SIZES: tuple[str, ...] = ("tiny", "nano")

    def experiment(self, size: str = "tiny") -> Experiment:
        """The experiment at one of `SIZES`; `nano` is called `nano-NAME`."""
        small = size == "nano"
        model = model_config(self.system, size)
        return Experiment(
            name=f"nano-{self.name}" if small else self.name,
            model=model,
            tokenizer="bytes" if small else "bpe-4k",
            stages=(_stage(self.system, small),),
            method="meta" if model.learns else "plain",
        )


def model_config(system: str, size: str = "tiny"):
    """The preset `toy` (b = 1) with the changes of a system."""
    import ttt_core as ttt

    toy = ttt.preset("toy")
    if size == "nano":
        toy = toy.replace(vocab=257, bos=256, d_model=32, d_fast=32, init_std=0.1)
    changes = {
        "b1": {},
        "b16": {"chunk": 16, "lr": 1.0},
        "full": {"lr": 0.0, "mixers": ("full",)},
        "none": {"lr": 0.0},
    }
    return toy.replace(**changes[system])


def _stage(system: str, small: bool) -> Stage:
    """The paper's peak rates: 3e-3 for full attention, 5e-3 for all others.

    If weights learn, two cores read one sequence each at a time: with so few tokens per
    step, a batch axis costs up to half of the speed (lab/LOG.md).
    """
    lr = 3e-3 if system == "full" else 5e-3
    if small:
        return Stage("pretrain", "sotu", tokens=20_000, seq=LENGTH, batch=8, lr=lr)
    learns = system in ("b1", "b16")
    return Stage(
        "pretrain",
        "eltec-eng",
        tokens=TOKENS,
        seq=LENGTH,
        batch=32,
        accumulate=16 if learns else 1,
        lr=lr,
    )


B1 = Variant(
    "b1",
    "toy",
    QUESTION="Can weights that learn from every token do what attention does?",
    COST="30 minutes on 2 cores",
    EXPECTED="seven tenths of full attention's gain over no attention at the end",
)
B16 = Variant(
    "b16",
    "toy-b16",
    QUESTION="What is lost by learning from 16 tokens at a time?",
    COST="25 minutes on 2 cores",
    EXPECTED="nine tenths of full attention's gain over no attention at the end",
)
FULL = Variant(
    "full",
    "toy-full",
    QUESTION="How far does full attention get in 128 tokens?",
    COST="6 minutes on 2 cores",
    EXPECTED="the lowest loss from about t = 16 on",
)
NONE = Variant(
    "none",
    "toy-none",
    QUESTION="What is the current token alone worth?",
    COST="5 minutes on 2 cores",
    EXPECTED="flat from t = 2 on",
)
VARIANTS = {variant.name: variant for variant in (B1, B16, FULL, NONE)}
