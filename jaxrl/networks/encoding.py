"""How a network reads observations."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.spaces import Box, Space, is_array_space, map_arrays, one_hot


def encode(observations: Any, space: Space, inputs: str) -> jax.Array:
    """Turns raw observations `[batch, ...]` into f32[batch, features]; belongs to the policy.

    Discrete observations become one-hot. With "signs", x becomes (max(x, 0), max(-x, 0)): a board of
    -1, 0 and 1 becomes two planes. The features of observations of several arrays follow one another, those of
    dictionaries in the order of their keys.
    """
    if not is_array_space(space):
        features = map_arrays(lambda space, x: encode(x, space, inputs), space, observations)
        return jnp.concatenate(jax.tree.leaves(features), axis=-1)
    if not isinstance(space, Box):
        return one_hot(space, observations)
    flat = observations.reshape(observations.shape[0], -1).astype(jnp.float32)
    return jnp.concatenate([jax.nn.relu(flat), jax.nn.relu(-flat)], axis=-1) if inputs == "signs" else flat


def example(space: Space, batch: tuple[int, ...] = (1,)) -> Any:
    """Observations `[*batch, ...]` of zeros, to build parameters with."""
    return map_arrays(lambda space: jnp.zeros((*batch, *space.shape), space.dtype), space)
