"""Looks in words: the sentence of what was found, how to read it, how long it takes."""

import dataclasses
import math

import pytest

from lab import plots, results
from lab.analysis.anatomy import Anatomy
from lab.analysis.headlines import headline
from lab.analysis.influence import Influence
from lab.analysis.looks import LOOKS, seconds, together
from lab.analysis.overview import Overview
from lab.analysis.retention import Retention
from lab.commands import look
from lab.plots.results import TYPES


STEMS = ("tiny-e2e-ENG18840_Lee", "tiny-e2e-sotu-chronicle")


def published(name, stem=STEMS[0]):
    return results.open_result(f"{name}-{stem}", TYPES[name])


@pytest.mark.parametrize("stem", STEMS)
def test_headlines_of_published_results_are_those_that_were_kept(stem):
    for name, seen in results.open_result(f"all-{stem}", Overview).looks.items():
        assert headline(published(name, stem)) == seen.headline


def test_every_look_has_words_and_they_stand_on_the_page_of_all_looks():
    assert tuple(LOOKS) == look.LOOKS
    for name, words in LOOKS.items():
        assert words.question.endswith("?") and words.look_for.endswith(".")
        assert words.falsified.endswith("."), name


def test_the_time_said_beforehand_grows_with_text_and_model():
    assert seconds("influence", 131_072) > seconds("influence", 8_192) > 0
    assert together(LOOKS, 8_192) > seconds("access", 8_192)
    small, large = (seconds("words", 8_192, size) for size in (2_101_632, 21_016_320))
    assert large > 5 * small
    with pytest.raises(KeyError):
        seconds("nonsense", 1)


def test_said_times_are_near_those_of_the_published_looks():
    for stem in STEMS:
        found = results.open_result(f"all-{stem}", Overview)
        for name, seen in found.looks.items():
            assert 0.4 < seconds(name, 131_072) / seen.seconds < 2.5, name


def test_a_token_has_a_line_to_each_of_its_teachers():
    result = published("influence")
    figure = plots.who_taught(result, 2)
    points, *lines = figure.data
    assert list(points.customdata) == list(range(len(result.taught)))
    taught = result.taught[2]
    assert len(lines) == len(taught.teachers)
    for line, teacher in zip(lines, taught.teachers, strict=True):
        middle = (teacher.chunk + result.span / 2) * result.subject.chunk
        assert line.x[0] == middle and line.x[1] == taught.place


def test_passages_of_teachers_are_text_and_nothing_else():
    result = published("influence")
    one = dataclasses.replace(result.taught[0], token=" <b>", before="\x1b[2J<script>")
    teacher = dataclasses.replace(one.teachers[0], text="a <b> & <script>", nats=0.5)
    one = dataclasses.replace(one, teachers=(teacher,))
    shown = plots.taught_text(dataclasses.replace(result, taught=(one,)))
    assert "<script>" not in shown and "<b>" not in shown and "\x1b" not in shown
    assert shown.count("&lt;b&gt;</span>") == 2 and "read again without it" in shown
    assert plots.taught_text(result, 99) == ""


@pytest.mark.parametrize("nats, is_said", [(0.001, True), (2.0, False)])
def test_teachers_that_were_not_needed_are_said_to_be(nats, is_said):
    result = published("influence")
    one = result.taught[0]
    teacher = dataclasses.replace(one.teachers[0], nats=nats)
    one = dataclasses.replace(one, teachers=(teacher,))
    shown = plots.taught_text(dataclasses.replace(result, taught=(one,)))
    assert ("None of them was needed" in shown) == is_said


def test_a_result_without_taught_tokens_has_an_empty_figure():
    result: Influence = dataclasses.replace(published("influence"), taught=())
    assert len(plots.who_taught(result).data) == 1


def test_blocks_by_weights_hold_what_each_matrix_moved():
    result: Anatomy = published("anatomy")
    for time in (0, 5, -1):
        (heat,) = plots.moved_by_block(result, time).data
        for one in result.text:
            row, column = list(heat.y).index(one.name), result.blocks.index(one.block)
            assert math.isclose(heat.z[row][column], one.moved[time])
            assert f"moved {one.moved[time]:.0%}" in heat.text[row][column]


def test_the_chunks_kept_best_come_first():
    result: Retention = published("retention")
    gains = [gain for _, _, gain in result.best_kept]
    assert gains == sorted(gains, reverse=True) and len(gains) == len(result.rows)
    token, words, gain = result.best_kept[0]
    row = result.rows.index(token // result.subject.chunk)
    assert (result.words[row], result.gain[row][-1]) == (words, gain)
