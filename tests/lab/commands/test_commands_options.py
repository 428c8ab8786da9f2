"""What commands share: a result is kept before anything is printed of it."""

import dataclasses
from typing import ClassVar

import pytest

from lab import results
from lab.commands import options


@dataclasses.dataclass(frozen=True)
class Found:
    """A result of one number."""

    KIND: ClassVar[str] = "found"
    value: float


def test_a_result_is_kept_although_the_screen_cannot_show_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))

    def show(result):
        raise UnicodeEncodeError("cp1252", "±", 0, 1, "no such character")

    with pytest.raises(UnicodeEncodeError):
        options.finish(Found(1.5), "it", options.Output(), show)
    (path,) = (tmp_path / "evals").iterdir()
    assert results.open_result(path, Found) == Found(1.5)


def test_a_result_that_cannot_be_kept_is_shown(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "file"))
    shown = []
    with pytest.raises(OSError):
        options.finish(Found(1.5), "it", options.Output(), shown.append)
    assert shown == [Found(1.5)]
