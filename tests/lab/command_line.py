"""What tests of commands share: folders of their own, a few documents, one call."""

import sys

import numpy as np

from lab import cli


WORDS = ("fog", "came", "in", "and", "stayed")


def use_folders(monkeypatch, tmp_path):
    """Small sizes, runs and prepared data below `tmp_path`, a wide terminal."""
    monkeypatch.setenv("TTT_LAB_QUICK", "1")
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "prepared"))
    monkeypatch.setenv("COLUMNS", "160")


def write_novels(folder, count: int) -> str:
    """Documents of ninety random words each; returns the folder as a corpus."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for i in range(count):
        text = " ".join(random.choice(WORDS, 90))
        (folder / f"novel{i}.txt").write_text(text, encoding="utf-8")
    return str(folder)


def run(monkeypatch, *arguments: str) -> int:
    """`ttt-lab ARGUMENTS`; returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["ttt-lab", *arguments])
    try:
        cli.main()
    except SystemExit as leave:
        return leave.code or 0
    return 0
