"""Run folders: everything that a training leaves behind, in plain files.

    .runs/NAME/experiment.json    what was asked for
    .runs/NAME/environment.json   versions, command, commit, machine of the last start
    .runs/NAME/devices.json       the devices of the first start
    .runs/NAME/sources.json       commit and versions, from which step on
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
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from lab import checkpoints, files, published
from lab.checkpoints import config_to_dict
from lab.recipes.experiment import Experiment


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


def usable_cores() -> int:
    """Number of processor cores that this process may use.

    A container or batch system may grant only a share of the machine; XLA cuts large
    products into as many parts as there are cores.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def command() -> str:
    """The command line of this process, as a user would type it."""
    program = Path(sys.argv[0]).name
    program = "ttt-lab" if program in ("ttt-lab", "__main__.py") else program
    return " ".join([program, *sys.argv[1:]])


def commit() -> str:
    """The commit of the source, with `+` if files differ; `unknown` outside git."""
    here = Path(__file__).parent

    def git(*args):
        return subprocess.run(
            ["git", *args], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", __file__)  # else: another project's commit
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


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
    """All whole lines of a metrics file; an incomplete last line is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text("utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


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
        different = differences(json.loads(path.read_text("utf-8")), experiment, done)
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
    different = [name for name in names if found.get(name) != wanted[name]]
    begun = [p.index for p in experiment.phases if done is None or p.start < done]
    for index in begun:
        old = found.get("stages", [])[index : index + 1]
        new = wanted["stages"][index]
        changed = [key for key in new if not old or old[0].get(key) != new[key]]
        different += [f"{new['name']}.{key}" for key in changed]
    return sorted(different)
