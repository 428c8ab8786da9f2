"""Figures of comparisons, decompositions and tunings: they draw what was measured."""

import dataclasses

import numpy as np
import pytest
from synthetic_readings import family, readings, system, text_of

from lab import plots, results
from lab.bench.reading import ReadingBench, Row
from lab.evals import compare, decompose, tune_inner
from lab.plots import compare as positions
from lab.plots import theme


def comparison(systems, found):
    return compare.compare(systems, found, text_of(found))


def decomposed(a, b, found):
    return decompose.decompose(a, b, found, text_of(found))


def whole(result):
    """The same numbers, as if documents had been read whole."""
    text = dataclasses.replace(result.text, length=None)
    return dataclasses.replace(result, text=text)


@pytest.fixture(scope="module")
def compared():
    return comparison(*family())


@pytest.fixture(scope="module")
def taken():
    systems, found = family()
    return decomposed(*systems, found)


def named(figure):
    return {trace.name: trace for trace in figure.data if trace.showlegend is not False}


def test_every_system_has_its_line_and_frozen_twins_are_dashed(compared):
    lines = named(plots.loss_by_position(compared))
    assert list(lines) == ["a", "a, frozen", "b"]
    curve = compared.losses["b"].curves["half_doublings"]
    assert list(lines["b"].y) == list(curve.mean)
    assert lines["a"].line.color == theme.LEARNING
    assert lines["a, frozen"].line.color == theme.FROZEN
    assert lines["a, frozen"].line.dash == "dash"
    assert len({line.marker.symbol for line in lines.values()}) == 3


def test_gaps_come_with_their_bands(compared):
    figure = plots.gap_by_position(compared)
    assert list(named(figure)) == ["over b", "over a, frozen"]
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    curve = compared.gaps[0].curves["doublings"]
    half = len(curve.high)
    assert tuple(bands[0].y[:half]) == curve.high
    assert tuple(bands[0].y[half:]) == curve.low[::-1]


def test_positions_are_logarithmic_and_the_trained_length_is_marked(compared):
    figure = plots.gap_by_position(compared)
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis.ticktext)[-2:] == ["1K", "4K"]
    (word,) = figure.layout.annotations
    assert "trained to 2K" in word.text and np.isclose(10**word.x, 2048)


def test_a_text_within_the_trained_length_has_no_mark():
    result = comparison(*family(length=1024))
    assert not plots.loss_by_position(result).layout.annotations


def test_lines_are_dotted_where_fewer_novels_reach():
    losses = {"a": lambda t: 0 * t, "b": lambda t: 0 * t + 1}
    found = readings(losses, [("x", 4096), ("y", 1024), ("z", 1024)], spread=0.1)
    systems = [system(name, learns=False) for name in losses]
    result = comparison(systems, found)
    solid, dotted = plots.gap_by_position(result).data[1:3]
    assert dotted.line.dash == "dot" and dotted.showlegend is False
    beyond = solid.x > 1024
    assert np.isnan(solid.y[beyond]).all() and np.isfinite(dotted.y[beyond]).all()
    assert len(plots.loss_by_position(result).data) == 2, "losses end there"
    band = plots.gap_by_position(result).data[0]
    assert max(band.x) < 1024, "two systems on one novel have no band"


def test_title_pages_of_whole_novels_are_not_drawn(compared, taken):
    for draw, result in (
        (plots.loss_by_position, compared),
        (plots.gap_by_position, compared),
        (plots.parts_by_position, taken),
    ):
        drawn = [min(trace.x) for trace in draw(whole(result)).data]
        assert min(drawn) > 1024 and max(drawn) < 2048
    bars = plots.decomposition(whole(taken)).data[0]
    assert list(bars.x) == ["1K-2K", "2K-4K", "4K-8K"] and len(bars.y) == 3
    short = comparison(*family(length=512))
    assert len(plots.gap_by_position(whole(short)).data[1].x) == 1


