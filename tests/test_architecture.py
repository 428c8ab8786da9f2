"""The design's first page, executable: who may import whom, and what lies where."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
PACKAGES = ("ttt_core", "lab", "app")
FILES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
CORE_MAY_IMPORT = {"jax", "equinox", "optax", "jaxtyping", "numpy", "ttt_core"}
FORBIDDEN = {
    "lab": {"app", "streamlit"},
    "app": {"jax", "jaxlib", "equinox", "optax", "flax", "ttt_core"},
}
NO_JAX = ["lab", "lab.cli", "lab.plots", "lab.published", "lab.traces", "lab.data"]
README = (ROOT / "README.md").read_text("utf-8")


def where(path):
    return str(path.relative_to(ROOT))


def module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, *, at_import_time=False):
    """Every module that a file imports, anywhere in it (or only at its top level)."""
    tree, package = ast.parse(path.read_text("utf-8")), module(path)
    found = set()
    for node in tree.body if at_import_time else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{where(path)}: relative import; name {package}"
            found |= {_source(node.module, alias.name) for alias in node.names}
    return found


def _source(package, name):
    """`from package import name` needs the module of that name, where it is one."""
    path = ROOT / package.replace(".", "/") / name
    is_module = path.is_dir() or path.with_suffix(".py").exists()
    return f"{package}.{name}" if is_module else package


def tops(path):
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", FILES, ids=where)
def test_no_arrow_points_upwards(path):
    package = path.relative_to(ROOT).parts[0]
    if package == "ttt_core":
        beyond = tops(path) - CORE_MAY_IMPORT - set(sys.stdlib_module_names)
    else:
        beyond = tops(path) & FORBIDDEN[package]
    assert not beyond, f"{where(path)} must not import {', '.join(sorted(beyond))}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_modules_import_each_other(package):
    files = {module(path): path for path in FILES if where(path).startswith(package)}
    arrows = {
        (name, other)
        for name, path in files.items()
        for other in imports(path, at_import_time=True)
        if other in files and other != name
    }
    mutual = sorted(
        pair for pair in arrows if pair[::-1] in arrows and pair[0] < pair[1]
    )
    assert not mutual


@pytest.mark.parametrize("name", NO_JAX)
def test_the_light_rooms_open_without_jax(name):
    path = ROOT / name.replace(".", "/")
    if not (path.with_suffix(".py").exists() or (path / "__init__.py").exists()):
        pytest.skip(f"{name} is not built yet")
    heavy = "{'jax', 'equinox', 'optax', 'flax', 'ttt_core'}"
    code = f"import sys, {name}; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]", f"{name} imports {run.stdout}"


def test_the_core_touches_no_disk_and_prints_nothing():
    for path in FILES:
        if where(path).startswith("ttt_core"):
            calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8")))]
            names = {
                node.func.id
                for node in calls
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert not names & {"print", "open", "input"}, where(path)
            assert not tops(path) & {"os", "pathlib", "io", "time", "logging"}, where(
                path
            )


def test_the_core_keeps_its_annotations_alive_for_the_checker():
    for path in FILES:
        if where(path).startswith("ttt_core"):
            assert "__future__" not in tops(path), where(path)


def test_no_room_is_called_utils():
    names = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    assert not names & {"utils", "util", "helpers", "misc", "common"}


def test_nothing_importable_is_called_datasets():
    assert not list((ROOT / "datasets").rglob("*.py"))


def test_no_file_is_longer_than_a_sitting():
    long = {where(p): len(p.read_text("utf-8").splitlines()) for p in FILES}
    assert not {name: lines for name, lines in long.items() if lines > 600}


def test_crowded_rooms_have_a_door_plate():
    for folder in {path.parent for path in FILES}:
        rooms = [p for p in folder.glob("*.py") if p.name != "__init__.py"]
        if len(rooms) > 4 and not (folder / "README.md").exists():
            pytest.fail(f"{where(folder)} has {len(rooms)} files and no README.md")


def requirement(text):
    """`"jax[cpu]>=0.10,<0.13"` -> `("jax", ">=0.10,<0.13")`."""
    name, bounds = re.match(r"([\w.-]+)(?:\[.*\])?\s*(.*)", text).groups()
    return name.lower().replace("_", "-"), bounds.replace(" ", "")


def test_environment_yml_asks_for_what_pyproject_asks_for():
    path = ROOT / "environment.yml"
    if not path.exists():
        pytest.skip("environment.yml is not written yet")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lines = re.findall(r"^\s+- ([\w.-]+.*?)\s*(?:#.*)?$", path.read_text("utf-8"), re.M)
    listed = dict(requirement(line) for line in lines)
    missing = {n: b for n, b in map(requirement, wanted) if listed.get(n) != b}
    assert not missing, f"environment.yml lacks or differs in {missing}"
    assert listed["python"] == project["requires-python"]


def test_the_readmes_tree_lists_what_exists():
    section = re.search(r"^## The house$.*?^```\w*\n(.*?)^```", README, re.M | re.S)
    if not section:
        pytest.skip("README.md has no tree under '## The house' yet")
    listed = list(tree_paths(section[1]))
    assert len(listed) > 10
    missing = [path for path in listed if not list(ROOT.glob(path))]
    assert not missing


def tree_paths(block):
    """Paths of an indented tree: one a line, two or four spaces (or box lines) deep."""
    parents: list[tuple[int, str]] = []
    for line in block.splitlines():
        plain = re.sub(r"[│├└─┬]", " ", line)
        names = re.match(r"(\s*)([\w./*-]+(?:, [\w./*-]+\.\w+)*)", plain)
        if not names:
            continue
        depth = len(names[1])
        parents = [parent for parent in parents if parent[0] < depth]
        above = "".join(name for _, name in parents)
        for name in names[2].split(", "):
            yield (above + name).rstrip("/")
        if names[2].endswith("/"):
            parents.append((depth, names[2]))


@pytest.mark.parametrize("indent", ["  ", "│   ", "├── "])
def test_the_trees_lines_are_understood(indent):
    block = (
        f"lab/  experiments\n{indent}data/  texts\n{indent * 2}x.py, y.py  two\napp/"
    )
    paths = list(tree_paths(block))
    assert paths == ["lab", "lab/data", "lab/data/x.py", "lab/data/y.py", "app"]
