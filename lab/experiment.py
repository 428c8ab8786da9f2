"""What a recipe asks for: a model, a text, and how to train the one on the other."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that decides a training run, and nothing about where it happens.

    `tokens`: length of the run. `seq`: tokens of a sequence. `batch`: sequences of an
    outer step, in `accumulate` parts. `lr`: peak outer rate, reached after `warmup` (a
    share of the steps) and lowered to `final_lr` by a cosine. `inner_start`: the inner
    rate begins at this share of `model.inner.lr` and reaches it after `inner_warmup` (a
    share of the steps). `decay`: AdamW's, on everything. `remat`: see `meta_loss`.
    """

    name: str
    model: object
    tokenizer: str
    corpus: str
    tokens: int
    seq: int
    batch: int
    lr: float
    accumulate: int = 1
    warmup: float = 0.1
    final_lr: float = 1e-5
    decay: float = 0.1
    clip: float = 1.0
    inner_start: float = 0.1
    inner_warmup: float = 0.1
    remat: int | None = None
    seed: int = 0

    def __post_init__(self):
        for name in ("tokens", "seq", "batch", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be >= 1: got {getattr(self, name)}.")
        if self.batch % self.accumulate:
            raise ValueError(
                f"`accumulate` must divide `batch`: got accumulate={self.accumulate}, "
                f"batch={self.batch}."
            )
        for name in ("warmup", "inner_warmup"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"`{name}` is a share of the steps, from 0 to 1: "
                    f"got {getattr(self, name)}."
                )

    @property
    def steps(self) -> int:
        """Outer steps: as many as `tokens` fill, at least one."""
        return max(1, self.tokens // (self.seq * self.batch))

    def inner_rate(self, step: int) -> float:
        """The factor on the inner learning rate at an outer step (0-based)."""
        ramp = min(1.0, (step + 1) / max(1.0, self.inner_warmup * self.steps))
        return self.inner_start + (1.0 - self.inner_start) * ramp
