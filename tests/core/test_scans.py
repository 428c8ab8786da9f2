"""Rows in groups: the loop over the pieces, whatever is left over."""

import jax.numpy as jnp
import numpy as np
import pytest

from ttt_core.scans import cut_groups, scan_groups


pytestmark = pytest.mark.bits  # also compiled as people compile: `make slow`


def add_up(total, group):
    """Running sums of the rows of a group, and nothing of no width."""
    sums = total[None] + jnp.cumsum(group["x"], axis=0)
    return sums[-1], {"sums": sums, "nothing": jnp.zeros((len(sums), 0))}


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 9])
def test_every_row_is_seen_once_and_in_order(length):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(length, 2)), jnp.float32)
    seen = []

    def step(total, group):
        seen.append(len(group["x"]))
        return add_up(total, group)

    total, results = scan_groups(step, jnp.zeros(2), {"x": x, "none": None}, 3)
    np.testing.assert_allclose(results["sums"], jnp.cumsum(x, axis=0), rtol=1e-5)
    np.testing.assert_array_equal(total, results["sums"][-1])
    assert results["nothing"].shape == (length, 0)
    assert max(seen) <= 3 and seen[-1] == (length % 3 or 3)


def test_no_rows_leave_the_carry_alone():
    """An empty group would have no mean."""
    step = lambda total, group: (total + jnp.mean(group), 2 * group)
    total, results = scan_groups(step, jnp.ones(()), jnp.zeros((0, 2)), 3)
    assert float(total) == 1 and results.shape == (0, 2)


@pytest.mark.parametrize(("length", "groups"), [(0, 0), (2, 0), (3, 1), (8, 2)])
def test_only_whole_groups_are_cut(length, groups):
    rows = {"x": jnp.arange(2 * length).reshape(length, 2)}
    cut, rest = cut_groups(rows, 3)
    assert cut["x"].shape == (groups, 3, 2) and len(rest["x"]) == length % 3
    joined = jnp.concatenate([cut["x"].reshape(-1, 2), rest["x"]])
    np.testing.assert_array_equal(joined, rows["x"])
