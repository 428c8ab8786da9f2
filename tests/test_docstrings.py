"""Docstrings: they exist, and their examples call functions as these are written."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import ttt_core as ttt


ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "ttt_core").rglob("*.py")) + sorted((ROOT / "lab").rglob("*.py"))
DOOR = sorted(name for name in vars(ttt) if not name.startswith("_"))
DOOR = [name for name in DOOR if callable(getattr(ttt, name))]


def where(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=where)
def test_every_file_and_every_public_name_says_what_it_is(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{where(path)} has no docstring"
    kinds = (ast.FunctionDef, ast.ClassDef)
    public = [n for n in tree.body if isinstance(n, kinds) and n.name[0] != "_"]
    silent = [node.name for node in public if not ast.get_docstring(node)]
    assert not silent, f"{where(path)}: {', '.join(silent)}"


@pytest.mark.parametrize("name", DOOR)
def test_the_examples_at_the_door_fit_the_signatures(name):
    for call in example_calls(getattr(ttt, name).__doc__ or ""):
        function = getattr(ttt, call.func.id, None)
        if function is not None:
            named = {keyword.arg: None for keyword in call.keywords}
            inspect.signature(function).bind(*call.args, **named)


@pytest.mark.parametrize("name", DOOR)
def test_names_with_values_in_a_docstring_are_arguments(name):
    function = getattr(ttt, name)
    if inspect.isclass(function):
        pytest.skip("a class documents its fields")
    known = set(inspect.signature(function).parameters)
    fields = {"fast_blocks", "lr", "bos", "chunk", "window", "where"}
    prose = (function.__doc__ or "").split(">>>")[0]
    used = set(re.findall(r"`(\w+)=", prose))
    assert used <= known | fields, used - known


def example_calls(doc):
    stripped = [line.strip() for line in doc.splitlines()]
    lines = [line[4:] for line in stripped if line.startswith(">>> ")]
    calls = [node for node in ast.walk(ast.parse("\n".join(lines)))]
    calls = [node for node in calls if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name)]
