"""Trackers: the lines of `metrics.jsonl`, shown by a program that people know.

`metrics.jsonl` in the run folder is the record, and a tracker is its mirror. So a
tracker begins empty and first receives every line of the file: after a kill and a
resume it shows each step once, whatever it had received before, and tracking may be
switched on in the middle of a run. The file must be cut to the step where the run
resumes (`runs.Metrics` does this) before the tracker is opened.

| kind          | writes to                      | look at it with                     |
|---------------|--------------------------------|-------------------------------------|
| `tensorboard` | `RUN/tensorboard`              | `tensorboard --logdir .runs`        |
| `trackio`     | Trackio's folder on your disk  | `trackio show --project ttt-lab`    |
| `wandb`       | `RUN/wandb`, offline           | `wandb sync RUN/wandb/offline-run*` |

No tracker needs an account. The packages' own variables, such as `WANDB_MODE=online`
and `TRACKIO_SPACE_ID`, work as usual. A package is imported only when its tracker is
used: `pip install -e '.[track]'`.
"""

import contextlib
import importlib
import io
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Protocol

from lab import files, runs
from lab.names import choose


PROJECT = "ttt-lab"


class Tracker(Protocol):
    """What `open_tracker` returns: `where` says how to look at it."""

    where: str

    def log(self, step: int, line: dict[str, float]) -> None:
        """Show the numbers of one step; anything in `line` but numbers is left out."""

    def close(self) -> None:
        """Write everything that has not been written yet."""


def open_tracker(kind: str | None, run: Path, settings: dict) -> Tracker:
    """The tracker called `kind`, filled with the lines of `run / "metrics.jsonl"`.

    Args:
        kind: `tensorboard`, `trackio`, `wandb`, or None for no tracker.
        run: the run folder; its last part names the run.
        settings: the settings of the run, JSON data, kept beside the curves.

    **Raises** `ValueError` for an unknown kind, naming the closest; `ImportError` for a
    package that is missing, with the command that installs it.
    """
    if kind is None:
        return _Nothing()
    opener = _KINDS[choose("tracker", kind, _KINDS)]
    run.mkdir(parents=True, exist_ok=True)
    tracker = opener(run, settings)
    for line in runs.read_metrics(run / "metrics.jsonl"):
        tracker.log(line["step"], line)
    return tracker


class _Nothing:
    where = "nowhere"

    def log(self, step: int, line: dict[str, float]) -> None:
        pass

    def close(self) -> None:
        pass


class _TensorBoard:
    """Event files; a new file makes a running TensorBoard drop the older steps."""

    def __init__(self, run: Path, settings: dict) -> None:
        package = _load("tensorboardX")
        folder = run / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        # A file is named after the second of its creation, and two names must differ.
        suffix = f".{os.getpid()}.{secrets.token_hex(2)}"
        self._writer = package.SummaryWriter(
            str(folder), purge_step=0, flush_secs=10, filename_suffix=suffix
        )
        told = json.dumps(settings, indent=1, default=str)
        self._writer.add_text("settings", f"```json\n{told}\n```", 0)
        self.where = f"tensorboard --logdir {run.parent}"

    def log(self, step: int, line: dict[str, float]) -> None:
        for name, value in _numbers(line).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Trackio:
    """A local database; the run is created anew under its name."""

    def __init__(self, run: Path, settings: dict) -> None:
        self._package, name = _load("trackio"), f"{run.name}-{_identity(run)}"
        with contextlib.suppress(ValueError):  # there is no such project yet
            for old in self._package.Api().runs(PROJECT):
                if old.name == name:
                    old.delete()
        self._run = self._quietly(
            self._package.init,
            project=PROJECT,
            name=name,
            config={key: value for key, value in settings.items() if key[0] != "_"},
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self.where = f"trackio show --project {PROJECT}"

    def log(self, step: int, line: dict[str, float]) -> None:
        self._run.log(_numbers(line), step=step)

    def close(self) -> None:
        self._quietly(self._package.finish)

    @staticmethod
    def _quietly(call, **options):
        """Call Trackio without its greetings, which would break the progress line."""
        with contextlib.redirect_stdout(io.StringIO()):
            return call(**options)


class _Wandb:
    """Offline unless `WANDB_MODE` says otherwise; one offline folder per run."""

    def __init__(self, run: Path, settings: dict) -> None:
        package, mode = _load("wandb"), os.environ.get("WANDB_MODE", "offline")
        if mode == "offline":
            shutil.rmtree(run / "wandb", ignore_errors=True)
        self._run = package.init(
            project=PROJECT,
            name=run.name,
            id=_identity(run),
            resume="allow" if mode == "online" else None,
            dir=run,
            config=settings,
            mode=mode,
            settings=package.Settings(silent=True, console="off"),
        )
        self.where = f"wandb sync {run / 'wandb' / 'offline-run*'}"

    def log(self, step: int, line: dict[str, float]) -> None:
        if step >= self._run.step:  # a run resumed online has the earlier steps
            self._run.log(_numbers(line), step=step)

    def close(self) -> None:
        self._run.finish()


_KINDS = {"tensorboard": _TensorBoard, "trackio": _Trackio, "wandb": _Wandb}


def _load(package: str):
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"This tracker needs the package {package}, and {error.name} is not "
            f"installed: pip install {package} (all trackers: pip install "
            "'ttt-e2e-lab[track]')."
        ) from error


def _identity(run: Path) -> str:
    """A name that belongs to this run folder alone and does not change."""
    path = run / "tracker-id"
    if not path.exists():
        files.write(path, secrets.token_hex(4))
    return path.read_text("utf-8")


def _numbers(line: dict) -> dict[str, float]:
    """The numbers of a line without its step, booleans as 0 and 1."""
    found = {k: v for k, v in line.items() if isinstance(v, int | float)}
    return {name: float(value) for name, value in found.items() if name != "step"}
