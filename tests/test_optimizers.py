"""Optimizers, against optax's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrl import optimizers


def _gradients(scale: float) -> dict[str, jax.Array]:
    draw = np.random.default_rng(0).normal
    shapes = {"w": (5, 64), "b": (64,), "kernel": (3, 3, 4, 8), "scalar": ()}
    return {name: jnp.asarray(draw(size=shape) * scale, jnp.float32) for name, shape in shapes.items()}


def test_the_norm_is_that_of_all_elements() -> None:
    gradients = _gradients(3.0)
    flat = np.concatenate([np.asarray(x, np.float64).ravel() for x in gradients.values()])
    np.testing.assert_allclose(optimizers.global_norm(gradients), np.sqrt((flat**2).sum()), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_clipping_is_that_of_optax(scale: float) -> None:
    gradients = _gradients(scale)
    ours, _ = optimizers.clip_by_global_norm(0.5).update(gradients, optax.EmptyState())
    theirs, _ = optax.clip_by_global_norm(0.5).update(gradients, optax.EmptyState())
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, err_msg=name)


def test_every_member_is_clipped_by_its_own_norm() -> None:
    both = jax.tree.map(lambda *x: jnp.stack(x), _gradients(1e-3), _gradients(100.0))
    clip = jax.vmap(lambda x: optimizers.clip_by_global_norm(0.5).update(x, optax.EmptyState())[0])
    norms = jax.vmap(optax.global_norm)(clip(both))
    np.testing.assert_allclose(norms, [optax.global_norm(_gradients(1e-3)), 0.5], rtol=1e-5)
