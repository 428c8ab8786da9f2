"""Run folders: everything that a training leaves behind, in plain files.

    .runs/NAME/experiment.json    what was asked for
    .runs/NAME/environment.json   versions, command, commit, machine of the last start
    .runs/NAME/devices.json       the devices of the first start
    .runs/NAME/sources.json       commit and versions, from which step on
    .runs/NAME/data.json          the texts of the first start
    .runs/NAME/lock               the process that trains here
    .runs/NAME/metrics.jsonl      one line a step
    .runs/NAME/checkpoints/       Orbax: model, optimiser, position of the data
    .runs/NAME/NAME-STAGE.*       the model at the end of a stage, with its card
    .runs/NAME/NAME.*             the finished model, with its card

Git ignores the folder; `TTT_LAB_RUNS` moves it. Every file appears whole or not at all
(`lab.files`), except the last line of the metrics.
"""

import contextlib
import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from lab import checkpoints, files, published
from lab.checkpoints import EXPERIMENT, config_to_dict
from lab.cores import usable_cores
from lab.recipes.experiment import Experiment


try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

# These settings only decide how often something is measured: a run may change them.
OBSERVING = ("checks", "gain_every")


def folder(name: str) -> Path:
    """The run folder called `name`."""
    return files.runs() / name


def models() -> dict[str, dict]:
    """The cards of the models in run folders by name of the run, in its order.

    A run without a model, or with one that cannot be read, is left out.
    """
    found = {}
    for place in sorted(files.runs().glob("*/")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            card = checkpoints.card(place)
            published.remark(card)  # a card without a configuration is none
            found[place.name] = card
    return found


def shown(path: Path) -> str:
    """A path as it can be typed from here."""
    path, here = Path(path), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def environment() -> dict:
    """Command, commit, date, versions and processor count, for cards and runs."""
    packages = ("jax", "jaxlib", "equinox", "optax", "numpy", "grain")
    return {
        "command": command(),
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "cores": usable_cores(),
    }


def command() -> str:
    """The command line of this process, as a user would type it."""
    program = Path(sys.argv[0]).name
    program = "ttt-lab" if program in ("ttt-lab", "__main__.py") else program
    return " ".join([program, *sys.argv[1:]])


def commit() -> str:
    """The commit of the source, with `+` if files differ; `unknown` outside git."""
    here = Path(__file__).parent

    def git(*args):
        # Git would lock the index now and then, in the way of somebody who commits.
        line = ["git", "--no-optional-locks", *args]
        return subprocess.run(
            line, cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", __file__)  # else: another project's commit
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@contextmanager
def locked(run: Path, *, write: bool = True) -> Iterator[None]:
    """A context in which no other process trains in the run folder `run`.

    The operating system gives the lock back when a process ends, however it ends, so
    that no lock is ever left over. Windows has no such locks, and there nothing is
    locked. `write=False`, for all but the first process of one training, locks nothing.

    **Raises** `ValueError` if another process trains there, naming it.
    """
    if not write or fcntl is None:
        yield
        return
    run.mkdir(parents=True, exist_ok=True)
    with (run / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ValueError(
                f"{run} is in use by {file.read().strip() or 'another process'}, which "
                "trains there; wait for it, stop it, or give this run another name "
                "with --run NAME."
            ) from error
        except OSError:  # a file system without locks
            pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        yield


def newest_checkpoint(run: Path) -> int:
    """Steps done in the newest whole checkpoint on the disk; 0 if there is none.

    A checkpoint has its number as its name only when it is whole.
    """
    found = (run / "checkpoints").glob("*")
    return max((int(path.name) for path in found if path.name.isdigit()), default=0)


class Metrics:
    """A file of JSON lines that can be cut off and continued."""

    def __init__(self, path: Path, resume_at: int):
        """Keep the lines of the steps before `resume_at`; the others are made again."""
        self.path = path
        kept = [line for line in read_metrics(path) if line["step"] < resume_at]
        files.write(path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, line: dict):
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_metrics(path: Path) -> list[dict]:
    """All whole lines of a metrics file; damaged ones, as the last may be, are not."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_bytes().split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            lines.append(json.loads(line))
    return [line for line in lines if files.fits(line, {"step": int})]


def describe(experiment: Experiment) -> dict:
    """An experiment as JSON data."""
    fields = {
        field.name: getattr(experiment, field.name)
        for field in dataclasses.fields(experiment)
    }
    stages = [dataclasses.asdict(stage) for stage in experiment.stages]
    fields |= {"model": config_to_dict(experiment.model), "stages": stages}
    return json.loads(json.dumps(fields))


def claim(run: Path, experiment: Experiment, done: int):
    """Make the run folder, or check that it belongs to this very experiment.

    `done`: the steps in the newest checkpoint. A stage that begins later may still be
    changed.

    **Raises** `ValueError` if the folder holds a run with other settings.
    """
    path, wanted = run / "experiment.json", describe(experiment)
    if path.exists() and done:
        different = differences(files.read_json(path, EXPERIMENT), experiment, done)
        if different:
            raise ValueError(
                f"{run} holds a run with other settings ({', '.join(different)}); "
                "give this one another name with --run NAME, or remove the folder."
            )
    files.write(path, json.dumps(wanted, indent=1) + "\n")
    about = json.dumps(environment(), indent=1)
    files.write(run / "environment.json", about + "\n")


def differences(
    found: dict, experiment: Experiment, done: int | None = None
) -> list[str]:
    """Names of the settings in which a described experiment differs from this one.

    Only settings that decide the numbers of the first `done` steps count; None = all
    steps.
    """
    wanted = describe(experiment)
    names = [name for name in wanted if name not in ("stages", *OBSERVING)]
    older = {f.name: f.default for f in dataclasses.fields(experiment)}
    different = [n for n in names if found.get(n, older.get(n)) != wanted[n]]
    begun = [p.index for p in experiment.phases if done is None or p.start < done]
    for index in begun:
        old = found.get("stages", [])[index : index + 1]
        new = wanted["stages"][index]
        changed = [key for key in new if not old or old[0].get(key) != new[key]]
        different += [f"{new['name']}.{key}" for key in changed]
    return sorted(different)
