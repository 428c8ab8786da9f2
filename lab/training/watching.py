"""What is seen of a training from outside, while it runs or later?

Everything is read from the files of the run folder, so whoever looks disturbs nothing
and needs no JAX. A run that is being written to may have half a line at its end.
"""

import contextlib
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab import checkpoints, files, runs
from lab.checkpoints import EXPERIMENT
from lab.traces import running_mean


SMOOTH = 8  # steps
# Of two cores: seconds to start and compile, tokens a second. A run of this machine
# says it better.
COMPILING, SPEED = 30.0, 25_000.0


@dataclass(frozen=True)
class Curves:
    """The numbers of a run's steps so far; NaN = not measured at that step.

    Attributes:
        name: the run folder's name.
        steps: steps of the whole run.
        tokens: `[n]` tokens seen.
        loss: `[n]` outer loss, nats per token.
        gain: `[n]` loss of the frozen twin on the same batch, minus it.
        held_out, held_out_frozen: `[n]` nats on held-out text, learning and not.
        drift: `[n]` how far a sequence moves the fast weights, a share of their norm.
        speed: `[n]` tokens a second.
    """

    name: str
    steps: int
    tokens: np.ndarray
    loss: np.ndarray
    gain: np.ndarray
    held_out: np.ndarray
    held_out_frozen: np.ndarray
    drift: np.ndarray
    speed: np.ndarray

    @property
    def smooth(self) -> np.ndarray:
        """The outer loss as a mean over the last steps."""
        return running_mean(self.loss, SMOOTH)

    @property
    def held_out_gain(self) -> np.ndarray:
        """What learning saves on held-out text, nats per token."""
        return self.held_out_frozen - self.held_out

    @property
    def typical_speed(self) -> float:
        """The median of tokens a second, so without the step that compiles."""
        return float(np.median(self.speed)) if len(self.speed) else math.nan


@dataclass(frozen=True)
class Outcome:
    """What a finished model's card says of held-out text, in nats per token."""

    learning: float
    frozen: float
    passages: int
    tokens_each: int
    text: str


def curves(name: str) -> Curves | None:
    """The curves of a run; None if nothing of it can be read."""
    folder = runs.folder(name)
    with contextlib.suppress(OSError, ValueError):
        asked = files.read_json(folder / "experiment.json", EXPERIMENT)
        lines = runs.read_metrics(folder / "metrics.jsonl")
        return Curves(
            name,
            _steps(asked),
            *(_column(lines, key) for key in ("tokens", "loss", "gain")),
            *(_column(lines, key) for key in ("held_out", "held_out_frozen")),
            *(_column(lines, key) for key in ("drift", "tokens_per_s")),
        )
    return None


def outcome(name: str) -> Outcome | None:
    """The held-out losses of a run's finished model; None if there is none (yet)."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = checkpoints.card(runs.folder(name))["held_out"]
        numbers = float(found["loss_learning"]), float(found["loss_frozen"])
        size = int(found["passages"]), int(found["tokens_each"])
        return Outcome(*numbers, *size, str(found["text"]))
    return None


def names() -> list[str]:
    """Names of the runs that have taken a step, the newest first."""
    found = list(files.runs().glob("*/metrics.jsonl"))
    found.sort(key=_changed, reverse=True)
    return [path.parent.name for path in found]


def expected_seconds(tokens: int, kind: str = "nano") -> float:
    """How long a training of so many tokens will take on this machine.

    Runs whose experiment's name begins with `kind` say how fast this machine is.
    """
    speeds = [found.typical_speed for found in _runs_of(kind)]
    speed = statistics.median(speeds) if speeds else SPEED
    return COMPILING + tokens / speed


def _runs_of(kind: str) -> list[Curves]:
    found = []
    for name in names()[:8]:
        with contextlib.suppress(OSError, ValueError):
            path = runs.folder(name) / "experiment.json"
            known = curves(name)
            if files.read_json(path, EXPERIMENT)["name"].startswith(kind) and known:
                found += [known] if known.typical_speed > 0 else []
    return found


def _steps(asked: dict) -> int:
    """Steps of all stages of a described experiment."""
    per = [(s["tokens"], s["seq"] * s["batch"]) for s in asked["stages"]]
    return sum(max(1, tokens // step) for tokens, step in per)


def _column(lines: list[dict], key: str) -> np.ndarray:
    values = [line.get(key) for line in lines]
    numbers = [v if isinstance(v, (int, float)) else math.nan for v in values]
    return np.array(numbers, np.float64)


def _changed(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
