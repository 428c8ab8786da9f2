"""The small parts: norms, rotary angles, gated MLP."""

import jax
import jax.numpy as jnp
import numpy as np
import plain
import pytest

from ttt_core.layers import MLP, at_least_float32, build_norm, rotary_angles, rotate


@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
def test_rotary_angles_are_exact_to_two_million_positions(theta):
    positions = np.r_[0:50, 131_071:131_080, 999_990:1_000_010, 1_999_990:2_000_001]
    found = rotary_angles(jnp.asarray(positions), 64, theta, jnp.float32)
    angle = positions[:, None] * theta ** (-np.arange(0, 64, 2) / 64)
    error = np.asarray(found, np.float64) - angle
    error -= 2 * np.pi * np.round(error / (2 * np.pi))
    assert np.abs(error).max() < 5e-7
    assert found.dtype == jnp.float32 and np.abs(found).max() <= np.pi + 1e-5


def test_rotating_is_a_complex_product_on_neighbouring_pairs(getkey):
    with jax.enable_x64(True):
        x = jax.random.normal(getkey(), (5, 2, 8))
        positions = jnp.asarray([0, 1, 7, 300, 70_000])
        expected = plain.rotate(np.asarray(x), np.asarray(positions), 100.0)
        np.testing.assert_allclose(rotate(x, positions, 100.0), expected, atol=1e-8)


def test_rotation_shows_only_differences_of_positions(getkey):
    q, k = jax.random.normal(getkey(), (2, 6, 1, 32))
    near, far = jnp.arange(6), jnp.arange(6) + 1_000_000
    scores = lambda at: jnp.einsum(
        "qhd,khd->qk", rotate(q, at, 10_000.0), rotate(k, at, 10_000.0)
    )
    np.testing.assert_allclose(scores(near), scores(far), atol=2e-5)


def test_a_norm_gives_unit_mean_square_in_the_inputs_dtype(getkey):
    norm = build_norm(16, 1e-6)
    x = 7 * jax.random.normal(getkey(), (3, 16))
    np.testing.assert_allclose(jnp.mean(norm(x) ** 2, axis=-1), 1, rtol=1e-5)
    assert norm(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    assert norm(jnp.zeros((1, 16))).max() == 0


def test_float32_means_at_least_float32():
    assert at_least_float32(jnp.ones(1, jnp.bfloat16)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert at_least_float32(jnp.ones(1)).dtype == jnp.float64


def test_the_gated_mlp_is_its_formula(getkey):
    with jax.enable_x64(True):
        mlp = MLP(
            jax.random.normal(getkey(), (4, 6)),
            jax.random.normal(getkey(), (4, 6)),
            jax.random.normal(getkey(), (6, 4)),
        )
        x = jax.random.normal(getkey(), (3, 4))
        expected = plain._mlp(jax.tree.map(np.asarray, mlp), np.asarray(x))
        np.testing.assert_allclose(mlp(x), expected, atol=1e-12)
