"""A notebook with outputs as a page: nothing comes from another host."""

import re

import nbformat
import plotly.graph_objects as go
import pytest

from lab.course import pages


FIRST = """# A & B

**Goal.** See *it*.

**Time** 7 minutes. **You need** nothing; then [next](01_b.ipynb)."""


def output(data):
    return nbformat.v4.new_output("display_data", data=data)


def chapter(folder, name="00_a", first=FIRST):
    figure = go.Figure(go.Scatter(y=[1, 2]), layout=dict(title="Two", width=900))
    cell = nbformat.v4.new_code_cell("show()")
    cell.outputs = [
        output({pages.WIDGET: {"model_id": "1"}, "text/plain": "interactive(...)"}),
        output({pages.FIGURE: figure.to_plotly_json(), "text/plain": "Figure"}),
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(first)])
    notebook.cells.append(cell)
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return pages.open_chapter(path), notebook


def test_a_page_has_figures_links_and_no_other_host(tmp_path):
    (one, notebook), (two, _) = chapter(tmp_path), chapter(tmp_path, "01_b")
    assert (one.title, one.minutes, one.goal) == ("A & B", 7, "See *it*.")
    text = pages.write_page(one, notebook, [one, two], tmp_path, "full").read_text()
    assert "Plotly.newPlot" in text and 'class="title">Two</p>' in text
    assert '"width":900' not in text and "interactive(" not in text
    assert 'href="01_b.html">next' in text and ".ipynb" not in text
    assert re.findall(r'(?:src|href)="(https?:[^"]*)', text) == []
    assert re.findall(r'<script[^>]* src="([^"]*)"', text) == ["plotly.min.js"]


def test_a_page_knows_its_source_and_its_mode(tmp_path, monkeypatch):
    one, notebook = chapter(tmp_path)
    assert not pages.is_made(one, tmp_path, "quick")
    pages.write_page(one, notebook, [one], tmp_path, "quick")
    assert pages.is_made(one, tmp_path, "quick")
    assert not pages.is_made(one, tmp_path, "full")
    changed, _ = chapter(tmp_path, first=FIRST + " Changed.")
    assert not pages.is_made(changed, tmp_path, "quick")
    # Code that draws the figures is part of the source.
    monkeypatch.setattr(pages, "_code", lambda: "another way to draw")
    assert not pages.is_made(chapter(tmp_path)[0], tmp_path, "quick")


def test_the_index_lists_chapters_with_their_times(tmp_path):
    chapters = [chapter(tmp_path)[0], chapter(tmp_path, "01_b")[0]]
    text = pages.write_index(chapters, tmp_path).read_text()
    assert "2 chapters, 0.2 hours" in text and text.count("7 minutes") == 2
    assert 'href="00_a.html"' in text and "A &amp; B" in text
    assert (tmp_path / "plotly.min.js").stat().st_size > 1e6


def test_a_notebook_that_says_nothing_of_itself_is_refused(tmp_path):
    with pytest.raises(ValueError, match="00_a.ipynb must begin with"):
        chapter(tmp_path, first="# Only a title")
