"""Where a text may be cut, in any script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.data import scripts


SEEN = {  # single characters as a reader sees them
    "Latin": ["a", "e\u0301", " ", "b"],
    "Devanagari": ["स", "मु", "द्र", " ", "न", "म", "स्ते"],
    "Thai": ["ก็", "ได้", "แป", "ด", "น้ำ"],
    "Korean, decomposed": ["\u1112\u1161\u11ab", "\u1100\u1173\u11af"],
    "emoji": ["👨‍👩‍👧‍👦", "🧜🏽‍♀️", "❤️", "🇫🇷", "🇩🇪", "🐈"],
    "line ends": ["a", "\r\n", "b"],
}


@pytest.mark.parametrize("script", SEEN)
def test_characters_are_cut_as_a_reader_sees_them(script):
    assert scripts.clusters("".join(SEEN[script])) == SEEN[script]


@given(st.text(max_size=30))
def test_clusters_are_the_text(text):
    pieces = scripts.clusters(text)
    assert "".join(pieces) == text and all(pieces)


def test_an_index_moves_back_to_where_a_cut_is_allowed():
    text = "ab👨‍👩‍👧‍👦c"
    assert [scripts.whole(text, i) for i in range(len(text) + 1)] == [
        *(0, 1, 2),
        *[2] * 6,
        *(len(text) - 1, len(text)),
    ]


@pytest.mark.parametrize(
    ("before", "after", "between"),
    [
        ("the cat", "sat", " "),
        ("the cat ", "sat", ""),
        ("密码是", "四一八二", ""),
        ("密码是", "4182", ""),
        ("รหัส", "สี่", ""),
        ("비밀번호는", "사일", " "),
        ("هو", "واحد", " "),
        ("", "word", ""),
    ],
)
def test_words_stand_apart_where_their_script_has_spaces(before, after, between):
    assert scripts.gap(before, after) == between


def test_sentences_end_as_their_script_ends_them():
    stops = {"cat": ".", "四一八二": "。", "है": "।", "สอง": "", "です": "。", "42": "."}
    assert {said: scripts.full_stop(said) for said in stops} == stops
