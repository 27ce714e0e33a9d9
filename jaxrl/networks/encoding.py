"""How a network reads observations."""

import jax
import jax.numpy as jnp

from jaxrl.spaces import Discrete, Space


def encode(observations: jax.Array, space: Space, inputs: str) -> jax.Array:
    """Turns raw observations `[batch, ...]` into f32[batch, features]; belongs to the policy.

    Discrete observations become one-hot. With "signs", x becomes (max(x, 0), max(-x, 0)): a board of
    -1, 0 and 1 becomes two planes.
    """
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observations, space.n)
    flat = observations.reshape(observations.shape[0], -1).astype(jnp.float32)
    return jnp.concatenate([jax.nn.relu(flat), jax.nn.relu(-flat)], axis=-1) if inputs == "signs" else flat


def example(space: Space) -> jax.Array:
    """One observation of zeros, to build parameters with."""
    return jnp.zeros(space.shape, space.dtype)
