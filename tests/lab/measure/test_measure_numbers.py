"""Positions and intervals: bins, their means, Student's t, slopes."""

import numpy as np
import pytest
from scipy import stats

from lab.measure import intervals, positions


def test_doublings_begin_with_the_first_chunk_and_end_with_the_text():
    assert positions.doublings(300, 64).tolist() == [0, 64, 128, 256, 300]
    assert positions.doublings(256, 64).tolist() == [0, 64, 128, 256]
    assert positions.doublings(40, 64).tolist() == [0, 40]
    assert positions.doublings(5, 1).tolist() == [0, 1, 2, 4, 5]


def test_finer_steps_keep_the_doublings():
    fine = positions.doublings(16_384, 64, per_doubling=2)
    assert set(positions.doublings(16_384, 64)) <= set(fine)
    assert np.allclose(fine[2:] / fine[1:-1], 2**0.5, atol=0.01)


def test_equal_parts_are_whole_chunks():
    assert positions.equal_parts(1024, 16, grain=64).tolist() == [*range(0, 1025, 64)]
    assert positions.equal_parts(100, 16, grain=64).tolist() == [0, 64, 100]


@pytest.mark.parametrize(("length", "first"), [(0, 1), (4, 0)])
def test_sizes_that_make_no_bins_are_refused(length, first):
    with pytest.raises(ValueError, match=f"length={length}, first={first}"):
        positions.doublings(length, first)


def test_the_middle_of_a_bin_is_geometric_and_the_first_counts_as_a_doubling():
    found = positions.middles(np.array([0, 64, 128, 512]))
    assert np.allclose(found, [64 / 2**0.5, 64 * 2**0.5, 256])


def test_a_bin_is_the_mean_over_all_tokens_in_it():
    arrays = [np.arange(8.0), 10 + np.arange(8.0)]
    found = positions.bin_means(arrays, np.array([0, 2, 8]))
    assert found.tolist() == [5.5, 9.5]


def test_a_bin_that_is_mostly_beyond_the_text_is_left_out():
    edges = np.array([0, 4, 12])
    assert np.isnan(positions.bin_means([np.ones(7)], edges)[1])
    assert positions.bin_means([np.ones(8)], edges)[1] == 1
    both = positions.bin_means([np.ones(7), np.full(12, 3.0)], edges)
    assert both.tolist() == [2, 3], "the short text counts where it covers the bin"


def test_an_interval_is_students_over_novels_that_have_a_value():
    values = np.array([0.1, np.nan, 0.2, 0.4, 0.15])
    found = intervals.interval(values)
    known = stats.ttest_1samp(values[np.isfinite(values)], 0)
    low, high = known.confidence_interval(0.95)
    assert np.allclose([found.low, found.high], [low, high])
    assert found.novels == 4 and found.sign == (low > 0)


def test_one_novel_has_a_mean_and_no_interval():
    found = intervals.interval(np.array([0.3]))
    assert (found.mean, found.novels, found.sign) == (0.3, 1, 0)
    assert not found.is_known and np.isnan([found.low, found.high]).all()
    nothing = intervals.interval(np.array([np.nan]))
    assert np.isnan(nothing.mean) and nothing.novels == 0


@pytest.mark.parametrize("blocks, chunks", [(20, 40), (20, 200), (8, 40), (5, 13)])
def test_batch_means_are_students_over_stretches(blocks, chunks):
    series = np.random.default_rng(0).normal(0.1, 0.3, chunks).cumsum() / chunks
    found = intervals.batch_means(series, blocks)
    means = [part.mean() for part in np.array_split(series, blocks)]
    half = stats.sem(means) * stats.t.ppf(0.975, blocks - 1)
    assert found.mean == pytest.approx(series.mean())
    assert found.half == pytest.approx(half)


def test_a_short_series_has_a_wide_interval_from_its_third_value_on():
    assert not intervals.batch_means([0.1, 0.3]).is_known
    found = intervals.batch_means([0.1, np.nan, 0.3, 0.2])
    assert found.half == pytest.approx(0.1 / 3**0.5 * stats.t.ppf(0.975, 2))
    assert intervals.batch_means(np.arange(12.0)).novels == 6, "two values each"


@pytest.mark.parametrize(
    "right, low, high", [(0, 0.0, 0.1380), (12, 0.3143, 0.6857), (24, 0.8620, 1.0)]
)
def test_the_interval_of_a_share_is_wilsons(right, low, high):
    # by hand from (p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    found = intervals.share(np.arange(24) < right)
    assert found.mean == right / 24 and found.novels == 24
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_the_slope_is_the_change_per_doubling_and_ignores_what_is_outside():
    edges = positions.doublings(16_384, 64, per_doubling=2)
    place = np.log2(positions.middles(edges))
    novels = np.array([0.02, 0.03, 0.04])[:, None] * place + [[0.5], [0.1], [0.3]]
    novels[:, edges[:-1] < 2048] = 9.0
    found = intervals.slope(novels, edges, 2048, 16_384)
    assert np.isclose(found.mean, 0.03)
    assert np.isclose(found.high - found.mean, 0.01 / 3**0.5 * stats.t.ppf(0.975, 2))


def test_too_few_bins_have_no_slope():
    edges = positions.doublings(256, 64)
    found = intervals.slope(np.ones((3, len(edges) - 1)), edges, 64, 256)
    assert found.novels == 0 and np.isnan(found.mean)
