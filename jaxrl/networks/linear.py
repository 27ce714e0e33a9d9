"""Linear layers, with a gradient that is fast on a CPU."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp

from jaxrl.networks.initialization import Initializer, weights_initializer

NARROW = 4
"""The most elements that a contraction is written out for."""


class Linear(hk.Module):
    """`haiku.Linear` with the gradient of `product`: parameters, names and values are the same."""

    def __init__(
        self,
        size: int,
        initializer: str | Initializer = "truncated_normal",
        scale: float = 1.0,
        name: str | None = None,
    ):
        """A layer of `size` outputs whose biases begin at 0.

        Args:
          size: of the output.
          initializer: of the weights, as in `jaxrl.networks.initialization.weights_initializer`.
          scale: what the initial weights are multiplied by.
          name: of the module.
        """
        super().__init__(name=name)
        self.size = size
        self.initializer = initializer
        self.scale = scale

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """f32[batch, size] for f32[batch, features]."""
        features = inputs.shape[-1]
        initializer = weights_initializer(self.initializer, features, self.scale)
        weights = hk.get_parameter("w", (features, self.size), init=initializer)
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
    of_inputs = jax.lax.platform_dependent(gradient, weights.T, cpu=_narrow, default=jnp.matmul)
    return of_inputs, weight_gradient(inputs, gradient)


def weight_gradient(inputs: jax.Array, gradient: jax.Array) -> jax.Array:
    """The gradient f32[m, n] of the weights of a product f32[batch, n] with f32[batch, m]."""

    def on_cpu(inputs: jax.Array, gradient: jax.Array) -> jax.Array:
        # The barrier keeps XLA from folding the transposition into the product again.
        return jax.lax.optimization_barrier(inputs.T) @ gradient

    return jax.lax.platform_dependent(inputs, gradient, cpu=on_cpu, default=lambda x, g: x.T @ g)


def _narrow(left: jax.Array, right: jax.Array) -> jax.Array:
    """The matrix product; a contraction over few elements as a sum of outer products, which fuse with what follows."""
    if right.shape[0] > NARROW:
        return left @ right
    return functools.reduce(jnp.add, (left[:, k : k + 1] * right[k] for k in range(right.shape[0])))


product.defvjp(_product_forward, _product_backward)
