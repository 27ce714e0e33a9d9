"""Haiku networks. The member axis is added by `vmap`, so that batched products lead with it."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from jaxrl.spaces import Box, Discrete, Space

INPUTS = ("raw", "signs")
"""How a network reads an observation: as it is, or its positive and its negative part apart."""


def encode(observations: jax.Array, space: Space, inputs: str) -> jax.Array:
    """Turns raw observations `[batch, ...]` into f32[batch, features]; belongs to the policy.

    Discrete observations become one-hot. With "signs", x becomes (max(x, 0), max(-x, 0)): a board of
    -1, 0 and 1 becomes two planes.
    """
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observations, space.n)
    flat = observations.reshape(observations.shape[0], -1).astype(jnp.float32)
    return jnp.concatenate([jax.nn.relu(flat), jax.nn.relu(-flat)], axis=-1) if inputs == "signs" else flat


def mlp(space: Space, hidden: tuple[int, ...], heads: tuple[int, ...], inputs: str = "raw") -> hk.Transformed:
    """A ReLU multilayer perceptron with one linear head or several on its last layer.

    Without hidden layers the heads are linear in the observation: tables, where that is discrete.

    Returns:
      A transformed function of (params, observations[batch, ...]) without random numbers, which gives a
      tuple of f32[batch, head], one a head.
    """

    def forward(observations: jax.Array) -> tuple[jax.Array, ...]:
        features = encode(observations, space, inputs)
        if hidden:
            features = hk.nets.MLP(hidden, activate_final=True)(features)
        return tuple(hk.Linear(size, name=f"head_{i}")(features) for i, size in enumerate(heads))

    return hk.without_apply_rng(hk.transform(forward))


def example(space: Box | Discrete) -> Any:
    """One observation of zeros, to build parameters with."""
    return jnp.zeros(space.shape, space.dtype)
