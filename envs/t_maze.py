"""T-maze: a sign at the start of a corridor tells which way to turn at its end.

Bakker, "Reinforcement Learning with Long Short-Term Memory", 2001, without noise.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.environment import Environment, TimeStep
from jaxrl.pytree import leaf, pytree, static
from jaxrl.rendering import picture
from jaxrl.spaces import Box, Discrete

_WIDTH, _HEIGHT, _MARGIN = 600, 240, 30
_WALL, _FLOOR, _GOAL, _AGENT, _SIGN = (52, 64, 84), (250, 250, 247), (163, 204, 170), (226, 138, 67), (71, 101, 150)


@pytree
class TMazeState:
    """Where the agent and the goal are.

    Attributes:
      north: bool[], whether the goal is north of the junction; else it is south.
      position: i32[], squares from the start; `length` at the junction.
      side: i32[], 1 in the northern arm, -1 in the southern one, 0 elsewhere.
    """

    north: jax.Array
    position: jax.Array
    side: jax.Array


@pytree
class TMaze(Environment):
    """Go north (0), east (1), south (2) or west (3); turning at the junction ends the episode.

    Observation: f32[3], as in the paper: at the start the sign, (0, 1, 1) for north or (1, 1, 0) for south; in the
    corridor (1, 0, 1); at the junction (0, 1, 0), whatever the sign said. In an arm, where nothing is decided any
    more, zeros. The sign must be remembered for `length` steps at least. Turning the right way earns `goal_reward`,
    the wrong way `wrong_reward`, walking into a wall `wall_reward`, every other step nothing.
    """

    goal_reward: float = leaf(default=4.0)
    """What turning the right way earns."""
    wrong_reward: float = leaf(default=-0.1)
    """What turning the wrong way earns."""
    wall_reward: float = leaf(default=-0.1)
    """What a step earns that leads nowhere."""
    length: int = static(default=10, minimum=1)
    """Steps from the start to the junction."""
    max_steps: int = static(default=200, minimum=1)
    """Most steps of one episode; must be more than `length`."""
    solved_return: float | None = static(default=3.9)
    """Return from which on the task counts as solved: more than 97 right turns in 100."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_steps <= self.length:
            raise ValueError(
                f"{type(self).__name__}.max_steps = {self.max_steps} must be more than length = {self.length}: "
                "no turn is reached before"
            )

    @property
    def observation_space(self) -> Box:
        """f32[3], zeros and ones."""
        return Box(0.0, 1.0, (3,), jnp.float32)

    @property
    def action_space(self) -> Discrete:
        """North, east, south and west."""
        return Discrete(4)

    def reset(self, key: jax.Array) -> tuple[TMazeState, jax.Array]:
        """Draws the goal's side; the agent stands before the sign."""
        north = random_bits.bits(key, ()) >> 31 != 0
        state = TMazeState(north, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
        return state, self._observe(state)

    def step(self, state: TMazeState, action: Any, key: jax.Array) -> tuple[TMazeState, TimeStep]:
        """Takes one step; needs no randomness."""
        east = (action == 1).astype(jnp.int32) - (action == 3)
        up = (action == 0).astype(jnp.int32) - (action == 2)
        position = jnp.clip(state.position + east, 0, self.length)
        side = jnp.where(state.position == self.length, up, 0)
        turned = side != 0
        right = (side > 0) == state.north
        moved = jnp.where(position == state.position, self.wall_reward, 0.0)
        reward = jnp.where(turned, jnp.where(right, self.goal_reward, self.wrong_reward), moved)
        after = TMazeState(state.north, position, side)
        return after, TimeStep(self._observe(after), reward.astype(jnp.float32), turned, jnp.zeros((), bool))

    def _observe(self, state: TMazeState) -> jax.Array:
        start, junction = state.position == 0, state.position == self.length
        first = jnp.where(start, ~state.north, ~junction)
        last = jnp.where(start, state.north, ~junction)
        return jnp.stack([first, start | junction, last]).astype(jnp.float32) * (state.side == 0)

    def render(self, state: TMazeState) -> np.ndarray:
        """Draws the maze with its goal in green, the sign at the start and the agent: uint8[240, 600, 3]."""
        cell = min(60.0, (_WIDTH - 2 * _MARGIN) / (self.length + 1))
        left = (_WIDTH - cell * (self.length + 1)) / 2

        def middle(position: int, side: int) -> tuple[float, float]:
            return left + (position + 0.5) * cell, _HEIGHT / 2 - side * cell

        def paint(draw: Any, pixel: int) -> None:
            def square(position: int, side: int, color: tuple[int, int, int]) -> None:
                x, y = middle(position, side)
                gap = cell / 2 - min(1.0, cell / 20)
                draw.rectangle([pixel * edge for edge in (x - gap, y - gap, x + gap, y + gap)], fill=color)

            for position in range(self.length + 1):
                square(position, 0, _FLOOR)
            for side in (1, -1):
                square(self.length, side, _GOAL if (side == 1) == bool(state.north) else _FLOOR)
            x, y = middle(0, 0)
            rise = cell * (-0.4 if state.north else 0.4)
            arrow = ((x - 0.3 * cell, y - 0.3 * rise), (x, y + rise), (x + 0.3 * cell, y - 0.3 * rise))
            draw.polygon([(pixel * a, pixel * b) for a, b in arrow], fill=_SIGN)
            x, y = middle(int(state.position), int(state.side))
            edges = (x - 0.28 * cell, y - 0.28 * cell, x + 0.28 * cell, y + 0.28 * cell)
            draw.ellipse([pixel * edge for edge in edges], fill=_AGENT)

        return picture(_WIDTH, _HEIGHT, _WALL, paint)
