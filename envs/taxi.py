"""Taxi: fetch a passenger and bring them where they want to go (Dietterich, 2000). Gymnasium's `Taxi-v4`."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.grid import FLOOR, INK, Brush, grid_picture
from jaxrl.envs.tabular import Table, Tabular
from jaxrl.pytree import leaf, pytree, static

_SIZE, _ABOARD = 5, 4
_PLACES = ((0, 0), (0, 4), (4, 0), (4, 3))
_COLORS = ((226, 132, 124), (163, 204, 170), (240, 214, 130), (150, 178, 220))
_WALLS = frozenset({(0, 1), (1, 1), (3, 0), (4, 0), (3, 2), (4, 2)})
"""Cells with a wall on their right."""
_MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1))
_SIDES = ((2, 3), (3, 2), (1, 0), (0, 1))
"""The directions to the left and to the right of every direction."""
_PICK_UP, _DROP_OFF = 4, 5
_STEP, _ILLEGAL, _DELIVERED = range(3)
_TAXI, _WINDOW = (235, 180, 52), (250, 240, 214)


@pytree
class Taxi(Tabular):
    """Drive south (0), north (1), east (2) or west (3), pick the passenger up (4), drop them off (5).

    Observation: ((row * 5 + column) * 5 + passenger) * 4 + destination; the passenger is at one of the four
    places or aboard (4). The mask allows what changes the state, as Gymnasium's does. Its fickle passenger, who
    changes their mind on the way, is not here.
    """

    drive_rate: float | None = leaf(default=None, minimum=0, maximum=1)
    """Probability of driving where one wants, in the rain; none: always. Gymnasium's rainy variant has 0.8."""
    step_reward: float = leaf(default=-1.0)
    """What a step earns."""
    illegal_reward: float = leaf(default=-10.0)
    """What picking up or dropping off earns where it is not possible."""
    delivery_reward: float = leaf(default=20.0)
    """What dropping the passenger off at their destination earns."""
    max_steps: int = static(default=200, minimum=1)
    """Most steps of one episode."""
    solved_return: float | None = static(default=8.0)
    """Return from which on the task counts as solved, as Gymnasium has it."""

    @property
    def table(self) -> Table:
        """The outcomes."""
        return _table(self.drive_rate is not None)

    @property
    def rewards(self) -> tuple[Any, ...]:
        """Of a step, of an illegal action, of a delivery."""
        return self.step_reward, self.illegal_reward, self.delivery_reward

    @property
    def starts(self) -> np.ndarray:
        """The 300 states in which the passenger waits at a place that is not their destination."""
        passenger, destination = np.arange(500) // 4 % 5, np.arange(500) % 4
        return np.flatnonzero((passenger < _ABOARD) & (passenger != destination))

    @property
    def probabilities(self) -> tuple[Any, ...] | None:
        """Of driving where one wants, to its left, to its right."""
        if self.drive_rate is None:
            return None
        return self.drive_rate, (1 - self.drive_rate) / 2, (1 - self.drive_rate) / 2

    def action_mask(self, state: jax.Array) -> jax.Array:
        """The actions that may change the state: bool[6]."""
        return jnp.asarray(_masks())[state]

    def observed_mask(self, obs: Any) -> jax.Array:
        """The same: the observation is the state."""
        return self.action_mask(obs)

    def render(self, state: jax.Array) -> np.ndarray:
        """Draws the town, the destination as a frame, the passenger as a disc and the taxi: uint8[344, 344, 3]."""
        row, column, passenger, destination = decode(int(state))
        colors = [[FLOOR] * _SIZE for _ in range(_SIZE)]
        for place, color in zip(_PLACES, _COLORS, strict=True):
            colors[place[0]][place[1]] = color

        def paint(brush: Brush) -> None:
            place = _PLACES[destination]
            brush.square(*place, INK, 0.42)
            brush.square(*place, _COLORS[destination], 0.36)
            for wall in _WALLS:
                brush.polygon(*wall, INK, (0.44, -0.5), (0.56, -0.5), (0.56, 0.5), (0.44, 0.5))
            brush.polygon(row, column, _TAXI, (-0.36, 0), (-0.22, -0.2), (0.2, -0.2), (0.36, 0), (0.36, 0.2),
                          (-0.36, 0.2))  # fmt: skip
            brush.polygon(row, column, _WINDOW, (-0.24, -0.02), (-0.17, -0.14), (0.15, -0.14), (0.24, -0.02))
            for wheel in (-0.2, 0.2):
                brush.disc(row + 0.2, column + wheel, INK, 0.09)
            aboard = passenger == _ABOARD
            at: tuple[float, float] = (row - 0.06, column) if aboard else _PLACES[passenger]
            brush.disc(at[0], at[1], (71, 101, 150), 0.1 if aboard else 0.16)

        return grid_picture(colors, paint, (200, 204, 210))


def encode(row: int, column: int, passenger: int, destination: int) -> int:
    """The number of a state."""
    return ((row * _SIZE + column) * 5 + passenger) * 4 + destination


def decode(state: int) -> tuple[int, int, int, int]:
    """Row, column, passenger and destination of a state."""
    return state // 100, state // 20 % 5, state // 4 % 5, state % 4


def _drive(row: int, column: int, direction: int) -> tuple[int, int]:
    down, right = _MOVES[direction]
    if (row, column + min(right, 0)) in _WALLS and right:
        return row, column
    return min(max(row + down, 0), _SIZE - 1), min(max(column + right, 0), _SIZE - 1)


@functools.cache
def _table(rainy: bool) -> Table:
    outcomes = 3 if rainy else 1
    successor = np.zeros((500, 6, outcomes), np.int32)
    reward, terminated = np.zeros((500, 6, outcomes), np.int32), np.zeros((500, 6, outcomes), bool)
    for state, action in itertools.product(range(500), range(6)):
        row, column, passenger, destination = decode(state)
        if action < _PICK_UP:
            # The rain moves a taxi only where it can drive at all.
            stuck = _drive(row, column, action) == (row, column)
            directions = (action, *(_SIDES[action] if not stuck else (action, action)))[:outcomes]
            places = [_drive(row, column, direction) for direction in directions]
            successor[state, action] = [encode(*place, passenger, destination) for place in places]
        else:
            after, kind = _serve((row, column), passenger, destination, action)
            successor[state, action] = encode(row, column, after, destination)
            reward[state, action], terminated[state, action] = kind, kind == _DELIVERED
    return Table(successor, reward, terminated)


def _serve(place: tuple[int, int], passenger: int, destination: int, action: int) -> tuple[int, int]:
    """Where the passenger is after an attempt to pick them up or to drop them off, and the index of the reward."""
    if action == _PICK_UP:
        picked = passenger < _ABOARD and place == _PLACES[passenger]
        return (_ABOARD, _STEP) if picked else (passenger, _ILLEGAL)
    if passenger != _ABOARD or place not in _PLACES:
        return passenger, _ILLEGAL
    there = _PLACES.index(place)
    return there, _DELIVERED if there == destination else _STEP


@functools.cache
def _masks() -> np.ndarray:
    """The actions that change each state: bool[500, 6]."""
    return _table(False).successor[:, :, 0] != np.arange(500)[:, None]
