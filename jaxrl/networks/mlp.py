"""Multilayer perceptrons with several heads."""

import dataclasses
from typing import Any

import haiku as hk
import jax

from jaxrl.networks.activations import activation_by_name
from jaxrl.networks.encoding import encode
from jaxrl.networks.initialization import Initializer, check_initializer, hidden_scale, transform
from jaxrl.networks.linear import Linear
from jaxrl.spaces import Space


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """What all hidden layers of a network share."""

    activation: str = "relu"
    """Name of the activation function."""
    layer_norm: bool = False
    """Normalise what goes into the activation (Ba et al., 2016)."""
    initializer: str | Initializer = "truncated_normal"
    """Of the weights: a name, or a Haiku initializer."""

    def __post_init__(self) -> None:
        """Checks the names.

        Raises:
          ValueError: the activation or the initializer is unknown.
          TypeError: the initializer is neither a name nor callable.
        """
        activation_by_name(self.activation)
        check_initializer(self.initializer)


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
      **options: the fields of `LayerOptions`: activation, layer_norm, initializer.

    Returns:
      A transformed function of (params, observations[batch, ...]) without random numbers, which gives a
      tuple of f32[batch, head], one a head.

    Raises:
      ValueError: an option has an unknown value, or there are not as many scales as heads.
      TypeError: an option does not exist, or its value has a wrong type.
    """
    layers = LayerOptions(**options)
    scales = (1.0,) * len(heads) if head_scales is None else head_scales
    if len(scales) != len(heads):
        raise ValueError(f"head_scales = {head_scales!r} must have one scale for each of the {len(heads)} heads")

    def forward(observations: jax.Array) -> tuple[jax.Array, ...]:
        features = encode(observations, space, inputs)
        if hidden:
            features = Layers(hidden, layers, name="mlp")(features)
        return tuple(
            Linear(size, layers.initializer, scale, name=f"head_{i}")(features)
            for i, (size, scale) in enumerate(zip(heads, scales, strict=True))
        )

    return transform(forward)


def actor_critic(
    space: Space,
    hidden: tuple[int, ...],
    action_outputs: int,
    *,
    shared: bool = False,
    inputs: str = "raw",
    head_scales: tuple[float, float] = (0.01, 1.0),
    activation: str = "tanh",
    initializer: str | Initializer = "orthogonal",
    **options: Any,
) -> hk.Transformed:
    """A policy and a value of the same observation. The defaults are PPO's (Huang et al., 2022).

    Args:
      space: of the observations.
      hidden: widths of the hidden layers, of the policy and of the value alike.
      action_outputs: numbers that the policy needs, such as one logit an action.
      shared: whether policy and value read the same hidden layers; otherwise each has its own.
      inputs: how observations are read, one of `INPUTS`.
      head_scales: what the initial weights of the policy's and of the value's head are multiplied by.
      activation: of the hidden layers, one of `ACTIVATIONS`.
      initializer: of all weights: one of `INITIALIZERS`, or a Haiku initializer.
      **options: other fields of `LayerOptions`: layer_norm.

    Returns:
      A transformed function of (params, observations[batch, ...]) without random numbers, which gives
      (f32[batch, action_outputs], f32[batch]). Where only one of them is used, a compiled program computes only that.

    Raises:
      ValueError: an option has an unknown value.
      TypeError: an option does not exist, or its value has a wrong type.
    """
    layers = LayerOptions(activation=activation, initializer=initializer, **options)

    def forward(observations: jax.Array) -> tuple[jax.Array, jax.Array]:
        policy = value = encode(observations, space, inputs)
        if hidden and shared:
            policy = value = Layers(hidden, layers, name="mlp")(policy)
        elif hidden:
            policy = Layers(hidden, layers, name="policy")(policy)
            value = Layers(hidden, layers, name="value")(value)
        logits = Linear(action_outputs, layers.initializer, head_scales[0], name="policy_head")(policy)
        return logits, Linear(1, layers.initializer, head_scales[1], name="value_head")(value)[:, 0]

    return transform(forward)
