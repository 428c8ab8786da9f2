"""The text to read in: colours, numbers, escapes, reach; headlines; models beside."""

import dataclasses
import html
import re

import numpy as np
import pytest
from synthetic_trace import synthetic

from lab.measure import again
from lab.plots import beside, headlines, reader
from lab.plots.needle import verdict


def shown(text: str) -> str:
    body = text.split("<style>")[0]
    return html.unescape(re.sub("<[^>]*>", "", body))


@pytest.mark.parametrize("by", reader.GRAINS)
def test_all_text_is_shown_once_and_no_markup_of_its_own(by):
    trace = synthetic()
    found = reader.reader(trace, start=0, stop=trace.read, by=by)
    assert shown(found) == trace.text[: trace.spans[-1, 1]].decode("utf-8", "replace")
    assert "<gentlemen>" not in found


def test_larger_grains_have_fewer_pieces():
    trace = synthetic()
    pieces = [
        reader.reader(trace, start=0, stop=640, by=by).count("data-n=")
        for by in reader.GRAINS
    ]
    assert pieces[0] > pieces[1] > 0 and pieces[0] > pieces[2] == 40


def test_a_saved_word_last_said_out_of_reach_is_marked():
    trace = synthetic(needle=False)
    nll = np.ones(trace.read)
    words = again.words_of(trace.text)
    for reach, marked in ((1, True), (10_000, False)):
        header = dataclasses.replace(trace.header, reach=reach)
        saved = dataclasses.replace(trace, header=header, nll=nll, nll_twin=nll + 1)
        found = reader.reader(saved, start=200, stop=260, words=words)
        assert (" far" in found.split("<style>")[0]) == marked
        where = "beyond attention" if marked else "within reach"
        assert where in found


def test_a_twin_that_lags_leaves_a_token_without_colour():
    trace = synthetic(needle=False)
    lagging = dataclasses.replace(trace, nll_twin=np.full(trace.read, np.nan))
    found = reader.reader(lagging, start=0, stop=20).split("<style>")[0]
    assert "the twin is not here yet" in found
    assert not re.search(r'class="[bo]\d', found)


def test_axes_stay_for_a_part_of_a_recording():
    from lab import plots

    trace = synthetic()
    for draw in (plots.loss_per_chunk, plots.gain, plots.drift, plots.recall):
        ranges = {
            str((f := draw(trace.upto(n), extent=640, frame=trace)).layout.yaxis.range)
            + str(f.layout.xaxis.range)
            for n in (0, 3, 20, 40)
        }
        assert len(ranges) == 1 and "None" not in ranges.pop(), draw


def test_refused_steps_are_drawn_however_many_there_are():
    from lab import plots

    trace = synthetic(needle=False)
    refused = dataclasses.replace(trace, refused=np.ones(trace.filled, bool))
    figure = plots.gain(refused)
    assert len(figure.data[-1].x) == 40 and len(figure.layout.shapes) == 1


def test_headlines_say_the_number_even_before_there_is_one():
    trace = synthetic()
    said = (headlines.loss, headlines.gain, headlines.drift, headlines.recall)
    for headline in said:
        assert re.search(r"\d", headline(trace)), headline
        assert headline(trace.upto(0))
    assert headlines.overview(trace.upto(20)).startswith("48% of the reading is done")


def test_a_place_is_said_in_words():
    trace = synthetic()
    rank = np.zeros_like(trace.needle_rank)
    rank[:, 2] = 100
    found = verdict(dataclasses.replace(trace, needle_rank=rank))
    assert found == (
        "the learner would say it (first of all guesses); the frozen twin does not "
        "know it (place 101 of 257)"
    )


def test_models_are_compared_on_the_same_bytes():
    first = synthetic(needle=False, tail=0)
    half = dataclasses.replace(first, nll=first.nll - 0.5)
    np.testing.assert_allclose(beside.saved_by(half, first), 0.5, atol=1e-5)
    part = half.upto(7)
    assert len(beside.saved_by(part, first)) == 7
    (sentence,) = beside.verdict(first, {"half": half})
    assert re.fullmatch(
        r"half is 0.500 ± 0.000 nats per token cheaper than .*", sentence
    )
    assert beside.verdict(first, {"new": half.upto(1)}) == ["new: too early to say"]
    assert beside.side_by_side(first, {"new": half.upto(0)}).layout.showlegend
