"""Every notebook has a script: which of the two is the source, and how one is written.

The script, `notebooks/scripts/NAME.py` in the percent format of Jupytext, is the
source: a change in it reads as a diff. The notebook is made from it, without outputs,
and both are committed, so that a reader can open either.

    ttt-lab course pair                # notebooks from scripts
    ttt-lab course pair --back         # scripts from notebooks edited in JupyterLab
"""

from pathlib import Path

from lab import files


FORMAT = "py:percent"
NOTEBOOK = {
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


def folder() -> Path:
    """The folder of the notebooks.

    **Raises** `FileNotFoundError` where the lab was installed without them.
    """
    found = Path(__file__).parents[2] / "notebooks"
    if not (found / "scripts").is_dir():
        raise FileNotFoundError(
            "The course is not part of an installed package: clone the repository, "
            "and run this command there."
        )
    return found


def notebooks(place: Path) -> list[Path]:
    """The notebooks of the course, in order."""
    return sorted(place.glob("[0-9][0-9]_*.ipynb"))


def script_of(notebook: Path) -> Path:
    """The script that a notebook is paired with."""
    return notebook.parent / "scripts" / f"{notebook.stem}.py"


def all_notebooks(place: Path) -> list[Path]:
    """The notebooks of the course, and the index of them."""
    return [*notebooks(place), place / "index.ipynb"]


def write_notebook(script: Path) -> Path:
    """Make a notebook from its script; cells are numbered, and there are no outputs."""
    import nbformat

    found = _jupytext().reads(script.read_text("utf-8"), FORMAT)
    cells = [_cell(i, cell) for i, cell in enumerate(found.cells)]
    made = nbformat.v4.new_notebook(cells=cells, metadata=NOTEBOOK)
    path = script.parents[1] / f"{script.stem}.ipynb"
    return files.write(path, nbformat.writes(made) + "\n")


def write_script(notebook: Path) -> Path:
    """Make a script from its notebook, whose outputs are left out."""
    import nbformat

    found = nbformat.read(notebook, as_version=4)
    found.metadata = nbformat.from_dict({})
    for cell in found.cells:
        cell.metadata = nbformat.from_dict({})
    text = _jupytext().writes(found, FORMAT)
    body = text.partition("# %%")[1:]  # without Jupytext's header
    return files.write(script_of(notebook), "".join(body))


def _cell(number: int, cell):
    from nbformat import v4

    is_code = cell.cell_type == "code"
    made = (v4.new_code_cell if is_code else v4.new_markdown_cell)(cell.source)
    made.id = f"c{number:02}"
    return made


def _jupytext():
    try:
        import jupytext
    except ImportError as error:
        raise ImportError(
            "Pairing needs Jupytext, which is part of the development tools: "
            "pip install jupytext."
        ) from error
    return jupytext
