"""A notebook with outputs as a page, and all pages as a book with an index.

Pages need no kernel and no network: formulas are MathML, figures are drawn by the one
`plotly.min.js` beside the pages, and a widget gives way to the still figure beside it.
A page says in its head which source it was made from, so that a build goes on where
one was stopped.
"""

import functools
import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from lab import files
from lab.course.formulas import with_mathml


FIGURE = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
SCRIPT = "plotly.min.js"
ROOT = Path(__file__).parents[2]
SHOWN = ("ttt_core", "lab/lessons", "lab/plots")
LEFT_OUT = "<p class=still>A slider in the notebook; its figure stands still.</p>"


@dataclass(frozen=True)
class Chapter:
    """A notebook of the course, and what its first cell says of it.

    `minutes`: the reading time; `source`: a hash of the notebook, and of the code that
    computes and draws what it shows.
    """

    notebook: Path
    title: str
    goal: str
    minutes: int
    source: str

    @property
    def page(self) -> str:
        """The file name of the page."""
        return f"{self.notebook.stem}.html"

    @property
    def number(self) -> str:
        """The number that the file name begins with."""
        return self.notebook.stem.partition("_")[0]


def open_chapter(notebook: Path) -> Chapter:
    """What a notebook says of itself.

    **Raises** `ValueError` where the first cell has no title or time.
    """
    text = notebook.read_text("utf-8")
    first = nbformat.reads(text, as_version=4).cells[0].source
    title = re.match(r"# (.+)", first)
    minutes = re.search(r"\*\*Time\*\* (\d+) minutes", first)
    goal = re.search(r"\*\*Goal\.\*\* (.+)", first)
    if not (title and minutes and goal):
        raise ValueError(
            f"{notebook.name} must begin with `# title`, `**Goal.**` and "
            "`**Time** N minutes`."
        )
    source = hashlib.sha256((text + _code()).encode()).hexdigest()[:16]
    return Chapter(notebook, title[1], goal[1], int(minutes[1]), source)


@functools.cache
def _code() -> str:
    """A hash of the packages that notebooks show: another picture is another page."""
    found = hashlib.sha256()
    for folder in SHOWN:
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def check_formulas(notebook):
    """Convert all formulas once, before a notebook is run for minutes.

    **Raises** `ImportError` with what to install.
    """
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            with_mathml(cell.source)


def is_made(chapter: Chapter, folder: Path, mode: str) -> bool:
    """Whether the folder has a page that was made from this source, in this mode."""
    page = folder / chapter.page
    return page.exists() and _stamp(chapter, mode) in page.read_text("utf-8")


def write_page(
    chapter: Chapter, notebook, others: Sequence[Chapter], folder: Path, mode: str
) -> Path:
    """Write a run notebook as a page that links to the other chapters."""
    body = _body(notebook)
    links = _links(chapter, others)
    about = f"<p class=about>Chapter {chapter.number} · {chapter.minutes} minutes</p>"
    parts = (links, about, body, links)
    text = _page(chapter.title, "".join(parts), _stamp(chapter, mode))
    return files.write(folder / chapter.page, text)


def write_index(chapters: Sequence[Chapter], folder: Path) -> Path:
    """Write the page that lists the chapters, and the script that draws figures."""
    from plotly.offline import get_plotlyjs

    rows = "".join(
        f'<li><a href="{c.page}"><b>{c.number}</b> {html.escape(c.title)}</a>'
        f" <small>{c.minutes} minutes</small>{_markdown(c.goal)}</li>"
        for c in chapters
    )
    total = sum(chapter.minutes for chapter in chapters)
    body = (
        "<h1>Test-time training, from the first gradient on</h1>"
        f"<p>{len(chapters)} chapters, {total / 60:.1f} hours of reading. These pages "
        "stand still; the notebooks they were made from run on a CPU "
        "(<code>make notebooks</code>).</p>"
        f"<ol class=chapters>{rows}</ol>"
    )
    files.write(folder / SCRIPT, get_plotlyjs())
    return files.write(folder / "index.html", _page("The course", body, ""))


