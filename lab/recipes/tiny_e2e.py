"""Can a model of two million weights be trained to learn while it reads?

The paper's recipe scaled down: sliding-window Transformer, fast MLPs in the last third
of the blocks, meta-trained through all 32 inner steps of sequences of 2,048 tokens.

    ttt-lab train tiny-e2e                 # 5.2 M tokens, about 50 minutes on 2 cores
    ttt-lab train tiny-e2e --size nano     # bytes of the State of the Union, one minute

`nano` is for tests and tutorials: it learns something, and nothing to speak of.
"""

from lab.experiment import Experiment


QUESTION = "Can two million weights be trained to learn while they read?"
COST = "50 minutes on 2 cores (nano: one minute)"
EXPECTED = "held-out novels at 16 K tokens: learning while reading lowers the loss"
SIZES = ("tiny", "nano")


def experiment(size: str = "tiny") -> Experiment:
    """The experiment at one of `SIZES`."""
    import ttt_core as ttt

    if size == "nano":
        return Experiment(
            name="tiny-e2e-nano",
            model=ttt.preset("nano"),
            tokenizer="bytes",
            corpus="sotu",
            tokens=400_000,
            seq=256,
            batch=8,
            lr=1e-2,
        )
    return Experiment(
        name="tiny-e2e",
        model=ttt.preset("tiny-e2e"),
        tokenizer="bpe-4k",
        corpus="eltec-eng",
        tokens=5_242_880,
        seq=2048,
        batch=4,
        accumulate=4,
        lr=4e-3,
    )
