"""A training that a visitor asks for: two jobs, and the run folders that they fill.

The learner is trained first, then its plain twin: the same weights, text and steps,
without learning while reading. The names of the runs say everything, so that the same
choice finds the same runs, whoever has made it and whenever.
"""

import re
from dataclasses import dataclass

from app import jobs
from lab.recipes import RECIPES
from lab.training import watching


@dataclass(frozen=True)
class Kind:
    """A recipe that can be trained here: its name for people, and its plain twin's."""

    label: str
    has_twin: bool = True


KINDS = {
    "tiny-e2e": Kind("learns from every chunk (TTT-E2E)"),
    "tiny-e2e-recall": Kind("TTT-E2E, on text with facts that are asked for again"),
    "toy": Kind("no attention, learns from every token"),
    "tiny-full": Kind("full attention, never learns", has_twin=False),
    "tiny-mamba2": Kind("Mamba 2 and windows, never learns", has_twin=False),
    "tiny-gdn": Kind("Gated DeltaNet and windows, never learns", has_twin=False),
}
LEAST, MOST = 50_000, 2_000_000  # tokens of a training
LAST_SEED = 999
_NAME = re.compile(r"(?P<recipe>[\w-]+)-nano-(?P<k>\d{1,6})k-seed(?P<seed>\d{1,6})")


@dataclass(frozen=True)
class Training:
    """What was chosen: a recipe at size nano, a number of tokens, a seed."""

    recipe: str
    tokens: int
    seed: int

    def __post_init__(self):
        if self.recipe not in KINDS or self.recipe not in RECIPES:
            raise ValueError(f"{self.recipe[:60]!r} is none of {', '.join(KINDS)}.")
        if not LEAST <= self.tokens <= MOST or not 0 <= self.seed <= LAST_SEED:
            raise ValueError(
                f"A training has {LEAST:,} to {MOST:,} tokens and a seed of 0 to "
                f"{LAST_SEED}: got {self.tokens:,} and {self.seed}."
            )

    @property
    def name(self) -> str:
        """The run folder of the learner."""
        return f"{self.recipe}-nano-{self.tokens // 1000}k-seed{self.seed}"

    @property
    def twin(self) -> str | None:
        """The run folder of the plain twin; a model that never learns has none."""
        return f"{self.name}-plain" if KINDS[self.recipe].has_twin else None

    @property
    def jobs(self) -> list[jobs.Job]:
        """The newest job of the learner and of its twin, if there are any."""
        found = [
            jobs.find("train", [self.recipe], **self._options(is_plain))
            for is_plain in self._plain
        ]
        return [job for job in found if job]

    @property
    def is_active(self) -> bool:
        """Whether one of the jobs waits or runs."""
        return any(job.state in jobs.ALIVE for job in self.jobs)

    @property
    def is_finished(self) -> bool:
        """Whether all models are there."""
        return all(watching.outcome(name) for name in (self.name, self.twin) if name)

    @property
    def seconds(self) -> float:
        """How long everything will take on this machine."""
        return len(self._plain) * watching.expected_seconds(self.tokens)

    def start(self) -> None:
        """Begin, or go on where it was stopped.

        **Raises** `ValueError` if no job can be begun.
        """
        for is_plain in self._plain:
            run = self.twin if is_plain else self.name
            if not watching.outcome(run):
                options = self._options(is_plain)
                jobs.start("train", [self.recipe], title=f"Training {run}", **options)

    def stop(self) -> None:
        """Ask all jobs for the end, the one that waits first."""
        for job in reversed(self.jobs):
            if job.state in jobs.ALIVE:
                job.stop()

    @property
    def _plain(self) -> tuple[bool, ...]:
        return (False, True) if self.twin else (False,)

    def _options(self, is_plain: bool) -> dict:
        return {
            "size": "nano",
            "run": self.twin if is_plain else self.name,
            "plain": is_plain,
            "set": [f"tokens={self.tokens}", f"seed={self.seed}"],
        }


def named(name: str | None) -> Training | None:
    """The training whose learner or twin has this run folder; None for other names."""
    found = _NAME.fullmatch((name or "").removesuffix("-plain"))
    try:
        return found and Training(
            found["recipe"], 1000 * int(found["k"]), int(found["seed"])
        )
    except ValueError:
        return None


def newest() -> Training | None:
    """The training that runs or, if there is none, the last one on this machine."""
    for job in jobs.queue():
        if job.verb == "train" and "--run" in job.words:
            if found := named(job.words[job.words.index("--run") + 1]):
                return found
    return next((found for name in watching.names() if (found := named(name))), None)