def _body(notebook) -> str:
    """The cells as HTML."""
    from nbconvert import HTMLExporter

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_mathml(cell.source)
        else:
            cell.outputs = [_still(one) for one in cell.outputs]
    notebook.metadata.pop("widgets", None)
    exporter = HTMLExporter(template_name="basic", anchor_link_text="")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    body, _ = exporter.from_notebook_node(notebook)
    body = re.sub(r'href="(\w+)\.ipynb"', r'href="\1.html"', body)
    return f"<main>{body}</main>"


def _still(output):
    """An output for a page: a figure as HTML, a widget as a word on what is missing."""
    data = output.get("data", {})
    if FIGURE in data:
        data = {"text/html": _figure(data[FIGURE])}
    elif WIDGET in data:
        data = {"text/html": LEFT_OUT}
    else:
        return output
    return nbformat.v4.new_output("display_data", data=data)


def _figure(figure: dict) -> str:
    """A figure that the page's script draws, as wide as the page."""
    from plotly.io import to_html

    layout = figure.get("layout", {}) | {"autosize": True}
    layout.pop("width", None)
    title = layout.pop("title", {}).get("text", "")  # a figure's own is cut on phones
    drawn = to_html(
        {"data": figure["data"], "layout": layout},
        include_plotlyjs=False,
        full_html=False,
        validate=False,
        config={"responsive": True, "displaylogo": False, "displayModeBar": False},
    )
    if "xaxis2" in layout:  # panels side by side: scrolled on phones, not squeezed
        drawn = f"<div class=panels>{drawn}</div>"
    return f"<p class=title>{html.escape(title)}</p>{drawn}"


def _links(chapter: Chapter, others: Sequence[Chapter]) -> str:
    """Links to the chapter before, the index, and the chapter after."""
    at = [other.page for other in others].index(chapter.page)
    before = others[at - 1] if at else None
    after = others[at + 1] if at + 1 < len(others) else None
    link = lambda other, words: (
        f'<a href="{other.page}">{words}</a>' if other else "<span></span>"
    )
    name = lambda other: f"{other.number} {html.escape(other.title)}" if other else ""
    return (
        f"<nav>{link(before, f'← {name(before)}')}"
        '<a href="index.html">All chapters</a>'
        f"{link(after, f'{name(after)} →')}</nav>"
    )


def _markdown(text: str) -> str:
    from nbconvert.filters import markdown2html

    return markdown2html(with_mathml(text))


def _stamp(chapter: Chapter, mode: str) -> str:
    return f'<meta name="made-from" content="{chapter.source} {mode}">'


def _page(title: str, body: str, stamp: str) -> str:
    return PAGE.format(
        title=html.escape(title), stamp=stamp, style=STYLE + _colours(), body=body
    )


def _colours() -> str:
    """Colours of code, for light pages and dark ones."""
    from pygments.formatters import HtmlFormatter

    styles = {"light": "default", "dark": "github-dark"}
    return "".join(
        f"@media (prefers-color-scheme: {scheme}) {{"
        f"{HtmlFormatter(style=style).get_style_defs('.highlight')}}}"
        for scheme, style in styles.items()
    )


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{stamp}
<title>{title}</title>
<style>{style}</style>
<script src="plotly.min.js"></script>
</head>
<body>
{body}
</body>
</html>
"""
STYLE = """
body { font: 17px/1.6 system-ui, sans-serif; margin: 0 auto; max-width: 46rem;
  padding: 1rem; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 2.5rem; }
a { color: #2a8fd0; }
nav { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; font-size: .9rem;
  justify-content: space-between; padding: .6rem 0; }
.title { margin: .6rem 0 0; }
.title, .about, .still, small { color: #7d8590; font-size: .9rem; }
.anchor-link { display: none; }
pre, code { font: .86em/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; margin: 0; }
.highlight, details pre { background: rgba(128, 136, 148, .12) !important;
  border-radius: 6px; padding: .6rem .8rem; margin: .6rem 0; }
.highlight pre { padding: 0; }
.jp-OutputArea-output, .output_area { margin: .4rem 0 1rem; overflow-x: auto; }
.jp-RenderedText pre { padding: .2rem .8rem; border-left: 3px solid #7d859055; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #7d859055; text-align: left; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: #2a8fd0; }
.panels { min-width: 36rem; }
math { font-size: 1.06em; }
math[display=block] { overflow-x: auto; overflow-y: hidden; }
.chapters { list-style: none; padding: 0; }
.chapters li { margin: 1.4rem 0; }
.chapters p { margin: .2rem 0; }
"""
