"""A gap taken apart: the parts add up, and the first chunks are asked alone."""

import numpy as np
import pytest
from synthetic_readings import family, readings, system, text_of

from lab.evals import decompose


def taken(a, b, found):
    return decompose.decompose(a, b, found, text_of(found))


def test_the_parts_add_up_to_the_gap_at_every_position():
    systems, found = family()
    parts = taken(*systems, found)
    assert parts.rival is None
    for grid in ("doublings", "linear"):
        gaps = (parts.total, parts.start, parts.learning)
        total, start, learning = (np.array(gap.curves[grid].mean) for gap in gaps)
        assert np.allclose(total, start + learning)
    assert np.isclose(parts.start.overall.mean, 0.2)
    assert np.isclose(parts.learning.first_chunk.mean, 0.015)
    assert np.isclose(parts.share, 0.2 / parts.total.overall.mean)


def test_a_rival_that_learns_counts_against_the_gap():
    losses = {"a": 1.0, "a, frozen": 2.0, "b": 2.5, "b, frozen": 3.0}
    losses = {label: lambda t, v=v: 0 * t + v for label, v in losses.items()}
    found = readings(losses, [("x", 256), ("y", 256)])
    parts = taken(system("a"), system("b"), found)
    means = [
        gap.overall.mean
        for gap in (parts.total, parts.start, parts.learning, parts.rival)
    ]
    assert means == [1.5, 1.0, 1.0, 0.5]


def test_only_a_learner_can_be_taken_apart():
    systems, found = family()
    with pytest.raises(ValueError, match="'b' does not learn"):
        taken(systems[1], systems[0], found)


class Documents:
    """Two documents of ids, as shards give them; one is shorter than a chunk."""

    def __init__(self):
        self.ids = [np.arange(90) % 50, np.arange(3)]

    def __len__(self):
        return 2

    def tokens(self, document):
        return self.ids[document]


def test_starts_are_the_first_chunks_of_many_places(nano):
    import ttt_core as ttt

    told = []
    found = decompose.measure_starts(nano, Documents(), 16, 3, told.append)
    rows = [(np.arange(at, at + 16) % 50).astype(np.int32) for at in (0, 37, 74)]
    known = [ttt.read(nano, ttt.init_state(nano), row)[1].nll for row in rows]
    assert np.isclose(found[0], np.mean(known), atol=1e-5)
    assert np.isnan(found[1]) and sum(told) == 48
