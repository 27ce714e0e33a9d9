"""Mazes: find the way to the goal, the only place with a reward.

Walls are redrawn for each episode, as a random spanning tree of the rooms (Kruskal's algorithm with random weights:
there is exactly one way between any two rooms), or fixed by a given layout, which may have traps.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.environment import Environment, TimeStep
from jaxrl.envs.grid import AGENT, FLOOR, GOAL, INK, Brush, grid_picture
from jaxrl.pytree import leaf, pytree, static
from jaxrl.spaces import Box, Discrete

_WALL, _TRAP, _WATER = (124, 134, 150), (71, 101, 150), (40, 62, 98)
_ENDS = {"G": 1, "T": -1}
_FAR = 2**30


@pytree
class MazeState:
    """One episode.

    Attributes:
      cell: i32[], where the agent is: row * columns + column.
      walls: bool[cells], which cells are walls; None where the layout says so.
    """

    cell: jax.Array
    walls: jax.Array | None


@pytree
class Maze(Environment):
    """Go left (0), down (1), right (2) or up (3) through a maze; the goal or a trap ends the episode.

    Bumping into a wall or the edge costs a step. A drawn maze leads from the top left to the bottom right; its rooms
    are the cells of even row and column. Observation: f32[rows, columns, 3], three planes: walls, the agent, and what
    ends the episode (goals 1, traps -1). Or the cell alone, i32[], which is the whole state only where the layout is
    fixed.
    """

    goal_reward: float = leaf(default=1.0)
    """What reaching the goal earns."""
    trap_reward: float = leaf(default=-1.0)
    """What falling into a trap earns."""
    size: int = static(default=9, minimum=3)
    """Rows and columns of drawn mazes, an odd number."""
    layout: str = static(default="")
    """Rows of S (start), G (goal), # (wall), . (floor) and T (trap) with / between them, such as "S#G/.#./...". Empty:
    walls are drawn."""
    observation: str = static(default="maze", choices=("maze", "cell"))
    """What is observed: the maze, or the cell alone."""
    max_steps: int = static(default=200, minimum=1)
    """Most steps of one episode."""
    solved_return: float | None = static(default=0.95)
    """Return from which on the task counts as solved: the goal is reached 19 times in 20."""

    shorter_is_better = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layout and self.size % 2 == 0:
            raise ValueError(
                f"{type(self).__name__}.size = {self.size} must be odd: rooms and the walls between them take turns"
            )
        rows = self.layout.split("/")
        if self.layout and (len(set(map(len, rows))) != 1 or not set("SG") <= set("".join(rows)) <= set("SG#.T")):
            raise ValueError(
                f"{type(self).__name__}.layout = {self.layout!r} must be rows of equal length of S (start), G (goal), "
                "# (wall), . (floor) and T (trap) with / between them, with an S and a G at least"
            )

    @property
    def cells(self) -> np.ndarray:
        """The letters of the layout, U1[rows, columns]; of a drawn maze start and goal alone."""
        if self.layout:
            return np.array([list(row) for row in self.layout.split("/")])
        letters = np.full((self.size, self.size), ".")
        letters[0, 0], letters[-1, -1] = "S", "G"
        return letters

    @property
    def costly_reset(self) -> bool:  # type: ignore[override]
        """Whether walls are drawn, which takes a loop over all of them."""
        return not self.layout

    @property
    def observation_space(self) -> Box | Discrete:
        """f32[rows, columns, 3], or the cells."""
        if self.observation == "cell":
            return Discrete(self.cells.size)
        return Box(-1.0, 1.0, (*self.cells.shape, 3), jnp.float32)

    @property
    def action_space(self) -> Discrete:
        """Left, down, right, up."""
        return Discrete(4)

    def reset(self, key: jax.Array) -> tuple[MazeState, jax.Array]:
        """Draws the walls, or one of the starts of the layout."""
        starts = np.flatnonzero(self.cells == "S")
        if not self.layout:
            state = MazeState(jnp.zeros((), jnp.int32), drawn_walls(self.size, key))
        elif len(starts) == 1:
            state = MazeState(jnp.full((), int(starts[0]), jnp.int32), None)
        else:
            drawn = random_bits.randint(len(starts), random_bits.bits(key, ()))
            state = MazeState(jnp.asarray(starts, jnp.int32)[drawn], None)
        return state, self._observe(state)

    def step(self, state: MazeState, action: Any, key: jax.Array) -> tuple[MazeState, TimeStep]:
        """Goes to the next cell, or stays where that is a wall; needs no randomness."""
        rows, columns = self.cells.shape
        row, column = state.cell // columns, state.cell % columns
        down = jnp.where(action == 1, 1, 0) - jnp.where(action == 3, 1, 0)
        right = jnp.where(action == 2, 1, 0) - jnp.where(action == 0, 1, 0)
        to = jnp.clip(row + down, 0, rows - 1) * columns + jnp.clip(column + right, 0, columns - 1)
        after = MazeState(jnp.where(self.walls(state)[to], state.cell, to).astype(jnp.int32), state.walls)
        end = jnp.asarray(self._ends)[after.cell]
        reward = jnp.where(end > 0, self.goal_reward, jnp.where(end < 0, self.trap_reward, 0.0)).astype(jnp.float32)
        return after, TimeStep(self._observe(after), reward, end != 0, jnp.zeros((), bool))

    def walls(self, state: MazeState) -> jax.Array:
        """Which cells are walls: bool[cells]."""
        return jnp.asarray(self.cells.reshape(-1) == "#") if state.walls is None else state.walls

    @property
    def _ends(self) -> np.ndarray:
        """Which cells end an episode: i32[cells], 1 for goals, -1 for traps."""
        return np.array([_ENDS.get(letter, 0) for letter in self.cells.reshape(-1)], np.int32)

    def distances(self, state: MazeState) -> jax.Array:
        """The steps from each cell to the nearest goal around walls and traps: i32[rows, columns]; -1: no way."""
        shape = self.cells.shape
        closed = self.walls(state).reshape(shape) | jnp.asarray(self._ends.reshape(shape) < 0)
        begin = jnp.where(jnp.asarray(self._ends.reshape(shape) > 0), 0, _FAR)

        def closer(known: jax.Array) -> jax.Array:
            far = jnp.pad(known, 1, constant_values=_FAR)
            around = [far[1:-1, :-2], far[1:-1, 2:], far[:-2, 1:-1], far[2:, 1:-1]]
            nearest = functools.reduce(jnp.minimum, around) + 1
            return jnp.where(closed, _FAR, jnp.minimum(known, nearest))

        def changed(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
            return jnp.any(pair[0] != pair[1])

        _, steps = jax.lax.while_loop(changed, lambda pair: (pair[1], closer(pair[1])), (begin, closer(begin)))
        return jnp.where(steps >= _FAR, -1, steps)

    def _observe(self, state: MazeState) -> jax.Array:
        if self.observation == "cell":
            return state.cell
        at = jnp.arange(self.cells.size) == state.cell
        planes = [self.walls(state).astype(jnp.float32), at.astype(jnp.float32), jnp.asarray(self._ends, jnp.float32)]
        return jnp.stack(planes, axis=-1).reshape(*self.cells.shape, 3)

    def render(self, state: MazeState) -> np.ndarray:
        """Draws walls, traps, the flag at the goal and the agent: uint8[height, width, 3]."""
        letters, walls = self.cells, np.asarray(self.walls(state)).reshape(self.cells.shape)
        colors = [
            [_WALL if wall else GOAL if letter == "G" else FLOOR for letter, wall in zip(*row, strict=True)]
            for row in zip(letters, walls, strict=True)
        ]

        def paint(brush: Brush) -> None:
            for (row, column), letter in np.ndenumerate(letters):
                if letter == "T":
                    brush.disc(row, column, _TRAP, 0.38)
                    brush.disc(row, column, _WATER, 0.3)
                if letter == "G":
                    brush.flag(row, column)
            row, column = divmod(int(state.cell), letters.shape[1])
            brush.disc(row, column, AGENT, 0.24)

        return grid_picture(colors, paint, INK)


def nearness(env: Maze, state: MazeState) -> jax.Array:
    """How near a goal is as the crow flies, whatever walls lie between: f32[], 1 at the goal, 0 across the maze."""
    rows, columns = env.cells.shape
    row, column = state.cell // columns, state.cell % columns
    goals = np.argwhere(env.cells == "G")
    steps = jnp.stack([jnp.abs(row - goal[0]) + jnp.abs(column - goal[1]) for goal in goals]).min()
    return 1 - steps.astype(jnp.float32) / (rows + columns - 2)


def drawn_walls(size: int, key: jax.Array) -> jax.Array:
    """The walls bool[size * size] of a maze with one way between any two rooms, the cells of even row and column.

    A spanning tree of least weight, with random weights: Kruskal's algorithm, a loop over all walls.
    """
    first, second, between = _edges(size)
    order = jnp.argsort(random_bits.bits(key, (len(between),)))
    rooms = ((size + 1) // 2) ** 2

    def look(parts: jax.Array, edge: jax.Array) -> tuple[jax.Array, jax.Array]:
        here, there = parts[jnp.asarray(first)[edge]], parts[jnp.asarray(second)[edge]]
        return jnp.where(parts == there, here, parts), here != there

    _, opens = jax.lax.scan(look, jnp.arange(rooms, dtype=jnp.int32), order)
    row, column = np.divmod(np.arange(size * size), size)
    walls = jnp.asarray((row % 2 == 1) | (column % 2 == 1))
    return walls.at[jnp.asarray(between)[order]].set(~opens)


@functools.cache
def _edges(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two rooms on either side of every wall that may be opened, and its cell: i32[walls] each."""
    rooms = (size + 1) // 2
    edges = []
    for row in range(rooms):
        for column in range(rooms):
            for down, right in ((0, 1), (1, 0)):
                if row + down < rooms and column + right < rooms:
                    cell = (2 * row + down) * size + 2 * column + right
                    edges.append((row * rooms + column, (row + down) * rooms + column + right, cell))
    first, second, between = np.array(edges, np.int32).T
    return first, second, between
