"""Words of a text: names, rare words and pieces are told apart as a reader would."""

from collections import Counter

import numpy as np
import pytest

from lab.data import tokenizers, words
from lab.data.words import KINDS


TEXT = (
    "The whale rose. Call me Ishmael, said he to Mr. Starbuck; the Starbuck of old. "
    "Nevertheless 1,981 whales don’t sing. Ishmael sang of a quagga!\n\nWHALE"
)
COUNTS = Counter(
    "the whale rose call me said he to mr of old nevertheless whales don't sing sang a "
    "starbuck".split()
)
COUNTS = Counter({word: 1000 for word in COUNTS})


def kinds(text=TEXT, counts=COUNTS):
    found, _ = words.units(text.encode(), counts)
    return dict(zip(found.words, (KINDS[kind] for kind in found.kinds), strict=True))


def test_kinds_are_what_a_reader_says():
    found = kinds()
    assert found["ishmael"] == found["starbuck"] == "names"
    assert found["nevertheless"] == "common words", "it only begins a sentence"
    assert found["whale"] == "common words", "in capitals it is still a whale"
    assert found["the"] == found["don't"] == found["he"] == "function words"
    assert found["1,981"] == "numbers" and found[";"] == "punctuation"
    assert found["quagga"] == "rare words"


def test_a_word_behind_a_title_begins_no_sentence():
    assert kinds("I saw Mr. Stubb and laughed.", None)["stubb"] == "names"
    assert kinds("I saw it. Stubb laughed.", None)["stubb"] != "names"


def test_counts_of_another_language_are_not_used():
    _, fits = words.units(b"El gato duerme en la casa", COUNTS)
    assert not fits
    assert words.units(TEXT.encode(), COUNTS)[1]
    assert kinds("sol sol sol luna sol", COUNTS)["luna"] == "rare words"
    assert kinds("sol sol sol luna sol", COUNTS)["sol"] == "common words"


@pytest.mark.parametrize("text", [TEXT, "Ünïcode – “naïve” 漢字 🙂 end", "  \n ", ""])
@pytest.mark.parametrize("name", ["bytes", "bpe-4k"])
def test_every_token_has_the_unit_that_it_is_in(text, name):
    tokenizer = tokenizers.load(name)
    _, spans = tokenizer.spans(text)
    data = text.encode()
    found, _ = words.units(data, None)
    unit, kind = words.of_tokens(found, spans)
    for (start, stop), i, k in zip(spans, unit, kind, strict=True):
        token = data[start:stop].decode("utf-8", "replace")
        if i < 0:
            assert not token.strip() and KINDS[k] == "white space"
            continue
        low, high = found.spans[i]
        lead = len(token) - len(token.lstrip())
        assert low <= start + lead < high
        assert (KINDS[k] == "later pieces of words") == (
            low < start and data[low:high].decode()[0].isalpha()
        )


def test_bytes_that_are_no_text_count_as_one_each():
    found, _ = words.units(b"\xff\xfe ab", None)
    np.testing.assert_array_equal(found.spans[-1], (3, 5))


def test_words_are_counted_in_lower_case():
    assert words.count(["A cat, a Cat’s"]) == {"a": 2, "cat": 1, "cat's": 1}
