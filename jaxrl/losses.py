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


def policy_gradient(logits: jax.Array, actions: jax.Array, advantages: jax.Array, weights: jax.Array) -> jax.Array:
    """The sum of -log probability * advantage (Williams, 1992; `rlax.policy_gradient_loss` is its mean): f32[].

    Args:
      logits: f32[batch, n].
      actions: i32[batch].
      advantages: f32[batch]; no gradient flows into them.
      weights: f32[batch].
    """
    log_probabilities = taken(jax.nn.log_softmax(logits), actions)
    return -jnp.sum(log_probabilities * jax.lax.stop_gradient(advantages) * weights)


def entropy(logits: jax.Array, weights: jax.Array) -> jax.Array:
    """The sum of the policies' entropies, in nats (`-rlax.entropy_loss` is its mean): f32[].

    Args:
      logits: f32[batch, n].
      weights: f32[batch].
    """
    probabilities, logarithms = jax.nn.softmax(logits), jax.nn.log_softmax(logits)
    # What can't happen counts 0, and its logarithm, about -3e38, may not reach the gradient.
    each = -jnp.sum(probabilities * jnp.where(probabilities > 0, logarithms, 0.0), axis=-1)
    return jnp.sum(each * weights)
