"""Streamlit under strict warnings, and this folder's helpers where tests find them."""

import sys
from pathlib import Path

import pytest

from lab.data import folders


sys.path.append(str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def no_runs(monkeypatch, tmp_path):
    """The explorer lists runs and added models: here are none but a test's own."""
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(folders, "models", lambda: tmp_path / "models")
