"""Sine, cosine and wrapping against NumPy's in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.trigonometry import sin_cos, wrap


def test_sine_and_cosine_are_right_to_the_last_bits():
    for reach, points in ((4, 400_001), (100, 100_001), (8000, 100_001)):
        angles = np.linspace(-reach, reach, points).astype(np.float32)
        exact = angles.astype(np.float64)
        for own, true in zip(jax.jit(sin_cos)(angles), (np.sin(exact), np.cos(exact)), strict=True):
            assert own.dtype == np.float32
            np.testing.assert_allclose(np.asarray(own, np.float64), true, rtol=0, atol=1.2e-7)


def test_small_angles_keep_their_relative_precision():
    angles = np.geomspace(1e-30, 0.5, 1000).astype(np.float32)
    sin, _ = sin_cos(jnp.asarray(angles))
    np.testing.assert_allclose(np.asarray(sin, np.float64), np.sin(angles.astype(np.float64)), rtol=1.2e-7)


def test_other_types_are_as_exact_as_they_can_be():
    with jax.enable_x64(True):
        angles = np.linspace(-50, 50, 1001)
        for own, true in zip(sin_cos(jnp.asarray(angles)), (np.sin(angles), np.cos(angles)), strict=True):
            np.testing.assert_allclose(own, true, rtol=0, atol=1e-14)


def test_gradients_are_those_of_sine_and_cosine():
    angles = jnp.linspace(-6, 6, 101)
    for part, true in ((0, np.cos), (1, lambda x: -np.sin(x))):
        gradient = jax.vmap(jax.grad(lambda x, part=part: sin_cos(x)[part]))(angles)
        np.testing.assert_allclose(gradient, true(np.asarray(angles)), atol=2e-6)


def test_wrapped_angles_point_the_same_way():
    angles = np.linspace(-40, 40, 10_001)
    wrapped = np.asarray(wrap(jnp.asarray(angles, jnp.float32)), np.float64)
    assert abs(wrapped).max() <= np.pi + 1e-5
    np.testing.assert_allclose(np.exp(1j * wrapped), np.exp(1j * angles), atol=1e-5)
    np.testing.assert_array_equal(wrap(jnp.float32([-3.1, 0, 3.1])), np.float32([-3.1, 0, 3.1]))