def test_the_bars_are_the_parts_and_the_diamond_their_sum(taken):
    figure = plots.decomposition(taken)
    *bars, total = figure.data
    assert [bar.name for bar in bars] == [
        "better start (both frozen)",
        "learning while reading",
    ]
    np.testing.assert_allclose(np.sum([bar.y for bar in bars], axis=0), total.y, 1e-4)
    assert bars[0].x[0] == "0-64" and bars[0].x[-1] == "4K-8K"
    assert figure.layout.barmode == "relative"


def test_a_rivals_learning_hangs_below_zero():
    losses = {"a": 1.0, "a, frozen": 2.0, "b": 2.5, "b, frozen": 3.0}
    losses = {label: lambda t, v=v: 0 * t + v for label, v in losses.items()}
    found = readings(losses, [("x", 256), ("y", 256)], spread=0.1)
    result = decomposed(system("a"), system("b"), found)
    *bars, total = plots.decomposition(result).data
    assert bars[2].name == "b learning" and max(bars[2].y) < 0
    np.testing.assert_allclose(np.sum([bar.y for bar in bars], axis=0), total.y)
    lines = named(plots.parts_by_position(result))
    assert list(lines["b learning"].y) == list(bars[2].y)


def test_one_novel_draws_without_intervals():
    systems, found = family(novels=1)
    compared = comparison(systems, found)
    taken = decomposed(*systems, found)
    for kind, result in (("compare", compared), ("decompose", taken)):
        for figure in plots.result_figures(kind, result).values():
            figure.to_json()


@pytest.fixture(scope="module")
def tuned():
    readers = tune_inner.readers("m", (0.1, 1.0), (0.5, np.inf))
    losses = {
        label: lambda t, r=reader: 0 * t + 5 - (r.lr or 0)
        for label, reader in readers.items()
    }
    found = readings(losses, [("x", 64), ("y", 64)], spread=0.1)
    return tune_inner.tune(found, readers, text_of(found), "m", "s")


def test_tuning_has_a_line_for_each_clip_and_marks_the_best(tuned):
    figure = plots.gain_by_inner_rate(tuned)
    assert list(named(figure)) == ["clip 0.5", "clip inf"]
    assert list(figure.data[0].x) == [0.1, 1.0]
    assert figure.layout.shapes[1].x0 == tuned.best.lr == 1.0


def test_every_figure_has_units_a_title_and_a_clear_page(compared, taken, tuned):
    results = {"compare": compared, "decompose": taken, "tune-inner": tuned}
    for kind, result in results.items():
        for figure in plots.result_figures(kind, result).values():
            assert figure.layout.title.text and figure.layout.showlegend is not False
            assert figure.layout.yaxis.title.text == "nats per token"
            assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
            figure.to_json()


def test_costs_are_drawn_with_logarithmic_axes_and_a_line_each():
    both = (0.2, 0.2)
    row = Row("a", 64, (512, 8192), both, both, (1.0, 1.1), (8, 8), 1.0, 2.0)
    full = dataclasses.replace(row, system="full", reading_ms=(0.1, 3.0))
    result = ReadingBench(5, (), (row, full))
    assert results.open_result(results.to_json(result), ReadingBench) == result
    figures = plots.result_figures("bench-read", result)
    drawn = figures["reading"]
    assert {n: list(line.y) for n, line in named(drawn).items()}["full"] == [0.1, 3.0]
    assert drawn.layout.yaxis.type == drawn.layout.xaxis.type == "log"
    assert list(drawn.layout.yaxis.range) == [-1, 1]
    assert list(figures["writing"].data[0].y) == [1.0, 1.1]


@pytest.mark.parametrize(
    ("tokens", "word"), [(64, "64"), (2048, "2K"), (131_072, "128K"), (2**20, "1M")]
)
def test_positions_are_said_shortly(tokens, word):
    assert positions.short(tokens) == word
