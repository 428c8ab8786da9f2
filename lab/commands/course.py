"""`ttt-lab course`: the notebooks as static pages, and as pairs with their scripts.

ttt-lab course build --quick
ttt-lab course pair
"""

from pathlib import Path
from typing import Annotated

from lab import files, runs
from lab.commands.options import option
from lab.commands.progress import Bar, waiting
from lab.commands.terminal import Terminal
from lab.stopping import Stopped


def build(
    out: Annotated[Path | None, option("FOLDER")] = None,
    quick: bool = False,
    only: Annotated[tuple[str, ...], option("NUMBER")] = (),
) -> Path:
    """Run the notebooks and write them as pages that need no kernel and no network.

    Pages that are there already, made from the same notebook and code, are kept.

    Args:
        out: where the pages go (default: .runs/course).
        quick: small sizes, as tests take them; numbers on the pages mean less.
        only: chapters with these numbers, as 04 05; the others are left as they are.

    Returns:
        The path of the index.
    """
    with waiting("opening the notebooks"):
        from lab.course import pages, pairs

    folder = files.expanded(out) if out else files.runs() / "course"
    chapters = [pages.open_chapter(path) for path in pairs.notebooks(pairs.folder())]
    index = pages.write_index(chapters, folder)
    mode = "quick" if quick else "full"
    asked = _chosen(chapters, only)
    todo = [c for c in asked if not pages.is_made(c, folder, mode)]
    try:
        _make(todo, chapters, folder, mode)
    except Stopped:
        raise
    except KeyboardInterrupt as error:
        goes_on = "the same command goes on from there"
        raise Stopped(f"stopped; finished pages are kept, and {goes_on}") from error
    kept = f" ({len(asked) - len(todo)} were there already)" if todo != asked else ""
    Terminal().print(f"{len(asked)} pages{kept}: {runs.shown(index)}", soft_wrap=True)
    return index


def pair(back: bool = False):
    """Make each notebook from its script, without outputs.

    Args:
        back: make the scripts from the notebooks, which were edited in JupyterLab.
    """
    from lab.course import pairs

    place = pairs.folder()
    scripts = sorted((place / "scripts").glob("*.py"))
    made = (
        [pairs.write_script(notebook) for notebook in pairs.all_notebooks(place)]
        if back
        else [pairs.write_notebook(script) for script in scripts]
    )
    Terminal().print(f"{len(made)} {'scripts' if back else 'notebooks'} written")


def _chosen(chapters: list, only: tuple[str, ...]) -> list:
    """All chapters, or those that are asked for, in the order of the course.

    **Raises** `ValueError` naming the numbers there are.
    """
    if not only:
        return chapters
    numbers = [chapter.number for chapter in chapters]
    for one in only:
        if one.zfill(2) not in numbers:
            known = ", ".join(numbers)
            raise ValueError(f"there is no chapter {one!r}: the chapters are {known}.")
    return [c for c in chapters if c.number in [one.zfill(2) for one in only]]


def _make(todo: list, chapters: list, folder: Path, mode: str):
    """Run what is to be made, a page for each, with progress over all cells."""
    import nbformat

    from lab.course import pages, running

    opened = [nbformat.read(c.notebook, as_version=4) for c in todo]
    for one in opened:
        pages.check_formulas(one)
    cells = [sum(c.cell_type == "code" for c in one.cells) for one in opened]
    environment = {
        "TTT_LAB_QUICK": str(int(mode == "quick")),
        "PLOTLY_RENDERER": "plotly_mimetype",
    }
    with Bar(sum(cells)) as bar:
        for i, (chapter, notebook) in enumerate(zip(todo, opened, strict=True)):
            before, total, title = sum(cells[:i]), cells[i], chapter.notebook.stem

            def tell(done, before=before, total=total, title=title):
                bar.show(before + done, title, f"cell {done} of {total}")

            tell(0)
            try:
                running.run(
                    notebook,
                    chapter.notebook.parent,
                    environment=environment,
                    cell_done=tell,
                    say=bar.console.print,
                )
            except running.CellFailed as error:
                raise ValueError(f"{chapter.notebook.name}, {error}") from error
            pages.write_page(chapter, notebook, chapters, folder, mode)
