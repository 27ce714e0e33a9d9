"""Cliff walking: reach the goal along a cliff (Sutton and Barto, example 6.6). Gymnasium's `CliffWalking-v1`."""

import functools
from typing import Any

import jax
import numpy as np

from jaxrl.envs.grid import AGENT, FLOOR, GOAL, Brush, grid_picture
from jaxrl.envs.tabular import Table, Tabular, slipping, slips
from jaxrl.pytree import leaf, pytree, static

_SHAPE, _START, _GOAL = (4, 12), 36, 47
_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
_CLIFF, _EDGE = (150, 88, 78), (205, 92, 92)


@pytree
class CliffWalking(Tabular):
    """Go up (0), right (1), down (2) or left (3); a step off the cliff leads back to the start.

    Observation: the cell of 4 rows of 12, row * 12 + column. The episode terminates at the goal. With
    `success_rate` the agent goes where it wants with that probability, and to either side of it otherwise.
    """

    success_rate: float | None = leaf(default=None, minimum=0, maximum=1)
    """Probability of going where one wants; none: always. Gymnasium's slippery variant has 1/3."""
    step_reward: float = leaf(default=-1.0)
    """What a step earns."""
    cliff_reward: float = leaf(default=-100.0)
    """What a step off the cliff earns."""
    max_steps: int = static(default=500, minimum=1)
    """Most steps of one episode; Gymnasium has no limit."""

    shorter_is_better = True

    @property
    def table(self) -> Table:
        """The outcomes."""
        return _table(self.success_rate is not None)

    @property
    def rewards(self) -> tuple[Any, ...]:
        """Of a step, and of one off the cliff."""
        return self.step_reward, self.cliff_reward

    @property
    def starts(self) -> np.ndarray:
        """The cell at the bottom left."""
        return np.array([_START])

    @property
    def probabilities(self) -> tuple[Any, ...] | None:
        """Of slipping to one side, of not slipping, of slipping to the other side."""
        return slips(self.success_rate)

    def render(self, state: jax.Array) -> np.ndarray:
        """Draws the cliff, the flag at the goal and the agent: uint8[height, width, 3]."""
        colors = [[FLOOR] * 12 for _ in range(4)]
        colors[3] = [FLOOR, *[_CLIFF] * 10, GOAL]

        def paint(brush: Brush) -> None:
            for column in range(1, 11):
                jags = [(-0.475, -0.475), (0.475, -0.475), (0.475, -0.35), (0.2, -0.2), (-0.1, -0.35), (-0.3, -0.22)]
                brush.polygon(3, column, _EDGE, *jags, (-0.475, -0.35))
            brush.flag(3, 11)
            brush.disc(*divmod(int(state), 12), AGENT)

        return grid_picture(colors, paint)


@functools.cache
def _table(slippery: bool) -> Table:
    states = np.arange(_SHAPE[0] * _SHAPE[1])
    row, column = np.unravel_index(states, _SHAPE)
    successor = np.zeros((len(states), len(_MOVES), 1), np.int32)
    for action, (down, right) in enumerate(_MOVES):
        to = np.clip(row + down, 0, _SHAPE[0] - 1), np.clip(column + right, 0, _SHAPE[1] - 1)
        successor[:, action, 0] = np.ravel_multi_index(to, _SHAPE)
    falls = (successor > _START) & (successor < _GOAL)
    table = Table(np.where(falls, _START, successor).astype(np.int32), falls.astype(int), successor == _GOAL)
    return slipping(table) if slippery else table
