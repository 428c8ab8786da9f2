"""Words that come back: distances, sums, and phrases that copy earlier ones."""

import dataclasses

import numpy as np
from synthetic_trace import synthetic

from lab.measure import again


SENTENCE = "The old captain came. Nobody saw the old captain go; Ann did."


def trace_of(text=SENTENCE, reach=20):
    """A reading with one token for each byte, and one nat saved on each."""
    data = text.encode()
    n = len(data)
    spans = np.stack([np.arange(n), np.arange(n) + 1], axis=1)
    base = synthetic(chunks=0, tail=n, needle=False)
    header = dataclasses.replace(base.header, reach=reach, total=n)
    nll = np.ones(n)
    return dataclasses.replace(
        base, header=header, text=data, spans=spans, nll=nll, nll_twin=nll + 1
    )


def test_each_token_knows_how_long_ago_its_word_was_said():
    trace = trace_of()
    found = again.ago(again.words_of(trace.text), trace, 0, trace.read)
    second = SENTENCE.index("captain go")
    distance = second - SENTENCE.index("captain")
    assert set(found[second : second + 7]) == {distance}
    assert found[SENTENCE.index("Nobody")] == 0 == found[SENTENCE.index(".")]
    part = again.ago(again.words_of(trace.text), trace, second, trace.read)
    np.testing.assert_array_equal(part, found[second:])


def test_the_most_saved_words_come_first_with_what_was_out_of_reach():
    trace = trace_of()
    words = again.words_of(trace.text)
    first, *others = again.most_saved(words, trace)
    assert (first.words, first.times, first.nats, first.beyond) == ("captain", 2, 14, 7)
    assert others[0].words == "nobody" and others[0].beyond == 0
    near = trace_of(reach=100)
    assert again.most_saved(words, near)[0].beyond == 0


def test_a_phrase_that_copies_an_earlier_one_is_found_whole():
    trace = trace_of()
    (found,) = again.phrases_saved(again.words_of(trace.text), trace)
    assert (found.words, found.times, found.nats) == ("the old captain", 2, 13)
    assert found.beyond == 13
    assert not again.phrases_saved(again.words_of(b"one two"), trace_of("one two"))


def test_only_what_was_read_counts_and_marks_without_words_do_no_harm():
    trace = trace_of()
    words = again.words_of(trace.text)
    read = dataclasses.replace(
        trace,
        **{n: getattr(trace, n)[:12] for n in ("tokens", "spans", "nll")},
        nll_twin=trace.nll_twin[:12],
    )
    assert {one.words for one in again.most_saved(words, read)} == {
        "the",
        "old",
        "captain",
    }
    silent = trace_of("... !!")
    assert again.most_saved(again.words_of(silent.text), silent) == []
    assert set(again.ago(again.words_of(silent.text), silent, 0, 6)) == {0}
