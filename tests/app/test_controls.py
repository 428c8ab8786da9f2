"""Every control of the explorer is driven, or at least seen, by a test of it."""

import ast
from pathlib import Path


HERE = Path(__file__).parent
APP = HERE.parents[1] / "app"
CONTROLS = {
    *("button", "download_button", "form_submit_button", "file_uploader"),
    *("selectbox", "multiselect", "radio", "pills", "segmented_control"),
    *("slider", "select_slider", "number_input", "text_input", "text_area"),
    *("toggle", "checkbox", "popover", "expander", "page_link"),
}
# Boxes that only hold other controls, which need no name of their own.
BOXES = {"popover", "expander"}


def names(call: ast.Call) -> set[str]:
    """The words by which a test would know a control: its key, and its label."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    label = given.get("label", call.args[0] if call.args else None)
    if "key" in given and not _strings(given["key"]):
        return set()  # a variable says it
    found = [given["key"]] if "key" in given else []
    found += [label] if label is not None else []
    bound = _strings(given[None]) if None in given else set()  # **session.bound("name")
    return set().union(
        *map(_strings, found), *({f"widget-{n}", f"{n}="} for n in bound)
    )


def _strings(value: ast.expr) -> set[str]:
    """The constant strings in an expression; none if a variable says it all."""
    found = (n.value for n in ast.walk(value) if isinstance(n, ast.Constant))
    return {word.strip("-") for word in found if isinstance(word, str)}


def controls() -> list[tuple[str, set[str]]]:
    """Where each control stands, with its names."""
    found = []
    for path in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(
                node.func, ast.Attribute
            )
            if is_call and node.func.attr in CONTROLS - BOXES and names(node):
                found.append((f"{path.relative_to(APP)}:{node.lineno}", names(node)))
    return found


def test_every_control_stands_in_a_test():
    paths = [path for path in HERE.glob("test_*.py") if path != Path(__file__)]
    said = "\n".join(path.read_text("utf-8") for path in paths)
    found = controls()
    assert len(found) > 60
    assert [where for where, words in found if not any(w in said for w in words)] == []
