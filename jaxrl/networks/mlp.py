"""Multilayer perceptrons with several heads."""

from typing import Any

import haiku as hk
import jax

from jaxrl.networks.activations import activation_by_name
from jaxrl.networks.convolution import Convolutions, check_images
from jaxrl.networks.encoding import encode
from jaxrl.networks.initialization import hidden_scale, transform
from jaxrl.networks.linear import Linear
from jaxrl.networks.options import LayerOptions
from jaxrl.spaces import Space


class Layers(hk.Module):
    """Linear layers of these widths, an activation after each: `haiku.nets.MLP` with `Linear` from here."""

    def __init__(self, widths: tuple[int, ...], options: LayerOptions | None = None, name: str | None = None):
        super().__init__(name=name)
        self.options = options or LayerOptions()
        scale = hidden_scale(self.options.initializer)
        self.layers = [
            Linear(width, self.options.initializer, scale, name=f"linear_{i}") for i, width in enumerate(widths)
        ]

    def __call__(self, features: jax.Array) -> jax.Array:
        """f32[batch, widths[-1]] for f32[batch, features]."""
        activation = activation_by_name(self.options.activation)
        for i, layer in enumerate(self.layers):
            features = layer(features)
            if self.options.layer_norm:
                features = hk.LayerNorm(-1, create_scale=True, create_offset=True, name=f"layer_norm_{i}")(features)
            features = activation(features)
        return features


class Torso:
    """What heads stand on: an encoder and hidden layers."""

    def __init__(self, space: Space, hidden: tuple[int, ...], options: LayerOptions):
        """A torso that reads observations of `space`.

        Raises:
          ValueError: the encoder can't read them.
        """
        if options.encoder == "convolution":
            check_images(space, options)
        self.space = space
        self.hidden = hidden
        self.options = options

    def __call__(self, observations: Any, name: str) -> jax.Array:
        """f32[batch, features] for observations `[batch, ...]`; `name` is that of its parameters."""
        if self.options.encoder == "convolution":
            features = Convolutions(self.options, name=f"{name}_encoder")(observations)
        else:
            features = encode(observations, self.space, self.options.inputs)
        return Layers(self.hidden, self.options, name=name)(features) if self.hidden else features


def mlp(
    space: Space,
    hidden: tuple[int, ...],
    heads: tuple[int, ...],
    inputs: str = "raw",
    *,
    head_scales: tuple[float, ...] | None = None,
    **options: Any,
) -> hk.Transformed:
    """A multilayer perceptron with one linear head or several on its last layer.

    Without hidden layers the heads are linear in the observation: tables, where that is discrete.

    Args:
      space: of the observations.
      hidden: widths of the hidden layers.
      heads: widths of the heads.
      inputs: how observations are read, one of `INPUTS`.
      head_scales: what the initial weights of each head are multiplied by; None: 1.
      **options: other fields of `LayerOptions`, such as the activation and the encoder.

    Returns:
      A transformed function of (params, observations[batch, ...]) without random numbers, which gives a
      tuple of f32[batch, head], one a head.

    Raises:
      ValueError: an option has an unknown value, or there are not as many scales as heads.
      TypeError: an option does not exist, or its value has a wrong type.
    """
    layers = LayerOptions(inputs=inputs, **options)
    torso = Torso(space, hidden, layers)
    scales = (1.0,) * len(heads) if head_scales is None else head_scales
    if len(scales) != len(heads):
        raise ValueError(f"head_scales = {head_scales!r} must have one scale for each of the {len(heads)} heads")

    def forward(observations: Any) -> tuple[jax.Array, ...]:
        features = torso(observations, "mlp")
        return tuple(
            Linear(size, layers.initializer, scale, name=f"head_{i}")(features)
            for i, (size, scale) in enumerate(zip(heads, scales, strict=True))
        )

    return transform(forward)
