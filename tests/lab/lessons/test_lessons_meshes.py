"""Where a model lies on a mesh, said before anything is built."""

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab.lessons import meshes
from lab.plots import meshes as plots


CONFIG = ttt.preset("nano").replace(
    d_model=32, heads=8, layers=2, d_ff=48, d_fast=64, window=16, chunk=8
)


def whole(config) -> int:
    return sum(lies.nbytes for lies in meshes.layout(config, data=1, cut=1).arrays)


def test_what_divides_is_cut_and_the_rest_is_copied():
    found = meshes.layout(CONFIG, data=2, cut=4)
    pieces = {lies.name: lies.pieces for lies in found.arrays}
    assert {n for n, many in pieces.items() if many == 1} == {
        "embed",
        "norms",
        "wk",
        "wv",
    }
    assert pieces["wq"] == pieces["down"] == pieces["fast down"] == 4
    assert found.copied < found.per_device < whole(CONFIG)


def test_one_device_holds_all_and_each_byte_once():
    found = meshes.layout(CONFIG, data=1, cut=1)
    arrays = CONFIG.build(key=jax.random.key(0))
    leaves = jax.tree.leaves(arrays)
    assert found.per_device == sum(leaf.nbytes for leaf in leaves)


@pytest.mark.parametrize(("data", "cut"), [(8, 1), (2, 4), (1, 8)])
def test_sequences_lie_along_data_and_pieces_along_model(data, cut):
    cells = meshes.layout(CONFIG, data=data, cut=cut).cells
    share, many = cells["sequences"]
    assert many == data
    np.testing.assert_array_equal(share, np.repeat(np.arange(1, data + 1), cut))
    piece, many = cells["fast gate"]
    assert many == cut
    np.testing.assert_array_equal(piece, np.tile(np.arange(1, cut + 1), data))


def test_the_map_says_which_piece_lies_where():
    (drawn,) = plots.who_holds(meshes.layout(CONFIG, data=2, cut=4)).data
    row = list(drawn.y).index("fast gate")
    assert list(drawn.text[row]) == 2 * [f"{i} of 4" for i in range(1, 5)]
    assert set(drawn.text[list(drawn.y).index("embed")]) == {"all"}


def test_weights_that_do_not_differ_are_not_drawn():
    gradient = np.array([1e-7, -1.0, 0.0])
    (points,) = plots.moved_apart(gradient, {"AdamW": np.array([1e-5, 0, 1e-3])}).data
    np.testing.assert_allclose(points.x, [1e-7])


def test_of_many_points_the_few_with_small_gradients_are_all_drawn():
    gradient = np.concatenate([[1e-7, 3e-7, 1e-6], np.linspace(0.1, 1, 50_000)])
    (points,) = plots.moved_apart(gradient, {"AdamW": np.ones(50_003)}).data
    np.testing.assert_allclose(points.x[:3], [1e-7, 3e-7, 1e-6])
    assert 100 < len(points.x) <= plots.MOST


def test_memory_is_stacked_in_gib_beside_what_the_device_has():
    found = plots.memory({"cut in 2": {"weights": 2**30, "kept": 2**31}}, 80)
    assert [bar.x[0] for bar in found.data] == [1, 2]
    assert found.layout.shapes[0].x0 == 80
