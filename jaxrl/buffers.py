"""A uniform replay buffer held in a pytree.

The buffer holds no counter: where to write and how much is filled follow from the number of the
iteration, which the training loop keeps outside of every member. So the index is the same for all
members, and a write stays one small in-place update, however many members and however large the
capacity.
"""

from typing import Any

import jax
import jax.numpy as jnp


def create(example: Any, capacity: int) -> Any:
    """Makes an empty buffer.

    Args:
      example: a pytree of arrays (or shapes), one item.
      capacity: the most items it holds.

    Returns:
      The same pytree with `[capacity, ...]` in front of every shape, dtypes kept.
    """
    return jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), example)


def rounded_capacity(capacity: int, rows: int) -> int:
    """The capacity, raised to a whole number of writes of `rows` items."""
    return -(-capacity // rows) * rows


def write(replay: Any, items: Any, iteration: jax.Array) -> Any:
    """Writes the items of one iteration over the oldest ones.

    Args:
      replay: leaves `[capacity, ...]`, capacity a multiple of `rows`.
      items: leaves `[rows, ...]`, the same number every iteration.
      iteration: i32[], how many writes came before; not batched over members.
    """
    capacity, rows = _length(replay), _length(items)
    position = (iteration % (capacity // rows)) * rows
    return jax.tree.map(
        lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, position, 0), replay, items
    )


def filled(replay: Any, rows: int, iteration: jax.Array) -> jax.Array:
    """How many items are there after the write of `iteration`: i32[]."""
    return jnp.minimum(iteration + 1, _length(replay) // rows) * rows


def sample(replay: Any, key: jax.Array, available: jax.Array, batch_size: int) -> Any:
    """Draws items uniformly, with replacement, from the first `available` ones.

    Returns:
      The items, leaves `[batch_size, ...]`.
    """
    indices = _below(available, jax.random.bits(key, (batch_size,), jnp.uint32))
    return jax.tree.map(lambda x: x.at[indices].get(mode="promise_in_bounds"), replay)


def _below(limit: jax.Array, words: jax.Array) -> jax.Array:
    """Scales random words u32[n] to whole numbers below `limit`, i32[n]: the upper half of limit * word.

    No number is likelier than another by more than limit / 2^32. `jax.random.randint` draws twice as
    many words for less.
    """
    limit = limit.astype(jnp.uint32)
    high, low = words >> 16, words & 0xFFFF
    limit_high, limit_low = limit >> 16, limit & 0xFFFF
    middle = high * limit_low + (low * limit_low >> 16)
    carried = low * limit_high + (middle & 0xFFFF)
    return (high * limit_high + (middle >> 16) + (carried >> 16)).astype(jnp.int32)


def _length(items: Any) -> int:
    return jax.tree.leaves(items)[0].shape[0]
