"""What an update of an actor and a critic learns from: a rollout, or random parts of it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.agents.actor_critic import Previous
from jaxrl.agents.collection import Rows
from jaxrl.pytree import pytree


@pytree
class Batch:
    """Leaves `[time, envs, ...]`, or `[batch, ...]` where the policy has no memory.

    Attributes:
      obs: as the network reads them.
      mask, previous, reset, action, log_prob, value: as in `Rows`.
      advantage: f32.
      target: f32, the values to learn.
      memory: before the first observations, leaves `[envs, ...]`; () where the policy has none.
    """

    obs: Any
    mask: Any
    previous: Previous | None
    reset: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    target: jax.Array
    memory: Any


def batch_of(rows: Rows, obs: Any, advantage: jax.Array, memory: Any) -> Batch:
    """The whole rollout; flat, `[time * envs, ...]`, where the policy has no memory."""
    batch = Batch(
        obs=obs,
        mask=rows.mask,
        previous=rows.previous,
        reset=rows.reset,
        action=rows.action,
        log_prob=rows.log_prob,
        value=rows.value,
        advantage=advantage,
        target=advantage + rows.value,
        memory=memory,
    )
    if jax.tree.leaves(memory):
        return batch
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)


def take(batch: Batch, indices: jax.Array) -> Batch:
    """The rows of a minibatch, i32[n], or its environments where the policy has memory."""
    if not jax.tree.leaves(batch.memory):
        return jax.tree.map(lambda x: x.at[indices].get(mode="promise_in_bounds"), batch)
    rest = jax.tree.map(lambda x: x[:, indices], dataclasses.replace(batch, memory=()))
    return dataclasses.replace(rest, memory=jax.tree.map(lambda x: x[indices], batch.memory))


def partitions(bits: jax.Array, minibatches: int) -> jax.Array:
    """Random partitions of rows into minibatches, one partition an epoch.

    Of every `minibatches` rows in succession each goes to another minibatch, in random order: minibatches are spread
    over the whole rollout, and nothing has to be sorted but so few numbers.

    Args:
      bits: random bits u32[epochs, rows].
      minibatches: how many; they divide the rows.

    Returns:
      Indices of rows, i32[epochs * minibatches, rows / minibatches].
    """
    epochs, rows = bits.shape
    groups = bits.reshape(epochs, rows // minibatches, minibatches)
    order = jnp.argsort(groups, axis=-1).astype(jnp.int32) if minibatches > 16 else _order(groups)
    indices = order + minibatches * jnp.arange(rows // minibatches, dtype=jnp.int32)[:, None]
    return jnp.moveaxis(indices, -1, 1).reshape(epochs * minibatches, -1)


def _order(numbers: jax.Array) -> jax.Array:
    """`argsort` of few u32[..., n] by comparing all with all, quicker than a sort for each row: i32[..., n]."""
    places = jnp.arange(numbers.shape[-1], dtype=jnp.int32)
    one, other = numbers[..., :, None], numbers[..., None, :]
    before = (other < one) | ((other == one) & (places < places[:, None]))
    ranks = jnp.sum(before, axis=-1, dtype=jnp.int32)
    return jnp.sum(jnp.where(ranks[..., None, :] == places[:, None], places, 0), axis=-1, dtype=jnp.int32)
