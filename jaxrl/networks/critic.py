"""Values of actions that are inputs."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from jaxrl.networks.encoding import encode
from jaxrl.networks.initialization import transform
from jaxrl.networks.linear import Linear
from jaxrl.networks.mlp import Layers
from jaxrl.networks.options import LayerOptions
from jaxrl.spaces import Space


def critic(space: Space, hidden: tuple[int, ...], **options: Any) -> hk.Transformed:
    """The value of an action in a state; observation and action enter the first layer together.

    Args:
      space: of the observations.
      hidden: widths of the hidden layers.
      **options: fields of `LayerOptions`.

    Returns:
      A transformed function of (params, observations[batch, ...], actions f32[batch, d]) without random numbers, which
      gives f32[batch].

    Raises:
      ValueError: an option has an unknown value.
      TypeError: an option does not exist, or its value has a wrong type.
    """
    layers = LayerOptions(**options)

    def forward(observations: Any, actions: jax.Array) -> jax.Array:
        features = jnp.concatenate([encode(observations, space, layers.inputs), actions], axis=-1)
        features = Layers(hidden, layers, name="critic")(features)
        return Linear(1, layers.initializer, name="value_head")(features)[:, 0]

    return transform(forward)
