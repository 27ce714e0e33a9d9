"""How off-policy agents draw batches from their replay buffer: uniformly, or by priority."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import replay
from jaxrl.priorities import Priorities, importance_weights, level_lengths
from jaxrl.replay import Batch, Experience

PRIORITY_EPSILON = 1e-6
"""What is added to an error before it becomes a priority (Schaul et al., 2016, section 3.3)."""


@dataclasses.dataclass(frozen=True)
class ReplayDraws:
    """Draws items (transitions, or sequences) of a replay buffer.

    Attributes:
      rows: of the buffer.
      rows_added: by one iteration.
      items_added: by one iteration: transitions, or a sequence that begins in each environment.
      batch_size: items of a batch.
      prioritized: whether they are drawn by priority.
    """

    rows: int
    rows_added: int
    items_added: int
    batch_size: int
    prioritized: bool

    @property
    def items(self) -> int:
        """How many items there are to draw from in a full buffer."""
        return self.rows // self.rows_added * self.items_added

    @property
    def bits(self) -> int:
        """How many random numbers of 32 bits draw a batch."""
        return self.batch_size * (len(level_lengths(self.items)) if self.prioritized else 1)

    @property
    def none(self) -> tuple[jax.Array, jax.Array] | None:
        """Items that are not there, in the form of those of a batch with their priorities: indices past the end."""
        if not self.prioritized:
            return None
        past = jnp.full(self.batch_size, jnp.iinfo(jnp.int32).max, jnp.int32)
        return past, jnp.ones(self.batch_size, jnp.float32)

    def empty_priorities(self) -> Priorities | None:
        """Those of an empty buffer; None where none are kept."""
        return Priorities.empty(self.items) if self.prioritized else None

    def add(self, priorities: Priorities | None, iteration: jax.Array) -> Priorities | None:
        """The priorities with those of the items of an iteration, i32[]."""
        if priorities is None:
            return None
        first = iteration % (self.rows // self.rows_added) * self.items_added
        return priorities.add(first, self.items_added)

    def draw(
        self, storage: Experience, priorities: Priorities | None, bits: jax.Array, iteration: jax.Array, exponent: Any
    ) -> tuple[jax.Array, jax.Array | None]:
        """The indices i32[batch] of items, and their weights f32[batch] (None: all alike).

        Args:
          storage: the buffer.
          priorities: of its items, or None.
          bits: random bits u32[bits].
          iteration: i32[], the last one that was stored.
          exponent: f32[], how far importance weights make up for unequal draws.
        """
        filled = replay.filled(storage, self.rows_added, iteration)
        items = filled // self.rows_added * self.items_added
        if priorities is None:
            return replay.uniform(bits, items), None
        indices, probabilities = priorities.draw(bits.reshape(self.batch_size, -1), self.items)
        return indices, importance_weights(probabilities, items, exponent)


def gradient_norms(
    loss: Callable[[Any, Batch], tuple[jax.Array, jax.Array]], params: Any, batch: Batch
) -> tuple[jax.Array, jax.Array, Any]:
    """The loss f32[] of a batch, the norms f32[batch] of its items' gradients, and the gradient of the loss.

    Args:
      loss: of (params, batch): the weighted mean f32[], and the errors f32[batch].
      params: what the gradient is taken with respect to.
      batch: leaves `[batch, ...]`.
    """
    items = jax.tree.map(lambda x: x[:, None], dataclasses.replace(batch, weight=None))
    gradient = jax.value_and_grad(loss, has_aux=True)
    (losses, _), each = jax.vmap(gradient, in_axes=(None, 0))(params, items)
    squares = [jnp.sum(jnp.square(x), axis=tuple(range(1, x.ndim))) for x in jax.tree.leaves(each)]
    share = jnp.ones_like(losses) if batch.weight is None else batch.weight
    share = share / len(losses)
    return (
        jnp.sum(share * losses),
        jnp.sqrt(functools.reduce(jnp.add, squares)),
        jax.tree.map(lambda x: jnp.tensordot(share, x, axes=1), each),
    )
