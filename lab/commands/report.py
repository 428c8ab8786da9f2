"""`ttt-lab report`: what was measured, beside what the paper reports, as one page.

ttt-lab report
"""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

from lab import files, results, runs
from lab.commands.export import check_free
from lab.commands.options import option
from lab.commands.terminal import Terminal
from lab.evals.questions import QUESTIONS, Question
from lab.names import choose
from lab.results import Kept


MARK = '<meta name="generator" content="ttt-lab report">'
TITLE = "Models that learn while they read: ours, and the paper's"


def report(
    out: Annotated[Path, option("FILE")] = Path("report.html"),
    only: Annotated[tuple[str, ...], option("QUESTION")] = (),
    run: bool = False,
) -> Path:
    """Write one HTML page: every question, our answer beside the paper's.

    The page needs no network. It shows the results that ship and those that `ttt-lab
    eval` and `ttt-lab bench` have kept here, each with its command, date and commit.

    Args:
        out: where to write the page.
        only: these questions (default: all; compare, context, recall ...).
        run: first answer the questions that have no result yet, which takes minutes.

    Returns:
        The path of the page.

    **Raises** `ValueError` for an unknown question and where another file lies, and
    what a command raises that is run.
    """
    wanted = _wanted(only)
    check_free(out, MARK)
    files.check_writable(out.absolute().parent)
    terminal = Terminal()
    missing = [kind for kind in wanted if not found(kind)]
    if run:
        for kind in missing:
            _run(kind, terminal)
    sections = [one for kind in wanted for one in _sections(kind)]
    from lab.plots.page import album

    page = album(TITLE, _lead(), sections).replace("<title>", f"{MARK}<title>", 1)
    files.write(out, page)
    for kind in [] if run else missing:
        terminal.print(f"Not measured yet: ttt-lab {QUESTIONS[kind].command}")
    size = out.stat().st_size / 1e6
    terminal.print(
        f"{len(sections)} results beside the paper's: {runs.shown(out)} ({size:.1f} "
        "MB); any browser opens it.",
        soft_wrap=True,
    )
    return out


def found(kind: str) -> list[Kept]:
    """The results that answer a question: those that ship, then those kept here."""
    kept = [*results.listed(), *results.listed(runs.folder("evals"))]
    return [one for one in kept if one.kind == kind]


def _wanted(only: tuple[str, ...]) -> list[str]:
    asked = [choose("question", name, QUESTIONS) for name in only]
    return [kind for kind in QUESTIONS if not asked or kind in asked]


def _run(kind: str, terminal: Terminal):
    """Answer one question by its command, in a process of its own.

    **Raises** `ValueError` if the command fails, which says why by itself.
    """
    command = QUESTIONS[kind].command
    terminal.print(f"ttt-lab {command}")
    words = [sys.executable, "-m", "lab.cli", *shlex.split(command)]
    if code := subprocess.run(words).returncode:
        raise ValueError(f"ttt-lab {command} ended with {code}; no page was written.")


def _sections(kind: str) -> list:
    """A section for each result of a question."""
    return [_section(one) for one in found(kind)]


def _section(one: Kept):
    """One result beside the paper's: its sentence, two figures, where it is from."""
    from lab.evals import in_words
    from lab.evals.paper import PAPER, REPORTED
    from lab.plots.page import Section
    from lab.plots.paper import reported_curves
    from lab.plots.results import TYPES, result_figure

    asked, theirs = QUESTIONS[one.kind], REPORTED.get(one.kind)
    result = results.open_result(one.path, TYPES[one.kind])
    figures = {"ours": result_figure(one.kind, result, asked.alike)}
    words = [f"What to look for: {asked.look_for}"]
    if theirs:
        systems = in_words.systems(in_words.labels(result))
        figures["paper"] = reported_curves(theirs, systems)
        verdict = theirs.beside(in_words.models(result))
        words.append(f"The paper ({theirs.source}, {PAPER}): {verdict}")
    else:
        words.append(f"{PAPER} has no counterpart.")
        other = list(asked.figures)[-1]
        figures[other] = result_figure(one.kind, result, other)
    words += [_origin(one)]
    told = in_words.headline(result)
    return Section(_name(asked, one), told, figures, tuple(words), beside=True)


def _name(asked: Question, one: Kept) -> str:
    """The question, and which of its results answers it."""
    which = one.name.removeprefix(one.kind).strip("-") or "eight systems"
    here = "" if one.path.parent == results.PUBLISHED else ", measured here"
    return f"{asked.question} ({which}{here})"


def _origin(one: Kept) -> str:
    about = one.provenance
    made = f"Made by {about.get('command', 'a command that is not recorded')}"
    date = str(about.get("date", "an unknown day"))[:10]
    return f"{made} on {date}, commit {about.get('commit', 'unknown')}."


def _lead() -> str:
    return (
        "Every result stands with the paper's own numbers, one sentence on what agrees "
        "and what does not, and the command that measures it again. Losses are in nats "
        "per token; intervals are 95 %, paired, over documents. The models have two "
        "million weights (56 thousand where they are trained for the answer), the "
        "paper's up to three billion."
    )
