"""A long reading is drawn with few points that say the same."""

import numpy as np
import pytest
from synthetic_trace import synthetic

from lab import plots
from lab.plots.coarse import coarse, together


@pytest.fixture(scope="module")
def trace():
    return synthetic(chunks=1_000)


def test_a_short_reading_stays_as_it_is(trace):
    assert coarse(trace, 1_000) is trace and together(trace, 1_000) == 1


@pytest.mark.parametrize("most", [500, 400, 64])
def test_points_are_few_and_say_the_same(trace, most):
    few, size = coarse(trace, most), together(trace, most)
    assert most / 2 < few.filled + 1 and few.filled <= most
    whole = few.filled * size
    np.testing.assert_allclose(few.loss[1], trace.loss[size : 2 * size].mean(), 1e-6)
    mean = trace.gain[:whole].mean()
    np.testing.assert_allclose(few.mean_gain[-1], mean, rtol=1e-4)
    np.testing.assert_array_equal(few.drift[-1], trace.drift[whole - 1])
    last = trace.recall(learning=True)[size - 1 : whole : size]
    np.testing.assert_array_equal(few.recall(learning=True), last)
    np.testing.assert_array_equal(few.ends, trace.ends[size - 1 : whole : size])


def test_what_is_sent_stays_as_large_as_it_was(trace):
    draw = (plots.loss_per_chunk, plots.gain, plots.drift, plots.recall, plots.overview)
    for figure in draw:
        whole, few = (len(figure(t).to_json()) for t in (trace, coarse(trace, 100)))
        assert few < whole / 2, figure.__name__
