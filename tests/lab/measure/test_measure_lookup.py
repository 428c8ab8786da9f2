"""BM25 over overlapping passages: the right one is found, whole, or none is."""

import subprocess
import sys

import numpy as np
import pytest

from lab.data import tokenizers
from lab.measure.lookup import OVERLAP, Lookup


WORDS = tokenizers.load("bytes")
NOISE = "Grass grows green. Skies stay blue. "
NEEDLE = "The harbour safe opens with 4182."
TEXT = NOISE * 10 + NEEDLE + NOISE * 10


def ids(text: str) -> np.ndarray:
    return np.array(WORDS.encode(text), np.int32)


def test_the_passage_with_the_questions_words_is_found_whole():
    found = Lookup(ids(TEXT), WORDS, 64).best(ids("Which harbour safe opens with"))
    assert found.stop - found.start == 64
    assert NEEDLE in TEXT[found.start : found.stop]


@pytest.mark.parametrize("lead", ["", NOISE * 10])
@pytest.mark.parametrize("rest", ["", NOISE * 10])
def test_what_follows_on_the_words_is_found_with_them(lead, rest):
    long = "The harbour safe opens with 4182-1234-9876-5678-3456."
    text = f"{lead}{long}{rest}"
    found = Lookup(ids(text), WORDS, 64).best(ids("The harbour safe opens with"))
    assert long in text[found.start : found.stop]


def test_nothing_shorter_than_the_overlap_is_cut_in_every_passage():
    passages, step = Lookup(ids(TEXT), WORDS, 64).passages, 64 // OVERLAP
    assert passages[0].start == 0 and passages[-1].stop == len(ids(TEXT))
    for start in range(len(TEXT) - 64 + step):
        span = (start, start + 64 - step)
        assert any(one.start <= span[0] and span[1] <= one.stop for one in passages)


@pytest.mark.parametrize("question", ["zebra xylophone", "of the", ""])
def test_a_question_without_a_word_of_the_text_finds_nothing(question):
    assert Lookup(ids(TEXT), WORDS, 64).best(ids(question)) is None


def test_a_short_text_is_one_passage_and_an_empty_one_has_no_word():
    assert Lookup(ids(NEEDLE), WORDS, 64).best(ids("safe")) == (0, len(NEEDLE))
    assert Lookup(ids("")[:0].astype(np.int32), WORDS, 64).best(ids("safe")) is None


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(ImportError, match="pip install bm25s"):
        Lookup(ids(TEXT), WORDS, 64)


def test_the_library_is_not_imported_before_it_is_needed():
    code = "import sys, lab.plots.results; assert 'bm25s' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
