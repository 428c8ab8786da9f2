"""The needle grid: cells are what single readings say, exactly nothing out of reach."""

import numpy as np
import pytest

import ttt_core as ttt
from lab.data import needles, tokenizers
from lab.measure.answers import ask
from lab.reading.grid import Grid
from lab.reading.programs import Loaded, Programs


TEXT = "The ships came in, one after the other. " * 20
NEEDLE = needles.from_sentence("The cat is called Tom.")
LENGTHS, DEPTHS = (96, 320), (0.0, 0.5, 0.9)


def made(model, name="nano"):
    return Programs(name, load=lambda name: Loaded(model, name, "bytes", "f" * 64))


@pytest.fixture(scope="module")
def programs(nano):
    return made(nano).wait("needle")


@pytest.fixture(scope="module")
def grid(programs):
    return Grid(programs, TEXT, NEEDLE, LENGTHS, DEPTHS).finish()


def test_a_cell_is_what_two_whole_readings_say(nano, grid):
    words = tokenizers.load("bytes")
    for i, depth in enumerate(DEPTHS):
        text = TEXT[: LENGTHS[1] - len(NEEDLE.sentence) - 1]
        one = needles.plant(words, text, NEEDLE, depth)
        read = lambda ids: ttt.read(nano, ttt.init_state(nano), ids)[0]
        cost = [
            ask(nano, read(ids), one.prompt, one.answer).nats
            for ids in (one.present, one.absent)
        ]
        assert grid.nats[i, 1] == pytest.approx(cost[1] - cost[0], abs=1e-5)
        assert grid.distances[i, 1] == len(one.present) - one.stop
    assert np.isfinite(grid.nats).all() and not grid.error


def test_what_is_read_is_counted_to_the_end(grid):
    assert grid.read == grid.total > 0


def test_without_learning_nothing_is_left_out_of_reach(nano):
    frozen = made(ttt.without_learning(nano), "frozen")
    grid = Grid(frozen, TEXT, NEEDLE, LENGTHS, DEPTHS).finish()
    far = grid.distances > grid.reach
    assert far.any() and not far.all()
    np.testing.assert_allclose(grid.nats[far], 0, atol=1e-6)
    assert np.abs(grid.nats[~far]).min() > 1e-4


def test_a_grid_can_be_stopped_and_keeps_its_cells(programs):
    grid = Grid(programs, TEXT, NEEDLE, LENGTHS, DEPTHS)
    while np.isnan(grid.nats[0, 0]):
        grid.step(0.0001)
    grid.stop()
    assert grid.done and np.isfinite(grid.nats[:, 0]).all()
    assert np.isnan(grid.nats[:, 1]).all() and np.isnan(grid.step().nats[:, 1]).all()


def test_lengths_that_the_text_does_not_fill_are_left_out(programs):
    assert Grid(programs, TEXT, NEEDLE, (96, 10_000), DEPTHS).lengths == (96,)
    with pytest.raises(ValueError, match="begins at 10,000"):
        Grid(programs, TEXT, NEEDLE, (10_000,), DEPTHS)
