"""Which source made a run's numbers? Recorded in the run folder at every change.

A run that continues under other code, or other versions of the packages that compute,
is still a good run, but not to the same bits. A sentence says so, and `sources.json`
records which source ran from which step on.

The source means the contents of the deciding modules, not their paths. Comments,
docstrings and imports among our own packages change no number and do not count, so that
a module may be moved between two halves of a run.
"""

import ast
import hashlib
import json
from importlib import metadata
from pathlib import Path

from lab import files, runs


ROOT = Path(__file__).parents[2]
OURS = ("ttt_core", "lab")
# These modules decide the numbers of a training; held-out losses are only watched.
FOLDERS = ("ttt_core", "lab/data")
FILES = (
    "lab/training/loop.py",
    "lab/training/devices.py",
    "lab/training/resuming.py",
    "lab/recipes/experiment.py",
)
PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "grain")
ENTRY = {"step": int, "commit": str, "source": str, "packages": {str: str}}
# The entry of a run that was started before run folders recorded their source.
UNKNOWN = {"step": 0, "commit": "unknown", "source": "unknown", "packages": {}}


def version() -> str:
    """A hash of the code that decides a training's numbers, whatever its paths."""
    paths = [path for name in FOLDERS for path in (ROOT / name).rglob("*.py")]
    paths += [ROOT / name for name in FILES]
    modules = sorted(_digest(path.read_text("utf-8")) for path in paths)
    return hashlib.sha256("".join(modules).encode()).hexdigest()[:12]


def claim_source(run: Path, step: int, *, write: bool = True) -> str | None:
    """Record the source that runs from `step` on; `write=False` only compares.

    Returns:
        A warning if the run continues under another source, else None.
    """
    packages = {name: metadata.version(name) for name in PACKAGES}
    now = {"source": version(), "packages": packages}
    # Steps of an earlier attempt, from this one on, are about to be repeated.
    kept = [entry for entry in history(run) if entry["step"] < step]
    if step and not kept:
        kept = [dict(UNKNOWN)]
    changed = _changed(kept[-1], now) if kept else []
    entry = {"step": step, "commit": runs.commit(), **now}
    if write and (not kept or changed or kept[-1]["commit"] != entry["commit"]):
        kept.append(entry)
    if write:
        files.write(run / "sources.json", json.dumps(kept, indent=1) + "\n")
    if not changed:
        return None
    return (
        f"this run continues at step {step} under another version of "
        f"{', '.join(changed)}: its numbers will no longer be bit-identical to those "
        "of a run that was never stopped."
    )


def history(run: Path) -> list[dict]:
    """`step`, `commit`, `source` and `packages` at every change, in order."""
    path = run / "sources.json"
    return files.read_json(path, [ENTRY]) if path.exists() else []


def commits(run: Path, before: int) -> list[str]:
    """The commits that took part in the steps before `before`, each once, in order."""
    found = [entry["commit"] for entry in history(run) if entry["step"] < before]
    return list(dict.fromkeys(found))


def _changed(then: dict, now: dict) -> list[str]:
    """The differences, as words."""
    found = [] if then["source"] == now["source"] else ["the source"]
    for name, installed in now["packages"].items():
        if then["packages"].get(name, installed) != installed:
            found.append(name)
    return found


def _digest(text: str) -> str:
    """The hash of a module's code, without docstrings, comments and our own imports."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
        for field, parts in ast.iter_fields(node):
            if isinstance(parts, list):
                setattr(node, field, [p for p in parts if not _imports_ours(p)])
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _imports_ours(part: object) -> bool:
    if isinstance(part, ast.ImportFrom):
        return (part.module or "").split(".")[0] in OURS
    names = part.names if isinstance(part, ast.Import) else []
    return any(alias.name.split(".")[0] in OURS for alias in names)
