"""Models in words: what they are, what they show, how long they take."""

import pytest

from lab import published
from lab.reading import notes


CARDS = published.models()


@pytest.mark.parametrize("name", CARDS)
def test_every_published_model_is_described(name):
    found = notes.note(CARDS[name])
    assert found.what and found.shows and found.size.endswith("weights")
    assert found.learns == published.learns(CARDS[name])
    assert notes.tokens_per_second(CARDS[name]) > 100


def test_what_tells_models_apart_is_said():
    what = lambda name: notes.note(CARDS[name]).what
    assert "trained to learn that way" in what("tiny-e2e")
    assert "never trained to learn that way" in what("tiny-naive")
    assert "after every token" in what("toy") and what("toy").startswith("No attention")
    assert "never learns" in what("tiny-swa")
    assert what("tiny-hybrid").count("attention over") == 1


def test_a_measured_speed_counts_more_than_an_estimate():
    card = CARDS["tiny-e2e"]
    assert notes.tokens_per_second(card, 0.064) == pytest.approx(1_000)
    assert 3_000 < notes.tokens_per_second(card) < 4_000
    assert notes.tokens_per_second({**card, "parameters": 0}) is None


def test_the_toy_says_how_long_it_takes_before_it_starts():
    card = CARDS["toy"]
    slow = notes.seconds(card, 16_384, 4, notes.tokens_per_second(card))
    fast = notes.seconds(card, 16_384, 1_024, notes.tokens_per_second(card))
    assert slow > 20 * 60 and fast < 60
    assert notes.seconds(card, 16_384, 4, None) is None
