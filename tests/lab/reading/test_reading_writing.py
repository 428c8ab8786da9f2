"""Tokens become text in whole characters, which ends before a stop string."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.data import tokenizers
from lab.reading.writing import Written


BYTES = tokenizers.load("bytes")


def write(text, stops=()):
    written = Written(BYTES, stops)
    pieces = [written.add(token) for token in BYTES.encode(text)]
    pieces.append(written.end())
    assert "".join(pieces) == written.text
    return pieces, written


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12))
def test_characters_are_given_out_whole(text):
    pieces, written = write(text)
    assert written.text == text and not written.stopped
    assert all(len(piece) <= 1 for piece in pieces)


@settings(max_examples=100, deadline=None)
@given(
    st.text("ab界\n", max_size=14), st.lists(st.text("ab界\n", min_size=1, max_size=4))
)
def test_a_text_ends_before_the_first_stop_string(text, stops):
    places = [text.find(stop) for stop in stops if stop in text]
    _, written = write(text, tuple(stops))
    first_end = min((text.find(s) + len(s) for s in stops if s in text), default=None)
    assert written.stopped == bool(places)
    if not places:
        assert written.text == text
    else:  # of two that end together, the one that began first
        ended = text[:first_end]
        assert written.text == ended[: min(ended.find(s) for s in stops if s in ended)]


def test_what_may_begin_a_stop_string_is_held_back():
    pieces, written = write("ab--c", ("---",))
    assert pieces == ["a", "b", "", "", "--c", ""] and not written.stopped
    pieces, written = write("ab---c", ("---",))
    assert pieces[:4] == ["a", "b", "", ""] and written.text == "ab"


def test_half_a_character_at_the_end_is_left_out():
    written = Written(BYTES)
    shown = [written.add(token) for token in "é界".encode()[:-1]]
    assert (shown, written.end()) == (["", "é", "", ""], "")


def test_bytes_that_are_no_character_are_replaced():
    written = Written(BYTES)
    assert written.add(0xFF) + written.add(ord("a")) == "\ufffda"


def test_an_empty_stop_string_is_refused():
    with pytest.raises(ValueError, match="stop string is empty"):
        Written(BYTES, ("x", ""))
