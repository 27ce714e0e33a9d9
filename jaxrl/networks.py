"""Haiku networks. The member axis is added by `vmap`, so that batched products lead with it."""

import functools
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.spaces import Box, Discrete, Space

INPUTS = ("raw", "signs")
"""How a network reads an observation: as it is, or its positive and its negative part apart."""
NARROW = 4
"""The most elements that a contraction is written out for."""


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
            features = Layers(hidden, name="mlp")(features)
        return tuple(Linear(size, name=f"head_{i}")(features) for i, size in enumerate(heads))

    return hk.without_apply_rng(hk.transform(forward))


class Layers(hk.Module):
    """Linear layers of these widths, a ReLU after each: `haiku.nets.MLP` with `Linear` from here."""

    def __init__(self, widths: tuple[int, ...], name: str):
        super().__init__(name=name)
        self.layers = [Linear(width, name=f"linear_{i}") for i, width in enumerate(widths)]

    def __call__(self, features: jax.Array) -> jax.Array:
        """f32[batch, widths[-1]] for f32[batch, features]."""
        for layer in self.layers:
            features = jax.nn.relu(layer(features))
        return features


class Linear(hk.Module):
    """`haiku.Linear` of a default start with the gradient of `product`: parameters, names and values are the same."""

    def __init__(self, size: int, name: str):
        super().__init__(name=name)
        self.size = size

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """f32[batch, size] for f32[batch, features]."""
        features = inputs.shape[-1]
        init = hk.initializers.TruncatedNormal(1 / np.sqrt(features))
        weights = hk.get_parameter("w", (features, self.size), inputs.dtype, init)
        return product(inputs, weights) + hk.get_parameter("b", (self.size,), inputs.dtype, jnp.zeros)


@jax.custom_vjp
def product(inputs: jax.Array, weights: jax.Array) -> jax.Array:
    """The matrix product f32[batch, n] of f32[batch, m] and f32[m, n].

    On a CPU its gradients are products of transposed matrices, where JAX's own contract over the batch: those run
    at half the speed in XLA there. Gradients backwards only: it can't be differentiated forwards (`jax.jvp`).
    """
    return inputs @ weights


def _product_forward(inputs: jax.Array, weights: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return inputs @ weights, (inputs, weights)


def _product_backward(kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, weights = kept

    def on_cpu(inputs: jax.Array, weights: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        # The barrier keeps XLA from folding the transposition into the product again.
        return _narrow(gradient, weights.T), jax.lax.optimization_barrier(inputs.T) @ gradient

    def elsewhere(inputs: jax.Array, weights: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        return gradient @ weights.T, inputs.T @ gradient

    return jax.lax.platform_dependent(inputs, weights, gradient, cpu=on_cpu, default=elsewhere)


def _narrow(left: jax.Array, right: jax.Array) -> jax.Array:
    """The matrix product; a contraction over few elements as a sum of outer products, which fuse with what follows."""
    if right.shape[0] > NARROW:
        return left @ right
    return functools.reduce(jnp.add, (left[:, k : k + 1] * right[k] for k in range(right.shape[0])))


product.defvjp(_product_forward, _product_backward)


def example(space: Box | Discrete) -> Any:
    """One observation of zeros, to build parameters with."""
    return jnp.zeros(space.shape, space.dtype)
