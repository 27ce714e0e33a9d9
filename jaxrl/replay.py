"""Experience replay: what a member played, as rows of steps that its environments took side by side.

Storage is `[time, envs, ...]`, a ring of rows. It holds no counter: where to write and how much is filled follow from
the number of the iteration, which the training loop keeps outside of every member. So the index is the same for all
members, and a write stays one small in-place update, however many members and however large the capacity.

An item is one step of one environment; its index is row * envs + environment.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.pytree import pytree
from jaxrl.random_bits import randint


@pytree
class Experience:
    """What is stored of steps; fields as in `Transition`, leaves `[time, envs, ...]`.

    Attributes:
      mask: None where nothing learns from it.
      truncated: None where nothing looks further than one step ahead.
    """

    obs: Any
    mask: Any
    action: jax.Array
    reward: jax.Array
    next_obs: Any
    next_mask: Any
    terminated: jax.Array
    truncated: jax.Array | None

    @property
    def ended(self) -> jax.Array:
        """bool, whether the episode is over, for either reason."""
        return self.terminated if self.truncated is None else self.terminated | self.truncated


@pytree
class Batch:
    """Transitions of n steps to learn from, leaves `[batch, ...]`.

    Attributes:
      obs: what the action was chosen from.
      mask: the allowed actions there, or None.
      action: the first action.
      reward: f32, the discounted sum of the rewards up to the successor.
      next_obs: the true successor.
      next_mask: the allowed actions there, or None.
      discount: f32, of the successor's value: 0 where the episode terminated, else the discount to the power of the
        steps in between.
      weight: f32, of the item in the loss; None: all weigh 1.
    """

    obs: Any
    mask: Any
    action: jax.Array
    reward: jax.Array
    next_obs: Any
    next_mask: Any
    discount: jax.Array
    weight: jax.Array | None = None


def create(example: Any, time: int) -> Any:
    """Makes an empty storage.

    Args:
      example: one row: arrays (or shapes) `[envs, ...]`.
      time: rows.

    Returns:
      The same pytree of zeros with `[time, envs, ...]`, dtypes kept.
    """
    return jax.tree.map(lambda x: jnp.zeros((time, *x.shape), x.dtype), example)


def rows_of(capacity: int, envs: int, written: int) -> int:
    """The rows for a capacity in items, raised to a whole number of writes of `written` rows."""
    return -(-capacity // (envs * written)) * written


def write(storage: Any, rows: Any, iteration: jax.Array) -> Any:
    """Writes the rows of one iteration over the oldest ones.

    Args:
      storage: leaves `[time, envs, ...]`, time a multiple of `rows`.
      rows: leaves `[rows, envs, ...]`, the same number every iteration.
      iteration: i32[], how many writes came before; not batched over members.
    """
    time, written = _length(storage), _length(rows)
    position = (iteration % (time // written)) * written
    return jax.tree.map(
        lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, position, 0), storage, rows
    )


def filled(storage: Any, written: int, iteration: jax.Array) -> jax.Array:
    """How many rows are there after the write of `iteration`, of `written` rows each: i32[]."""
    return jnp.minimum(iteration + 1, _length(storage) // written) * written


def newest(storage: Any, written: int, iteration: jax.Array) -> jax.Array:
    """The index i32[] of the last row of the write of `iteration`, of `written` rows each."""
    return (iteration % (_length(storage) // written) + 1) * written - 1


def uniform(bits: jax.Array, items: jax.Array) -> jax.Array:
    """Draws indices i32[batch] uniformly, with replacement, below `items` i32[], by random bits u32[batch]."""
    return randint(items, bits)


def take(storage: Any, indices: jax.Array) -> Any:
    """The items of indices i32[...]: leaves `[..., ...]`."""

    def gather(leaf: jax.Array) -> jax.Array:
        flat = leaf.reshape(-1, *leaf.shape[2:])
        return flat.at[indices].get(mode="promise_in_bounds")

    return jax.tree.map(gather, storage)


def transitions(storage: Experience, indices: jax.Array, steps: int, discount: Any, newest: jax.Array) -> Batch:
    """Transitions of up to `steps` steps that begin at items.

    One ends early where its episode does, and at the newest row, after which old data begin: there it bootstraps
    from the last successor that is known. Its discount says how many steps it has.

    Args:
      storage: leaves `[time, envs, ...]`, with `truncated` where `steps` is more than 1.
      indices: i32[batch], of the items.
      steps: at most, at least 1 (n-step returns: Sutton and Barto, 2018, equation 7.1).
      discount: f32[], per step.
      newest: i32[], the row that was written last.
    """
    if steps == 1:
        item = take(storage, indices)
        following = jnp.where(item.terminated, 0.0, discount)
        return Batch(item.obs, item.mask, item.action, item.reward, item.next_obs, item.next_mask, following)
    time, envs = storage.reward.shape
    ahead = jnp.arange(steps, dtype=jnp.int32)
    places = (indices[:, None] + ahead * envs) % (time * envs)
    ended = take(storage.ended, places)
    begun = jnp.cumsum(ended, axis=1, dtype=jnp.int32) - ended  # Episodes that ended before the step.
    counted = (begun == 0) & (ahead <= ((newest - indices // envs) % time)[:, None])
    powers = jnp.power(jnp.asarray(discount, jnp.float32), ahead.astype(jnp.float32))
    reward = jnp.sum(jnp.where(counted, take(storage.reward, places) * powers, 0), axis=1)
    length = jnp.sum(counted, axis=1, dtype=jnp.int32)
    last = (indices + (length - 1) * envs) % (time * envs)
    following = jnp.where(take(storage.terminated, last), 0.0, discount * powers[length - 1])
    return Batch(
        obs=take(storage.obs, indices),
        mask=take(storage.mask, indices),
        action=take(storage.action, indices),
        reward=reward,
        next_obs=take(storage.next_obs, last),
        next_mask=take(storage.next_mask, last),
        discount=following,
    )


def _length(items: Any) -> int:
    return jax.tree.leaves(items)[0].shape[0]
