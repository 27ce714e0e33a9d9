"""Losses, as rlax has them; the tests hold each against rlax's own.

Written out here because rlax imports a second's worth of distributions before the first of them (and all of
TensorFlow, where that is installed), which is more than loading a compiled program takes.
"""

import jax
import jax.numpy as jnp


def td_errors(values: jax.Array, rewards: jax.Array, discounts: jax.Array, next_values: jax.Array) -> jax.Array:
    """The errors reward + discount * next value - value of one-step targets: f32[batch], for f32[batch] each.

    No gradient flows into the target (Sutton and Barto, 2018, equation 6.5; `rlax.td_learning`).
    """
    return jax.lax.stop_gradient(rewards + discounts * next_values) - values


def taken(values: jax.Array, actions: jax.Array) -> jax.Array:
    """The value f32[batch] of one action i32[batch] out of f32[batch, actions].

    A sum over a mask in place of indexing, whose gradient would be a scatter.
    """
    chosen = actions[:, None] == jnp.arange(values.shape[-1])
    return jnp.sum(jnp.where(chosen, values, 0.0), axis=-1)
