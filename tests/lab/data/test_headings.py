"""Headings: what names a part and what only counts are told from everything else."""

import pytest

from lab.data import eltec
from lab.data.headings import Chapter, chapters


NOVELS = eltec.place() / "train"  # before a test is given a folder of its own


def text(*lines):
    return "\n\n".join(lines).encode()


def names(*lines):
    return [found.name for found in chapters(text(*lines))]


BODY = "It was a dark night, and nobody went out."


@pytest.mark.parametrize(
    "heading",
    [
        "CHAPTER IV",
        "Chapter 12.",
        "BOOK THE FIRST",
        "Part Two",
        "LETTER IX.",
        "EPILOGUE",
    ],
)
def test_named_headings_are_found_where_they_stand(heading):
    data = text("Föge.", heading, BODY)
    (found,) = chapters(data)
    assert found == Chapter(data.index(heading.encode()), heading)


def test_a_title_belongs_to_the_heading_and_not_to_its_name():
    (found,) = chapters(text("CHAPTER II. In Which It Rains", BODY))
    assert found.words == "CHAPTER II. In Which It Rains"
    assert found.name == "CHAPTER II."


@pytest.mark.parametrize("numbers", [["I", "II", "III"], ["1.", "2.", "3. A Walk"]])
def test_numbers_alone_are_headings_where_they_count(numbers):
    lines = [line for number in numbers for line in (number, BODY)]
    assert len(names(*lines)) == 3
    assert names(numbers[1], BODY, numbers[2], BODY) == []


@pytest.mark.parametrize(
    "line",
    [
        "1895",
        "I",
        "IIX",
        "I said nothing, as ever.",
        "Part one of the story is told.",
        "CHAPTER",
        "Chapter IV" + " is long" * 12,
        "MILD",
    ],
)
def test_what_only_looks_like_a_heading_is_none(line):
    assert names(BODY, line, BODY) == []


def test_a_heading_within_a_paragraph_is_none():
    assert names(f"{BODY}\nCHAPTER II\n{BODY}") == []


def test_of_a_table_of_contents_the_last_line_counts_at_most():
    listed = [f"CHAPTER {number}" for number in ("I", "II", "III")]
    found = chapters(text(*listed, "CHAPTER I", BODY, "CHAPTER II", BODY))
    assert [one.words for one in found] == ["CHAPTER I", "CHAPTER II"]


@pytest.mark.skipif(not NOVELS.is_dir(), reason="the novels are not prepared")
def test_the_chapters_of_novels_that_are_here():
    carroll = chapters((NOVELS / "ENG18652_Carroll.txt").read_bytes())
    assert len(carroll) == 12 and "Rabbit-Hole" in carroll[0].words
    hardy = chapters((NOVELS / "ENG18860_Hardy.txt").read_bytes())
    assert [one.words for one in hardy] == [f"{n}." for n in range(1, 46)]
