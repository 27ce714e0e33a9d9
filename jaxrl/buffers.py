"""A uniform replay buffer held in a pytree.

The buffer holds no counter: where to write and how much is filled follow from the number of the
iteration, which the training loop keeps outside of every member. So the index is the same for all
members, and a write stays one small in-place update, however many members and however large the
capacity.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.random_bits import randint


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


def sample(replay: Any, bits: jax.Array, available: jax.Array) -> Any:
    """Draws items uniformly, with replacement, from the first `available` ones.

    Args:
      replay: leaves `[capacity, ...]`.
      bits: u32[batch], random bits.
      available: i32[].

    Returns:
      The items, leaves `[batch, ...]`.
    """
    indices = randint(available, bits)
    return jax.tree.map(lambda x: x.at[indices].get(mode="promise_in_bounds"), replay)


def _length(items: Any) -> int:
    return jax.tree.leaves(items)[0].shape[0]
