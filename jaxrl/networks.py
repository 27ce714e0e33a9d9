"""Haiku networks. The member axis is added by `vmap`, so that batched products lead with it."""

import functools
import math
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
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
      tuple of f32[batch, head], one a head. Its parameters begin as by `draw`.
    """

    def forward(observations: jax.Array) -> tuple[jax.Array, ...]:
        features = encode(observations, space, inputs)
        if hidden:
            features = Layers(hidden, name="mlp")(features)
        return tuple(Linear(size, name=f"head_{i}")(features) for i, size in enumerate(heads))

    network: hk.Transformed = hk.without_apply_rng(hk.transform(forward))

    def init(key: jax.Array, observations: Any) -> hk.Params:
        return draw(key, jax.eval_shape(network.init, key, observations))

    return hk.Transformed(init, network.apply)


def draw(key: jax.Array, shapes: hk.Params) -> hk.Params:
    """The parameters that linear layers begin with, distributed as those of `haiku.Linear`.

    Weights [features, size] are normal with deviation 1 / sqrt(features), cut off at two deviations; biases are 0.
    One draw and one inversion of the distribution serve all layers: a program with those of each layer takes half a
    second more to compile.

    Args:
      key: one key.
      shapes: of the parameters, two axes for weights and one for biases.
    """
    leaves, structure = jax.tree.flatten(shapes)
    sizes = [leaf.size if leaf.ndim == 2 else 0 for leaf in leaves]
    uniform = 2 * random_bits.uniform(random_bits.bits(key, (sum(sizes),))) - 1
    normal = math.sqrt(2) * jax.lax.erf_inv(math.erf(math.sqrt(2)) * uniform)
    parts = jnp.split(normal, np.cumsum(sizes)[:-1])
    drawn = [
        jnp.zeros(leaf.shape, leaf.dtype) if leaf.ndim == 1 else part.reshape(leaf.shape) / math.sqrt(leaf.shape[0])
        for leaf, part in zip(leaves, parts, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)


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
    """`haiku.Linear` with the gradient of `product`: parameters, names and values are the same."""

    def __init__(self, size: int, name: str):
        super().__init__(name=name)
        self.size = size

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """f32[batch, size] for f32[batch, features]."""
        features = inputs.shape[-1]
        init = hk.initializers.TruncatedNormal(1 / np.sqrt(features))
        weights = hk.get_parameter("w", (features, self.size), init=init)
        return product(inputs, weights) + hk.get_parameter("b", (self.size,), init=jnp.zeros)


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
