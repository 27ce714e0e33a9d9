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


@pytree
class Sequences:
    """Contiguous steps to learn from, leaves `[time, batch, ...]` where not said otherwise.

    Attributes:
      carry: of the policy before the first observation when it acted, leaves `[batch, ...]`.
      steps: what was stored.
      reset: bool, whether an episode begins with the observation, so that the carry becomes the initial one; not in
        the first step, whose carry is the initial one then already.
      known: bool, false behind the newest row.
      weight: f32[batch], of the sequence in the loss; None: all weigh 1.
    """

    carry: Any
    steps: Experience
    reset: jax.Array
    known: jax.Array
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


def sequences(storage: Experience, carries: Any, indices: jax.Array, steps: int, newest: jax.Array) -> Sequences:
    """Sequences of `steps` steps, each of which begins with the rows of one write.

    Args:
      storage: leaves `[time, envs, ...]`, with `truncated`.
      carries: of the policy before the rows of each write, leaves `[writes, envs, ...]`.
      indices: i32[batch], write * envs + environment.
      steps: of a sequence, at most as many as there are rows.
      newest: i32[], the row that was written last.
    """
    time, envs = storage.reward.shape
    first = indices // envs * (time // _length(carries))
    ahead = jnp.arange(steps, dtype=jnp.int32)[:, None]
    taken = take(storage, (first + ahead) % time * envs + indices % envs)
    reset = jnp.concatenate([jnp.zeros_like(taken.terminated[:1]), taken.ended[:-1]])
    return Sequences(take(carries, indices), taken, reset, ahead <= (newest - first) % time)


def sequence_targets(
    steps: Experience, known: jax.Array, values: jax.Array, n: int, discount: Any
) -> tuple[jax.Array, jax.Array]:
    """Returns of up to `n` steps within sequences, which bootstrap from values of observations in them.

    A return ends early where the episode terminates, and before a step whose successor is not in the sequence: at its
    end, at the newest row, and where an episode is cut off. That step itself has no target.

    Args:
      steps: leaves `[time, batch, ...]`.
      known: bool[time, batch], false behind the newest row.
      values: f32[time, batch], of the observations.
      n: at least 1.
      discount: f32[], per step.

    Returns:
      Targets f32[time - 1, batch], of all steps but the last, and whether each is one: bool[time - 1, batch].
    """
    following = jnp.concatenate([known[1:], jnp.zeros_like(known[:1])])
    counts = known & (steps.terminated | (~steps.ended & following))
    targets = values
    for _ in range(n):
        after = jnp.concatenate([targets[1:], targets[-1:]])
        returns = steps.reward + jnp.where(steps.terminated, 0.0, discount * after)
        targets = jnp.where(counts, returns, values)
    return targets[:-1], counts[:-1]


def weighted_mean(values: jax.Array, weight: jax.Array | None) -> jax.Array:
    """The mean f32[] of f32[batch], weighed by the weights of a `Batch` or of `Sequences`."""
    return jnp.mean(values if weight is None else weight * values)


def _length(items: Any) -> int:
    return jax.tree.leaves(items)[0].shape[0]
