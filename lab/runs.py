"""Run folders: everything a training leaves behind, in plain files.

    .runs/NAME/experiment.json    what was asked for
    .runs/NAME/environment.json   versions, command, commit, machine
    .runs/NAME/metrics.jsonl      one line a step
    .runs/NAME/checkpoints/       Orbax: model, optimiser, data position

The folder is ignored by git; `TTT_LAB_RUNS` moves it.
"""

import dataclasses
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path


def folder(name: str) -> Path:
    """The run folder called `name`."""
    return Path(os.environ.get("TTT_LAB_RUNS", ".runs")).absolute() / name


def environment() -> dict:
    """Command, commit, date, versions and processor count, for cards and runs."""
    packages = ("jax", "jaxlib", "equinox", "optax", "numpy", "grain")
    return {
        "command": command(),
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "cores": os.cpu_count(),
    }


def command() -> str:
    """The command line of this process, as a user would type it."""
    program = Path(sys.argv[0]).name
    program = "ttt-lab" if program in ("ttt-lab", "__main__.py") else program
    return " ".join([program, *sys.argv[1:]])


def commit() -> str:
    """The commit of the source, with `+` where files differ; `unknown` outside git."""
    here = Path(__file__).parent

    def git(*args):
        return subprocess.run(
            ["git", *args], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


class Metrics:
    """A file of JSON lines that survives being cut off and continued."""

    def __init__(self, path: Path, resume_at: int):
        """Keep the lines of the steps before `resume_at`; later ones are made again."""
        self.path = path
        kept = [line for line in read_metrics(path) if line["step"] < resume_at]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")

    def write(self, line: dict):
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_metrics(path: Path) -> list[dict]:
    """All whole lines of a metrics file; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text("utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def describe(experiment) -> dict:
    """An experiment as JSON data."""
    from lab.checkpoints import config_to_dict

    fields = {
        field.name: getattr(experiment, field.name)
        for field in dataclasses.fields(experiment)
    }
    return fields | {"model": config_to_dict(experiment.model)}
