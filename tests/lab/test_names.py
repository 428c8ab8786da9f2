"""A mistyped name is answered with the one that was meant, if any is close."""

import pytest

from lab import names


KNOWN = ("nano", "tiny", "small")


def test_a_known_name_is_handed_back():
    assert names.choose("size", "tiny", iter(KNOWN)) == "tiny"


def test_a_close_name_is_suggested_and_a_far_one_is_not():
    with pytest.raises(ValueError, match="no size 'tny'; did you mean 'tiny'.$"):
        names.choose("size", "tny", KNOWN)
    said = names.unknown("size", "enormous", KNOWN)
    assert said == "There is no size 'enormous'. Known: nano, tiny, small."
    assert names.unknown("size", "tiny", ()).endswith("'tiny'. Known: none.")


def test_the_closest_comes_first():
    assert names.closest("tiny-e2", ("tiny-swa", "tiny-e2e", "nano"), 2) == [
        "tiny-e2e",
        "tiny-swa",
    ]


def test_many_names_are_set_in_columns_of_the_terminals_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    known = [f"a-name-of-{i}" for i in range(10)]
    said = names.unknown("size", "xyz", known)
    first, *rows = said.split("\n")
    assert first == "There is no size 'xyz'. Known:"
    assert rows[0] == "  a-name-of-0  a-name-of-5", rows  # read downwards
    assert len(rows) == 5 and all(len(row) <= 40 for row in rows)
    assert sorted(" ".join(rows).split()) == sorted(known)
    monkeypatch.setenv("COLUMNS", "5")  # no room at all: one column
    assert len(names.columns(known).split("\n")) == 10
