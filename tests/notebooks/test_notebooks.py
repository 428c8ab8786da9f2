"""The course: every notebook runs, in quick mode, and keeps to its form."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from lab import published


ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
PATHS = sorted(FOLDER.glob("[0-9]*.ipynb"))
INDEX = FOLDER / "index.ipynb"
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
    from lab.course import running

    notebook = open_notebook(path)
    skip_what_is_not_published(notebook)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in answers(notebook)]
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # as people run it: one CPU device
    running.run(notebook, FOLDER, environment={"TTT_LAB_QUICK": quick})
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


def plainly(script):
    """The cells of a percent script, `(kind, source)`, without Jupytext."""
    for part in re.split(r"^# %%", script, flags=re.M)[1:]:
        kind, _, source = part.partition("\n")
        source = source.strip("\n")
        if kind.strip() == "[markdown]":
            lines = source.split("\n")
            source = "\n".join(re.sub("^# ?", "", line) for line in lines)
            yield "markdown", source
        else:
            yield "code", source


@pytest.mark.parametrize("path", [*PATHS, INDEX], ids=name)
def test_a_notebook_and_its_script_agree(path):
    script = (FOLDER / "scripts" / f"{path.stem}.py").read_text("utf-8")
    cells = [(cell.cell_type, cell.source) for cell in open_notebook(path).cells]
    assert list(plainly(script)) == cells, "`make pair` makes them agree"


def test_every_script_has_its_notebook():
    scripts = {path.stem for path in (FOLDER / "scripts").glob("*.py")}
    assert scripts == {path.stem for path in (*PATHS, INDEX)}


def test_jupytext_makes_the_notebook_that_is_there(tmp_path):
    pytest.importorskip("jupytext")
    from lab.course import pairs

    (tmp_path / "scripts").mkdir()
    for path in (*PATHS, INDEX):
        script = FOLDER / "scripts" / f"{path.stem}.py"
        copy = tmp_path / "scripts" / script.name
        copy.write_bytes(script.read_bytes())
        assert pairs.write_notebook(copy).read_bytes() == path.read_bytes()
        assert pairs.write_script(tmp_path / path.name) == copy
        assert copy.read_bytes() == script.read_bytes()


def test_the_index_names_every_chapter_with_its_title_and_time():
    index = open_notebook(INDEX).cells[0].source
    rows = re.findall(r"^\| (\d\d) \| \[(.+)\]\((.+)\) \| (\d+) \|$", index, re.M)
    plate = (FOLDER / "README.md").read_text("utf-8")
    for path, row in zip(PATHS, rows, strict=True):
        first = open_notebook(path).cells[0].source
        minutes = re.search(r"\*\*Time\*\* (\d+) minutes", first)[1]
        title = first.partition("\n")[0].removeprefix("# ")
        assert row == (path.stem[:2], title, path.name, minutes)
        assert re.search(rf"{path.name}\) .*\| {minutes} \|$", plate, re.M)


def test_jupyterlab_shows_no_news_over_the_first_cell():
    settings = FOLDER / ".jupyter/labconfig/default_setting_overrides.json"
    (notices,) = json.loads(settings.read_text("utf-8")).values()
    assert notices == {"fetchNews": "false", "checkForUpdates": False}


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
