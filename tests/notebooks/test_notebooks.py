"""The course: every notebook runs, in quick mode, and keeps to its form."""

import re
from pathlib import Path

import nbformat
import pytest

from lab import published


ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"
FIGURE = "application/vnd.plotly.v1+json"
FENCED = r"```python\n(.*?)```"


def name(path):
    return path.stem


def open_notebook(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


@pytest.fixture(params=PATHS, ids=name)
def notebook(request):
    return open_notebook(request.param)


@pytest.mark.parametrize("path", PATHS, ids=name)
def test_it_runs_and_every_widget_has_a_figure_beside_it(path, monkeypatch):
    run_with_answers(path, "1", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=name)
def test_it_runs_in_full_and_so_do_its_hidden_answers(path, monkeypatch):
    run_with_answers(path, "0", monkeypatch)


def run_with_answers(path, quick, monkeypatch):
    """A notebook from top to bottom, and then each exercise's hidden answer."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError

    notebook = open_notebook(path)
    skip_what_is_not_published(notebook)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in answers(notebook)]
    monkeypatch.setenv("TTT_LAB_QUICK", quick)
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # as people run it: one CPU device
    where = {"metadata": {"path": str(FOLDER)}}
    run = lambda: NotebookClient(notebook, timeout=150, resources=where).execute()
    try:
        run()
    except CellTimeoutError:  # a kernel's answer can get lost on a busy machine
        run()
    widgets = [cell for cell in code(notebook) if WIDGET in shown(cell)]
    assert widgets, "a notebook of this course has at least one knob"
    for cell in widgets:
        assert FIGURE in shown(cell), f"no figure beside the widget in:\n{cell.source}"
    assert complaints(notebook) == []


def answers(notebook):
    """The code in the hidden answers to the exercises, in order."""
    exercises = "\n".join(prose(notebook)).partition("\n## Exercises")[2]
    hidden = re.findall(r"<details>.*?</details>", exercises, re.S)
    return [code for one in hidden for code in re.findall(FENCED, one, re.S)]


def skip_what_is_not_published(notebook):
    source = "\n".join(cell.source for cell in code(notebook))
    model = re.search(r'^MODEL = "(.*)"', source, re.M)
    if model and model[1] not in published.models():
        pytest.skip(f"the model {model[1]} is not published yet")
    if "published.recording" in source and not published.recordings():
        pytest.skip("no recording is published yet")


def shown(cell):
    return {kind for output in cell.outputs for kind in output.get("data", {})}


def complaints(notebook):
    """What the kernel wrote to stderr, such as warnings."""
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    return [o.text for o in outputs if o.get("name") == "stderr"]


def test_it_is_stored_without_outputs_or_traces_of_a_run(notebook):
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    for cell in code(notebook):
        assert cell.outputs == [] and cell.execution_count is None
    assert all(not cell.metadata for cell in notebook.cells)


def test_its_cells_are_short(notebook):
    lines = [len(cell.source.splitlines()) for cell in code(notebook)]
    assert max(lines) <= 30
    assert sorted(lines)[len(lines) // 2] <= 15


def test_it_says_at_the_top_what_it_is_for_and_what_it_takes(notebook):
    first = prose(notebook)[0]
    assert notebook.cells[0].cell_type == "markdown" and first.startswith("# ")
    for word in ("**Goal.**", "**Time**", "**You need**"):
        assert word in first


def test_it_ends_with_summary_exercises_and_references(notebook):
    text = "\n".join(prose(notebook))
    places = [text.index(f"\n## {h}") for h in ("Summary", "Exercises", "References")]
    assert places == sorted(places)
    exercises = text[places[1] : places[2]]
    asked, answered = len(re.findall(r"^\*\*\d", exercises, re.M)), "<details>"
    assert asked >= 2 and exercises.count(answered) == asked


def test_it_lets_people_predict_and_says_what_would_prove_it_wrong(notebook):
    text = "\n".join(prose(notebook))
    assert text.count("**Predict") >= 2
    assert text.count("**What to look for.**") >= 3
    falsified = len(re.findall(r"\*\*What would falsify", text))
    assert falsified == text.count("**What to look for.**")


def test_every_hidden_answer_opens_and_closes(notebook):
    for cell in prose(notebook):
        assert cell.count("<details>") == cell.count("</details>")
        # Without the empty line, what is inside would not be read as Markdown.
        assert cell.count("<details>") == cell.count("</summary>\n\n")


def test_every_exercise_has_an_answer_that_is_run_and_checks_itself(notebook):
    found = answers(notebook)
    asked = re.findall(r"^\*\*\d", "\n".join(prose(notebook)), re.M)
    assert len(found) == len(asked)
    for answer in found:
        assert re.search(r"^assert ", answer, re.M), answer


def test_it_names_no_place_of_this_machine(notebook):
    text = "\n".join(cell.source for cell in notebook.cells)
    assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users)/", text)


def test_quick_mode_is_read_in_one_place(notebook):
    assert not any("environ" in cell.source for cell in code(notebook))


def test_the_door_plate_lists_the_notebooks_there_are():
    plate = (FOLDER / "README.md").read_text("utf-8")
    linked = re.findall(r"\]\((\w+\.ipynb)\)", plate)
    assert sorted(linked) == [path.name for path in PATHS]
    assert len(plate.splitlines()) <= 40
