"""Deep sea: one treasure at the end of a path that costs a little at every step (Osband et al., 2019, bsuite).

"Behaviour Suite for Reinforcement Learning", with the numbers and the action mapping of its code.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.environment import Environment, TimeStep
from jaxrl.envs.grid import AGENT, Brush, grid_picture
from jaxrl.pytree import leaf, pytree, static
from jaxrl.spaces import Discrete

_TREASURE, _SHALLOW, _DEEP = (245, 200, 80), (150, 190, 220), (24, 44, 80)


@pytree
class DeepSea(Environment):
    """Sink a row at every step, to the left or to the right; only `size` times right finds the treasure.

    Which of the two actions leads to the right differs from cell to cell. Observation: the cell, row * size +
    column, or size * size after the last row, where bsuite has a board of zeros.
    """

    move_cost: float = leaf(default=0.01)
    """What `size` steps to the right cost together."""
    size: int = static(default=10, minimum=2)
    """Rows, and columns; an episode has as many steps."""
    mapping_seed: int | None = static(default=42, minimum=0)
    """What the actions of every cell are drawn by, as in bsuite; none: 0 leads to the left, 1 to the right."""
    stochastic: bool = static(default=False, choices=(False, True))
    """Steps to the right fail with probability 1 / size, and the last row's corners add standard normal noise."""

    @property
    def max_steps(self) -> int:  # type: ignore[override]
        """Every episode has as many steps as there are rows, and terminates then."""
        return self.size

    @property
    def solved_return(self) -> float | None:  # type: ignore[override]
        """Half of what the best policy earns without noise: no other one comes near it."""
        return 0.5 * (1 - 1 / self.size) ** (self.size - 1) if self.stochastic else 0.5

    @property
    def observation_space(self) -> Discrete:
        """The cells, and what comes after the last row."""
        return Discrete(self.size * self.size + 1)

    @property
    def action_space(self) -> Discrete:
        """Two actions; `rightward` says which leads to the right."""
        return Discrete(2)

    @property
    def rightward(self) -> np.ndarray:
        """The action of every cell that leads to the right: i32[size * size], read-only."""
        return _rightward(self.size, self.mapping_seed)

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Starts at the top left."""
        state = jnp.zeros((), jnp.int32)
        return state, state

    def step(self, state: jax.Array, action: Any, key: jax.Array) -> tuple[jax.Array, TimeStep]:
        """Sinks a row; needs randomness where it is stochastic."""
        size = self.size
        row, column = state // size, state % size
        right = action == jnp.asarray(self.rightward)[state]
        last = row >= size - 1
        reward = jnp.where(right & (column == size - 1), 1.0, 0.0) - jnp.where(right, self.move_cost / size, 0.0)
        moves = right
        if self.stochastic:
            bits = random_bits.bits(key, (2,))
            moves = right & (random_bits.uniform(bits[0]) > 1 / size)
            noisy = last & ((column == 0) | (column == size - 1))
            reward = reward + jnp.where(noisy, random_bits.normal(bits[1]), 0.0)
        column = jnp.clip(column + jnp.where(moves, 1, jnp.where(right, 0, -1)), 0, size - 1)
        after = jnp.where(last, size * size, (row + 1) * size + column).astype(jnp.int32)
        return after, TimeStep(after, reward.astype(jnp.float32), last, jnp.zeros((), bool))

    def render(self, state: jax.Array) -> np.ndarray:
        """Draws the sea, darker with depth, the treasure and the diver (none after the end): uint8[h, w, 3]."""
        size = self.size
        shades = [tuple(int(a + (b - a) * row / (size - 1)) for a, b in zip(_SHALLOW, _DEEP, strict=True))
                  for row in range(size)]  # fmt: skip

        def paint(brush: Brush) -> None:
            corner = (size - 1, size - 1)
            brush.polygon(*corner, _TREASURE, (-0.4, -0.05), (-0.2, -0.35), (0.2, -0.35), (0.4, -0.05), (0, 0.4))
            if int(state) < size * size:
                brush.disc(*divmod(int(state), size), AGENT)

        return grid_picture([[shade] * size for shade in shades], paint, (12, 24, 48))  # type: ignore[list-item]


@functools.cache
def _rightward(size: int, seed: int | None) -> np.ndarray:
    if seed is None:
        mapping = np.ones(size * size, np.int32)
    else:
        # The generator that bsuite uses: other ones would give other mappings.
        mapping = np.random.RandomState(seed).binomial(1, 0.5, [size, size]).astype(np.int32).reshape(-1)
    # A cell more, for the state after the last row.
    mapping = np.append(mapping, np.int32(1))
    mapping.flags.writeable = False
    return mapping
