"""The needle grid as a figure: every cell in its place, attention's reach drawn."""

import numpy as np

from lab import plots


NATS = np.array([[1.0, np.nan], [-0.5, 2.0]])


def test_a_cell_stands_at_its_length_and_depth_and_unknown_ones_are_empty():
    cells, line = plots.needle_grid(NATS, (512, 1024), (0.0, 0.5), reach=256).data
    np.testing.assert_array_equal(cells.z, NATS)
    assert cells.text == (["+1.00", ""], ["-0.50", "+2.00"]) and cells.zmax == 2
    # Of 512 tokens the reach holds the second row, of 1,024 none.
    assert line.y == (0.5, 0.5, 1.5, 1.5) and "256" in line.name


def test_a_grid_that_has_no_cell_yet_is_drawn():
    figure = plots.needle_grid(np.full((2, 2), np.nan), (512, 1024), (0.0, 0.5))
    assert len(figure.data) == 1 and figure.data[0].zmax == 1
