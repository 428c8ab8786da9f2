"""The numbers of a step: what is measured during training, and where it is written.

    loss, gain            nats; the frozen twin's loss on the same batch, minus it
    grad_norm             of the meta-gradient before its clip; `update_norm` after all
    inner_grad_norm       mean over chunks, before the clip; `clip_rate`: share clipped
    answers, answers_far  nats of a recall mixture's answers, all and beyond the reach
    tokens_per_s          and the useful operations in it (`lab.training.flops`) as a
                          share of the machine's measured peak, `peak_share`

Nothing here influences a training.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab import runs
from lab.recipes.experiment import Experiment, Phase, Step
from lab.training.flops import train_flops_per_token
from lab.training.hosts import is_leader
from lab.training.trackers import open_tracker


class Record:
    """Where the lines of a run go: `metrics.jsonl`, a tracker, and a callback.

    Only the first of several processes writes anything.
    """

    def __init__(
        self,
        run: Path,
        experiment: Experiment,
        first: int,
        report: Callable[[dict], None] | None = None,
        track: str | None = None,
    ):
        """Cut the file to the steps before `first`, and pass those to the tracker."""
        path, self.is_kept = run / "metrics.jsonl", is_leader()
        self.report = report
        self.lines = [line for line in runs.read_metrics(path) if line["step"] < first]
        if self.is_kept:
            self.file = runs.Metrics(path, first)
            self.tracker = open_tracker(track, run, runs.describe(experiment))

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *_):
        if self.is_kept:
            self.tracker.close()

    def write(self, line: dict):
        """Append one line to the file and pass it on."""
        if not self.is_kept:
            return
        self.file.write(line)
        self.tracker.log(line["step"], line)
        if self.report:
            self.report(line)


class Stopwatch:
    """Seconds since the watch was made, without the time for which it was stopped."""

    def __init__(self):
        self.began = time.monotonic()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """A context whose time does not count."""
        began = time.monotonic()
        yield
        self.began += time.monotonic() - began

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.began


class Meter:
    """Makes the line of each step of a stage."""

    def __init__(
        self, phase: Phase, schedule: Callable[[int], float], peak: float | None
    ):
        """Prepare the lines of a stage.

        Args:
            phase: the stage.
            schedule: the outer rate at each step of the stage.
            peak: the machine's operations per second, None = unknown.
        """
        self.phase, self.schedule = phase, schedule
        self.flops_share = _flops_per_token(phase) / peak if peak else 0.0

    def line(
        self,
        step: Step,
        measured: dict,
        frozen: float | None,
        clock: Stopwatch,
    ) -> dict:
        """The metrics line of a step, once its arrays have been computed.

        Args:
            step: the step.
            measured: the numbers that the compiled step returned.
            frozen: loss of the frozen twin, or None if it was not measured.
            clock: a watch that was started with the step and is still running.
        """
        stage = self.phase.stage
        numbers = {name: float(value) for name, value in measured.items()}
        seconds = clock.seconds  # by now all devices are done
        for name in ("answers", "answers_far"):  # a batch may have no answers
            if math.isnan(numbers.get(name, 0.0)):
                del numbers[name]
        line = {
            "step": step.index,
            "stage": stage.name,
            "tokens": self.phase.tokens_at(step.index),
            **numbers,
        }
        if frozen is not None:
            line |= {"frozen": frozen, "gain": frozen - numbers["loss"]}
        speed = stage.tokens_per_step / seconds
        line |= {
            "lr": float(self.schedule(step.index - self.phase.start)),
            "inner_rate": step.inner_rate,
            "seconds": seconds,
            "tokens_per_s": speed,
        }
        if self.flops_share:
            line["peak_share"] = speed * self.flops_share
        return line


def _flops_per_token(phase: Phase) -> float:
    try:
        how = phase.experiment.method, phase.experiment.trained
        return train_flops_per_token(phase.model, phase.seq, *how)
    except ValueError:  # the operations of a mixer are not counted
        return 0.0
