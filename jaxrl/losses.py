"""Losses, as rlax has them; the tests hold each against rlax's own.

Written out here because rlax imports a second's worth of distributions before the first of them (and all of
TensorFlow, where that is installed), which is more than loading a compiled program takes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def td_errors(values: jax.Array, rewards: jax.Array, discounts: jax.Array, next_values: jax.Array) -> jax.Array:
    """The errors reward + discount * next value - value of one-step targets: f32[batch], for f32[batch] each.

    No gradient flows into the target (Sutton and Barto, 2018, equation 6.5; `rlax.td_learning`).
    """
    return jax.lax.stop_gradient(rewards + discounts * next_values) - values


def taken(values: jax.Array, actions: jax.Array) -> jax.Array:
    """What f32[batch, actions, ...] has for one action i32[batch] each: f32[batch, ...].

    A sum over a mask in place of indexing, whose gradient would be a scatter.
    """
    chosen = actions[:, None] == jnp.arange(values.shape[1])
    chosen = chosen.reshape(chosen.shape + (1,) * (values.ndim - 2))
    return jnp.sum(jnp.where(chosen, values, 0.0), axis=1)


def quantile_regression(quantiles: jax.Array, targets: jax.Array, huber_delta: Any = None) -> jax.Array:
    """The loss f32[batch] of quantiles at the middles of n equal shares, over samples of what they are quantiles of.

    Dabney et al., 2018, equations 9 and 10, without the division of the Huber loss by its delta;
    `rlax.quantile_regression_loss`.

    Args:
      quantiles: f32[batch, n]; the gradient is taken with respect to them.
      targets: f32[batch, m].
      huber_delta: where the loss of a difference turns from squared to linear; None: linear all over.
    """
    n = quantiles.shape[-1]
    levels = (jnp.arange(n, dtype=jnp.float32) + 0.5) / n
    difference = jax.lax.stop_gradient(targets)[:, None, :] - quantiles[:, :, None]
    size = jnp.abs(difference) if huber_delta is None else optax.huber_loss(difference, delta=huber_delta)
    weight = jnp.abs(levels[:, None] - (difference < 0))
    return jnp.sum(jnp.mean(weight * size, axis=-1), axis=-1)
