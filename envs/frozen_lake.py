"""Frozen lake: cross the ice to the goal, around the holes; the ice may be slippery. Gymnasium's `FrozenLake-v1`."""

import functools
from typing import Any

import jax
import numpy as np

from jaxrl.envs.grid import AGENT, FLOOR, GOAL, Brush, grid_picture
from jaxrl.envs.tabular import Table, Tabular, slipping, slips
from jaxrl.pytree import leaf, pytree, static

MAPS = {
    "4x4": "SFFF/FHFH/FFFH/HFFG",
    "8x8": "SFFFFFFF/FFFFFFFF/FFFHFFFF/FFFFFHFF/FFFHFFFF/FHHFFFHF/FHFFHFHF/FFFHFFFG",
}
"""Gymnasium's maps, row by row: a start (S), ice (F), a hole (H), a goal (G)."""
_MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))
_ICE, _START, _HOLE, _WATER = (214, 232, 244), FLOOR, (71, 101, 150), (40, 62, 98)
_ON_ICE, _IN_HOLE, _AT_GOAL, _OVER = range(4)


@pytree
class FrozenLake(Tabular):
    """Go left (0), down (1), right (2) or up (3); a hole or the goal ends the episode.

    Observation: the cell, row * columns + column. With `success_rate` the agent goes where it wants with that
    probability, and to either side of that direction otherwise.
    """

    success_rate: float | None = leaf(default=1 / 3, minimum=0, maximum=1)
    """Probability of going where one wants; none: the ice is not slippery."""
    goal_reward: float = leaf(default=1.0)
    """What reaching the goal earns."""
    hole_reward: float = leaf(default=0.0)
    """What falling into a hole earns."""
    ice_reward: float = leaf(default=0.0)
    """What every other step earns."""
    layout: str = static(default="4x4")
    """ "4x4", "8x8", or rows of S, F, H and G with / between them, such as "SFF/FHF/FFG"."""
    max_steps: int = static(default=100, minimum=1)
    """Most steps of one episode."""
    solved_return: float | None = static(default=0.7)
    """Return from which on the task counts as solved, as Gymnasium has it for the slippery 4x4 map."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rows = self.rows
        if len({len(row) for row in rows}) != 1 or not set("SG") <= set("".join(rows)) <= set("SFHG"):
            raise ValueError(
                f"{type(self).__name__}.layout = {self.layout!r} must be one of {', '.join(MAPS)}, or rows of equal "
                "length of S (start), F (ice), H (hole) and G (goal) with / between them, with an S and a G at least"
            )

    @property
    def rows(self) -> tuple[str, ...]:
        """The map, from the top."""
        return tuple(MAPS.get(self.layout, self.layout).split("/"))

    @property
    def table(self) -> Table:
        """The outcomes on this map."""
        return _table(self.rows, self.success_rate is not None)

    @property
    def rewards(self) -> tuple[Any, ...]:
        """On the ice, in a hole, at the goal, and after the end."""
        return self.ice_reward, self.hole_reward, self.goal_reward, 0.0

    @property
    def starts(self) -> np.ndarray:
        """The cells marked S."""
        return np.flatnonzero([letter == "S" for letter in "".join(self.rows)])

    @property
    def probabilities(self) -> tuple[Any, ...] | None:
        """Of slipping to one side, of not slipping, of slipping to the other side."""
        return slips(self.success_rate)

    def render(self, state: jax.Array) -> np.ndarray:
        """Draws the lake, its holes, the flag at the goal and the agent: uint8[height, width, 3]."""
        rows = self.rows
        colors = {"F": _ICE, "H": _ICE, "S": _START, "G": GOAL}

        def paint(brush: Brush) -> None:
            for cell, letter in enumerate("".join(rows)):
                place = divmod(cell, len(rows[0]))
                if letter == "H":
                    brush.disc(*place, _HOLE, 0.38)
                    brush.disc(*place, _WATER, 0.3)
                if letter == "G":
                    brush.flag(*place)
            brush.disc(*divmod(int(state), len(rows[0])), AGENT, 0.24)

        return grid_picture([[colors[letter] for letter in row] for row in rows], paint, (158, 190, 214))


@functools.cache
def _table(rows: tuple[str, ...], slippery: bool) -> Table:
    letters = np.array([list(row) for row in rows])
    shape = (letters.size, len(_MOVES), 1)
    row, column = np.unravel_index(np.arange(letters.size), letters.shape)
    successor, flat = np.zeros(shape, np.int32), letters.reshape(-1)
    for action, (down, right) in enumerate(_MOVES):
        to = np.clip(row + down, 0, letters.shape[0] - 1), np.clip(column + right, 0, letters.shape[1] - 1)
        successor[:, action, 0] = np.ravel_multi_index(to, letters.shape)
    over = np.isin(flat, ["H", "G"])[:, None, None]
    successor = np.where(over, np.arange(letters.size)[:, None, None], successor).astype(np.int32)
    entered = flat[successor]
    reward = np.where(entered == "G", _AT_GOAL, np.where(entered == "H", _IN_HOLE, _ON_ICE))
    table = Table(successor, np.where(over, _OVER, reward), np.isin(entered, ["H", "G"]))
    return slipping(table) if slippery else table
