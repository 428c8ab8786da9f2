"""The README's Python runs as it stands, and its commands are commands."""

import re
from pathlib import Path

import numpy as np
import pytest

from lab import cli


README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "The safe opens with 4182. The ships came in, one after the other. " * 12
    Path("my.txt").write_text(text, "utf-8")


def test_the_snippet_reads_asks_writes_and_saves(here, capsys):
    names = {}
    exec(SNIPPETS[0], names)
    assert names["nats"].shape == (len(names["answer"]),)
    assert np.isfinite(names["nats"]).all()
    written = names["words"].decode(names["tokens"].tolist())
    assert capsys.readouterr().out == written + "\n" and len(written) > 100
    read = int(names["state"].position)
    assert read == len(names["text"]) + len(names["prompt"]) + 100
    assert {path.name for path in Path().iterdir()} == {
        "my.txt",
        "my.stream",
        "my.memory",
    }


def test_the_snippet_records_a_reading_and_draws_it(here):
    names = {}
    exec(SNIPPETS[1], names)
    trace = names["traces"].load("my.npz")
    assert trace.header.document == "my.txt" and trace.read == trace.header.total
    assert "What learning saved" in Path("gain.html").read_text("utf-8")


def test_there_are_no_other_snippets():
    assert len(SNIPPETS) == 2


def test_commands_are_commands():
    typed = re.findall(r"^ttt-lab ((?:[a-z-]+ ?){1,2})", README, re.M)
    assert len(typed) > 10
    for words in typed:
        first, *rest = words.split()
        assert f"{first} {' '.join(rest[:1])}" in cli.VERBS or first in cli.VERBS, words
