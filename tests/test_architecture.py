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


# Rooms and files of `lab`, from the ground up: nothing imports upwards, not even inside
# a function. A file stands above its room where it is listed by itself.
LADDER = (
    ("lab.compile_cache", "lab.cores", "lab.files", "lab.names"),
    ("lab.quick", "lab.stopping", "lab.tensors", "lab.visible"),
    ("lab.measure.intervals", "lab.measure.positions"),
    ("lab.data", "lab.traces"),
    ("lab.recipes", "lab.checkpoints", "lab.interop", "lab.lessons", "lab.published"),
    ("lab.runs",),
    ("lab.training", "lab.measure", "lab.memories", "lab.results"),
    ("lab.evals", "lab.analysis", "lab.bench", "lab.reading", "lab.plots"),
    ("lab.course",),
    ("lab.commands",),
    ("lab.cli",),
    ("lab.__main__",),
)
# A configuration builds its model and asks its mixers whether its sizes fit; both know
# the configuration. It imports them inside its functions, and is the only one that may.
ACCEPTED = {"ttt_core.config": {"ttt_core.model", "ttt_core.mixers"}}


def rung(name):
    """How high a module of `lab` stands; the package itself is the ground."""
    found = [
        (len(place), height)
        for height, places in enumerate(LADDER)
        for place in places
        if name == place or name.startswith(place + ".")
    ]
    assert found or name == "lab", f"{name} has no rung: list it in LADDER"
    return max(found)[1] if found else 0


def arrows(package):
    """Every module of a package with the package's modules that it imports anywhere."""
    files = {module(path): path for path in FILES if where(path).startswith(package)}
    return {
        name: {other for other in imports(path) if other in files and other != name}
        for name, path in files.items()
    }


def circles(graph):
    """Sets of nodes that can be reached from each other, by walking the arrows."""
    reach = {}
    for start in graph:
        seen, waiting = set(), list(graph[start])
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting += graph[node]
        reach[start] = seen
    return {
        frozenset(other for other in reach[node] if node in reach[other])
        for node in graph
        if node in reach[node]
    }


def test_lab_imports_downwards_only():
    wrong = [
        f"{name} imports {other}"
        for name, others in arrows("lab").items()
        for other in others
        if rung(other) > rung(name)
    ]
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package):
    graph = arrows(package)
    for start in ACCEPTED.keys() & graph.keys():
        assert ACCEPTED[start] <= graph[start], "no longer there: accept it no longer"
        graph[start] -= ACCEPTED[start]
    assert not circles(graph)


def test_no_rooms_of_lab_import_each_other_in_a_circle():
    room = lambda name: ".".join(name.split(".")[:2])
    graph = {}
    for name, others in arrows("lab").items():
        # what stands on a rung of its own is a room of its own
        key = lambda m: m if any(m in places for places in LADDER) else room(m)
        graph.setdefault(key(name), set()).update(map(key, others))
    graph = {name: others - {name, "lab"} for name, others in graph.items()}
    graph.pop("lab", None)
    assert not circles(graph)


def test_a_circle_is_found():
    chain = {"a": {"b"}, "b": {"c"}, "c": set()}
    assert not circles(chain)
    assert circles(chain | {"c": {"a"}, "d": {"a"}}) == {frozenset("abc")}


def test_nothing_below_the_cli_imports_commands():
    """`lab.cli` imports a verb's module by name, when the verb is called."""
    users = {
        where(path)
        for path in FILES
        if any(name.startswith("lab.commands.") for name in imports(path))
    }
    assert users and all(user.startswith("lab/commands/") for user in users)


def test_lab_has_few_files_at_its_top():
    top = [path for path in (ROOT / "lab").glob("*.py") if path.stem[:2] != "__"]
    assert len(top) <= 14


def test_a_question_has_one_name_everywhere():
    """Number, command, figure and test of a question share their stem."""
    from lab.plots.results import FIGURES

    for kind, figures in FIGURES.items():
        group, _, verb = kind.KIND.rpartition("-")
        stem = group if group in ("bench", "ablation") else kind.KIND.replace("-", "_")
        number = kind.__module__.split(".")
        assert number[1] == "bench" or number[-1] == stem, kind
        assert {draw.__module__ for draw in figures.values()} == {f"lab.plots.{stem}"}
        assert (ROOT / f"lab/commands/{stem}.py").exists(), stem
        assert list((ROOT / "tests/lab").rglob(f"test_*{stem}.py")), stem


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


PLATES = sorted(
    path
    for name in (*PACKAGES, "notebooks")
    for path in (ROOT / name).rglob("README.md")
    if "node_modules" not in path.parts
)


def test_crowded_rooms_have_a_door_plate():
    for folder in {path.parent for path in FILES}:
        rooms = [p for p in folder.glob("*.py") if p.name != "__init__.py"]
        if len(rooms) > 4 and not (folder / "README.md").exists():
            pytest.fail(f"{where(folder)} has {len(rooms)} files and no README.md")


@pytest.mark.parametrize("plate", PLATES, ids=where)
def test_a_door_plate_lists_what_is_behind_the_door(plate):
    """Both ways: each file and room is listed, and what is listed is there."""
    folder = plate.parent
    listed = set(re.findall(r"`([\w./-]+)`", first_columns(plate.read_text("utf-8"))))
    there = {
        path.name + ("/" if path.is_dir() else "")
        for path in folder.iterdir()
        if path.suffix in (".py", ".ipynb") or (path.is_dir() and is_room(path))
    } - {"__init__.py", "__main__.py"}
    assert there <= listed, f"{where(plate)} does not list {sorted(there - listed)}"
    gone = [name for name in listed if not (folder / name).exists()]
    assert not gone, f"{where(plate)} lists what is gone: {gone}"


def is_room(path):
    """A hidden folder is none: JupyterLab keeps its checkpoints in one."""
    holds_code = any(path.glob("*.py")) or any(path.glob("*.ipynb"))
    return holds_code and not path.name.startswith(".")


def first_columns(text):
    """The first column of the tables whose first head is `file` or `room`."""
    cells, counts = [], False
    for line in text.splitlines():
        if not line.startswith("|"):
            counts = False
            continue
        cell = line.split("|")[1]
        if cell.strip() in ("file", "room"):
            counts = True
        elif counts:
            cells.append(cell)
    return "\n".join(cells)


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
    assert len(listed) > 5
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
