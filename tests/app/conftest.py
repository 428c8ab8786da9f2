"""Streamlit under strict warnings, and this folder's helpers where tests find them."""

import sys
from pathlib import Path

import pytest


sys.path.append(str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def no_runs(monkeypatch, tmp_path):
    """The explorer lists the models of runs: here there are none but a test's own."""
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
