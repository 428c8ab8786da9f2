"""Systems solved by products: LAPACK's answers, at any size, slopes included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ttt_core.mixers.triangular import inverse_unit_lower, solve_unit_lower


def draw(size, *lead, scale=0.3, seed=0):
    random = np.random.default_rng(seed)
    return scale * random.normal(size=(*lead, size, size))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 13, 64, 100])
def test_solutions_are_lapacks(size):
    matrix, rhs = draw(size, 2, 3), draw(size, 2, 3, seed=1)[..., : max(1, size // 2)]
    with jax.enable_x64(True):
        found = solve_unit_lower(jnp.asarray(matrix), jnp.asarray(rhs))
    system = np.eye(size) + np.tril(matrix, -1)
    np.testing.assert_allclose(found, np.linalg.solve(system, rhs), rtol=1e-9)


def test_keys_that_are_all_alike_keep_their_digits():
    """Powers of this matrix reach 1e18, its inverse has nothing above 1."""
    lower = jnp.tril(jnp.ones((64, 64), jnp.float32), -1)
    expected = np.eye(64) - np.eye(64, k=-1)
    np.testing.assert_allclose(inverse_unit_lower(lower), expected, atol=1e-6)


def test_slopes_are_those_of_finite_differences_twice():
    with jax.enable_x64(True):
        solve = lambda *ab: solve_unit_lower(*map(jnp.asarray, ab))
        check_grads(solve, (draw(7), draw(7, seed=1)), order=2, modes=("fwd", "rev"))
