"""Activation functions by name."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Activation = Callable[[jax.Array], jax.Array]

ACTIVATIONS: dict[str, Activation] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}
"""The activation functions that networks know by name."""


def activation_by_name(name: str) -> Activation:
    """The activation function of this name.

    Raises:
      ValueError: there is none.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation = {name!r} is unknown: choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
