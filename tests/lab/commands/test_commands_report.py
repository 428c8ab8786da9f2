"""`ttt-lab report`: one page with our answers and the paper's, without a network."""

import re

import pytest
from command_line import run

from lab import cli, results
from lab.commands import report
from lab.evals.paper import REPORTED
from lab.evals.questions import QUESTIONS
from lab.plots.results import FIGURES, TYPES


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    return tmp_path


def test_every_question_has_a_command_figures_and_a_result():
    for kind, asked in QUESTIONS.items():
        assert {*asked.figures, asked.alike} <= {*FIGURES[TYPES[kind]]}
        cli.find(" ".join(asked.command.split()[:2]))
        assert report.found(kind), kind


def test_the_page_holds_each_answer_the_papers_and_where_they_are_from(here, capsys):
    path = report.report()
    page = path.read_text("utf-8")
    many = sum(len(report.found(kind)) for kind in QUESTIONS)
    assert f"{many} results beside the paper's" in capsys.readouterr().out
    for kind, theirs in REPORTED.items():
        assert theirs.source in page and theirs.verdict[:30] in page, kind
    assert page.count("Made by ttt-lab") == page.count('class="beside"') == many
    assert "tiny-e2e reads +0.370 ±0.156 nats a token cheaper" in page
    # plotly.js is inside, once, and nothing is asked of another host.
    assert page.count("plotly.js v") <= 2 and len(page) < 6e6
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="http', page)
    report.report()  # the same page may be written again


def test_one_question_and_a_result_that_was_measured_here(here):
    shipped = report.found("recall")[0]
    own = results.open_result(shipped.path, TYPES["recall"])
    results.keep(own, "mine")
    page = report.report(only=("recall",)).read_text("utf-8")
    assert "What is left of a fact? (mine, measured here)" in page
    assert QUESTIONS["compare"].question not in page


def test_what_is_missing_is_said_and_run(here, monkeypatch, capsys):
    monkeypatch.setattr(report.results, "PUBLISHED", here / "nothing")
    report.report(only=("recall",))
    assert "Not measured yet: ttt-lab eval recall" in capsys.readouterr().out
    asked = []
    monkeypatch.setattr(report, "_run", lambda kind, terminal: asked.append(kind))
    report.report(only=("recall", "context"), run=True)
    assert asked == ["context", "recall"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "recal"], "did you mean 'recall'?"),
        (["--out", "."], "is a folder"),
        (["--out", "mine.html"], "holds something else"),
    ],
)
def test_what_cannot_be_is_a_sentence(here, monkeypatch, capsys, options, said):
    (here / "mine.html").write_text("my own page")
    assert run(monkeypatch, "report", *options) == 1
    assert said in capsys.readouterr().err
    assert (here / "mine.html").read_text() == "my own page"
