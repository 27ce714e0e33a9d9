"""Drawing items in proportion to priorities (Schaul et al., "Prioritized experience replay", 2016).

A tree of sums, each of `BRANCHES` children: of 10,000 items it has three levels, of 1,000,000 four. A draw goes down
it and looks at all children of a node at once, which vectorises over draws and members. A sum is always computed
from its children, and never moved by a difference: it can't drift. A node is drawn by the sums of its children as they
stand, among those above 0, so that rounding never leads to an item of priority 0.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.pytree import pytree

BRANCHES = 32
"""Children of a node: what a CPU's vector instructions sum fast, and few enough levels."""
SMALLEST, GREATEST = 1e-30, 1e30
"""What priorities are clipped to, so that every item can be drawn, and all sums are finite."""


@pytree
class Priorities:
    """Priorities and their sums.

    Attributes:
      levels: from the items' priorities f32[items, filled up with zeros] to at most `BRANCHES` sums; each length but
        the last is a multiple of `BRANCHES`.
      greatest: f32[], the greatest priority so far, which new items get: each is to be drawn once soon.
    """

    levels: tuple[jax.Array, ...]
    greatest: jax.Array

    @staticmethod
    def empty(items: int) -> "Priorities":
        """No item can be drawn yet."""
        levels = tuple(jnp.zeros(length, jnp.float32) for length in level_lengths(items))
        return Priorities(levels, jnp.ones((), jnp.float32))

    @property
    def draw_bits(self) -> int:
        """How many random numbers of 32 bits a draw takes: one a level."""
        return len(self.levels)

    def add(self, first: jax.Array, count: int) -> "Priorities":
        """Gives `count` new items, from index `first` i32[] on (unbatched), the greatest priority so far."""
        levels, width = list(self.levels), count
        part = jnp.full(count, self.greatest)
        for level in range(len(levels)):
            if level:
                below = levels[level - 1]
                # What a run of `width` children may touch, wherever it begins.
                width = min((width + BRANCHES - 2) // BRANCHES + 1, below.shape[0] // BRANCHES)
                first = jnp.minimum(first // BRANCHES, below.shape[0] // BRANCHES - width)
                children = jax.lax.dynamic_slice_in_dim(below, first * BRANCHES, width * BRANCHES)
                part = jnp.sum(children.reshape(width, BRANCHES), axis=1)
            levels[level] = jax.lax.dynamic_update_slice_in_dim(levels[level], part, first, 0)
        return Priorities(tuple(levels), self.greatest)

    def update(self, indices: jax.Array, priorities: jax.Array) -> "Priorities":
        """Sets the priorities f32[batch] of items i32[batch]; those with an index past the end are left out.

        An item that occurs twice must have the same priority in both places. What is not finite counts as the
        greatest priority so far.
        """
        priorities = jnp.where(jnp.isfinite(priorities), jnp.clip(priorities, SMALLEST, GREATEST), self.greatest)
        levels = list(self.levels)
        greatest = jnp.max(jnp.where(indices < levels[0].shape[0], priorities, 0), initial=0)
        values = priorities
        for level in range(len(levels)):
            if level:
                groups = levels[level - 1].reshape(-1, BRANCHES)
                if len(groups) <= len(indices):
                    levels[level] = levels[level].at[: len(groups)].set(jnp.sum(groups, axis=1))
                    continue
                indices = indices // BRANCHES
                values = jnp.sum(groups.at[indices].get(mode="clip"), axis=1)
            levels[level] = levels[level].at[indices].set(values, mode="drop")
        return Priorities(tuple(levels), jnp.maximum(self.greatest, greatest))

    def draw(self, bits: jax.Array, items: int) -> tuple[jax.Array, jax.Array]:
        """Draws from all items whose priority is above 0.

        Draws are stratified over the last level's sums (Schaul et al., appendix B.2.1): the i-th of n comes from the
        i-th of n equal parts of their total.

        Args:
          bits: random bits u32[batch, draw_bits].
          items: how many there are at most; an index below it is given in any case.

        Returns:
          Indices i32[batch], and probabilities f32[batch], of drawing each in one draw.
        """
        batch = bits.shape[0]
        uniform = random_bits.uniform(bits)
        strata = (jnp.arange(batch, dtype=jnp.float32) + uniform[:, 0]) / batch
        top = self.levels[-1]
        node, share = _choose(jnp.broadcast_to(top, (batch, *top.shape)), strata)
        for place, level in enumerate(reversed(self.levels[:-1]), start=1):
            children = level.reshape(-1, BRANCHES).at[node].get(mode="clip")
            child, part = _choose(children, uniform[:, place])
            node, share = node * BRANCHES + child, share * part
        return jnp.minimum(node, items - 1), share


def level_lengths(items: int) -> list[int]:
    """The lengths of the levels of priorities of so many items; nothing is allocated."""
    lengths = []
    while items > BRANCHES:
        parents = -(-items // BRANCHES)
        lengths.append(parents * BRANCHES)
        items = parents
    return [*lengths, items]


def _choose(weights: jax.Array, uniform: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A column i32[batch] for every row of weights f32[batch, n], and its share of the row's sum, f32[batch]."""
    count = weights.shape[-1]
    # A product with a triangular matrix: on a CPU many times faster than a cumulated sum.
    sums = jnp.matmul(weights, np.triu(np.ones((count, count), np.float32)), precision="highest")
    total = sums[:, -1:]
    sums = jnp.where(weights > 0, sums, 0)
    # Below the greatest sum after rounding, so that there always is one above it.
    level = uniform[:, None] * jnp.max(sums, axis=-1, keepdims=True) * (1 - 2e-7)
    columns = jnp.arange(count, dtype=jnp.int32)
    chosen = jnp.min(jnp.where(sums > level, columns, count - 1), axis=-1)
    weight = jnp.sum(jnp.where(columns == chosen[:, None], weights, 0), axis=-1)
    return chosen, weight / total[:, 0]


def importance_weights(probabilities: jax.Array, items: jax.Array, exponent: jax.Array) -> jax.Array:
    """Weights f32[batch] that make up for unequal probabilities of drawing: (items * p)^-exponent over the greatest.

    Args:
      probabilities: f32[batch], of the drawn items.
      items: i32[], how many can be drawn.
      exponent: f32[] in [0, 1]; 1 makes up for them in full (Schaul et al., 2016, section 3.4).
    """
    # In logarithms, where the least probabilities have no infinite weight.
    logarithms = -exponent * jnp.log(jnp.maximum(probabilities * items, SMALLEST))
    return jnp.exp(logarithms - jnp.max(logarithms))
