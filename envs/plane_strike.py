"""Plane Strike: find a hidden plane of eight cells on a square board, one strike at a time.

The game of tensorflow/examples, `lite/examples/reinforcement_learning`: its Android app, and its
published Python environment.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.environment import Environment, ExactScore, TimeStep
from jaxrl.envs import bitboard
from jaxrl.envs.plane_strike_score import score
from jaxrl.pytree import leaf, pytree, static
from jaxrl.rendering import picture
from jaxrl.spaces import Box, Discrete

PLANE_CELLS = 8
"""Cells of the plane: nose 1, wings 3, body 1, tail 3."""

_HEADING_UP = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0], [1, 1, 1]], bool)
_ORIENTATIONS = ("right", "up", "left", "down")

_CELL, _GAP, _FRAME, _FOOT = 44, 3, 16, 26
_SEA, _UNTRIED, _PLANE = (23, 37, 58), (60, 88, 124), (73, 102, 139)
_MISS, _MISS_DOT, _HIT, _HIT_MARK = (35, 54, 81), (122, 146, 176), (224, 92, 66), (255, 240, 228)


@pytree
class PlaneStrikeState:
    """One game, as two sets of cells.

    Attributes:
      plane: the cells of the plane, words u32[] as in `jaxrl.envs.bitboard`.
      struck: the cells struck so far, likewise.
    """

    plane: bitboard.Words
    struck: bitboard.Words

    @property
    def finished(self) -> jax.Array:
        """Whether all cells of the plane are hit: bool[]."""
        return ~bitboard.meet(self.plane, bitboard.minus(self.plane, self.struck))

    @property
    def hits(self) -> jax.Array:
        """Cells of the plane hit so far: i32[]."""
        return PLANE_CELLS - bitboard.count(bitboard.minus(self.plane, self.struck))


@pytree
class PlaneStrike(Environment):
    """Strike cell row * size + column until all eight cells of the plane are hit.

    Observation: f32[size, size], 1 a hit, -1 a miss, 0 an untried cell. The reward depends on what
    the struck cell was; the game terminates at the eighth hit.
    """

    hit_reward: float = leaf(default=1.0)
    """Reward of a new hit."""
    miss_reward: float = leaf(default=0.0)
    """Reward of a strike on a cell without plane, the first time and every other time."""
    repeat_reward: float = leaf(default=-1.0)
    """Reward of striking a cell again that was hit before; a miss struck again gives `miss_reward`."""
    finish_reward: float = leaf(default=0.0)
    """What the eighth hit earns on top of `hit_reward`."""
    size: int = static(default=8, minimum=5)
    """Rows, and columns, of the board."""
    placement: str = static(default="app", choices=("app", "published"))
    """How the plane is placed. "app": as the Android app does, every place equally likely (120 on
    the board of 8). "published": as the Python environment does, the orientation first and then one
    of its places, where the upward plane never uses the last column (115 on the board of 8)."""
    max_steps: int = static(default=64, minimum=1)
    """Most strikes of one game."""

    shorter_is_better = True

    @property
    def observation_space(self) -> Box:
        """f32[size, size], from -1 to 1."""
        return Box(-1.0, 1.0, (self.size, self.size), jnp.float32)

    @property
    def action_space(self) -> Discrete:
        """The cells, row by row."""
        return Discrete(self.size * self.size)

    @property
    def placements(self) -> np.ndarray:
        """bool[placements, size, size], read-only: every place the plane may take, each once."""
        return _placements(self.size, self.placement)[0].reshape(-1, self.size, self.size)

    @property
    def placement_probabilities(self) -> np.ndarray:
        """f64[placements], read-only: how likely each of `placements` is."""
        return _placements(self.size, self.placement)[1]

    @property
    def exact_score(self) -> ExactScore:  # type: ignore[override]
        """The mean number of strikes over all placements."""
        count = len(self.placements)
        meaning = f"mean strikes over all {count} placements"
        return ExactScore(lambda policy_for: score(self, policy_for(count)), meaning, fewer_is_better=True)

    def reset(self, key: jax.Array) -> tuple[PlaneStrikeState, jax.Array]:
        """Places the plane and empties the board.

        One 32-bit random word is scaled to one of n equally likely tickets (n is 120 or 600 on the
        board of 8), so the chance of a ticket is off by less than 2^-32: cheaper than
        `jax.random.randint`, which draws four words for a chance that is off by less than 2^-64.
        """
        tickets = _tickets(self.size, self.placement)
        return self.begin(jnp.asarray(tickets)[random_bits.randint(len(tickets), random_bits.bits(key, ()))])

    def begin(self, plane: Any) -> tuple[PlaneStrikeState, jax.Array]:
        """Starts the game whose plane is row `plane` (i32[]) of `placements`."""
        planes = bitboard.pack(_placements(self.size, self.placement)[0])
        state = PlaneStrikeState(
            tuple(jnp.asarray(word)[plane] for word in planes), tuple(jnp.uint32(0) for _ in planes)
        )
        return state, self.board(state)

    def board(self, state: PlaneStrikeState) -> jax.Array:
        """What the player knows: f32[size, size], 1 a hit, -1 a miss, 0 an untried cell."""
        plane, struck = (bitboard.unpack(cells, self.size * self.size) for cells in (state.plane, state.struck))
        seen = jnp.where(plane, jnp.float32(1), jnp.float32(-1))
        return jnp.where(struck, seen, jnp.float32(0)).reshape(self.size, self.size)

    def step(self, state: PlaneStrikeState, action: Any, key: jax.Array) -> tuple[PlaneStrikeState, TimeStep]:
        """Strikes one cell; needs no randomness."""
        cell = bitboard.single(jnp.asarray(action, jnp.int32), len(state.plane))
        after = PlaneStrikeState(state.plane, bitboard.union(state.struck, cell))
        on_plane = bitboard.meet(cell, state.plane)
        repeat = bitboard.meet(cell, state.struck)
        reward = jnp.where(on_plane, jnp.where(repeat, self.repeat_reward, self.hit_reward), self.miss_reward)
        reward = reward + jnp.where(on_plane & ~repeat & after.finished, self.finish_reward, 0.0)
        return after, TimeStep(self.board(after), reward.astype(jnp.float32), after.finished, jnp.zeros((), bool))

    def action_mask(self, state: PlaneStrikeState) -> jax.Array:
        """The untried cells: bool[size * size]."""
        return ~bitboard.unpack(state.struck, self.size * self.size)

    def random_action(self, state: PlaneStrikeState, uniform: jax.Array) -> jax.Array:
        """One of the untried cells."""
        untried = bitboard.minus(bitboard.pack(np.ones(self.size * self.size, bool)), state.struck)
        return bitboard.nth(untried, (uniform * bitboard.count(untried)).astype(jnp.int32))

    def observed_mask(self, obs: Any) -> jax.Array:
        """The untried cells of a board: bool[size * size]."""
        return obs.reshape(-1) == 0

    def render(self, state: PlaneStrikeState) -> np.ndarray:
        """Draws the board: uint8[44 * size + 58, 44 * size + 32, 3].

        A hit is a red cell with a cross, a miss a dark one with a dot; the cells of the plane that
        are still untried are a little lighter than the others. The eight lamps count the hits.
        """
        board = np.asarray(self.board(state))
        plane = np.asarray(bitboard.unpack(state.plane, board.size)).reshape(board.shape)
        width, hits = _CELL * self.size + 2 * _FRAME, int(state.hits)

        def paint(draw: Any, pixel: int) -> None:
            for (row, column), value in np.ndenumerate(board):
                place = (_FRAME + column * _CELL, _FRAME + row * _CELL)
                _paint_cell(draw, pixel, *place, float(value), bool(plane[row, column]))
            for lamp in range(PLANE_CELLS):
                x, y = width / 2 + (lamp - (PLANE_CELLS - 1) / 2) * 20, width + _FOOT / 2 - 6
                _paint_dot(draw, pixel, x, y, 5.5, _HIT if lamp < hits else _MISS)

        return picture(width, width + _FOOT, _SEA, paint)


@functools.cache
def _placements(size: int, placement: str) -> tuple[np.ndarray, np.ndarray]:
    """Every placement once, bool[placements, size * size], and its probability, f64[placements]."""
    groups = [_places(size, orientation, placement) for orientation in _ORIENTATIONS]
    planes = np.concatenate(groups)
    probabilities = np.concatenate([np.full(len(group), 1 / (len(_ORIENTATIONS) * len(group))) for group in groups])
    planes.flags.writeable = probabilities.flags.writeable = False
    return planes, probabilities


@functools.cache
def _tickets(size: int, placement: str) -> np.ndarray:
    """Rows of `_placements`, i32[tickets], each as often as makes a uniform ticket draw it exactly.

    Every orientation holds the same number of tickets, the least common multiple of the numbers of
    places: 4 x 30 = 120 for "app" on the board of 8, 4 x 150 = 600 for "published".
    """
    counts = [len(_places(size, orientation, placement)) for orientation in _ORIENTATIONS]
    share = int(np.lcm.reduce(counts))
    repeats = np.repeat([share // count for count in counts], counts)
    tickets = np.repeat(np.arange(sum(counts), dtype=np.int32), repeats)
    tickets.flags.writeable = False
    return tickets


def _places(size: int, orientation: str, placement: str) -> np.ndarray:
    """The boards of one orientation, row by row: bool[places, size * size]."""
    turns = {"up": 0, "left": 1, "down": 2, "right": 3}[orientation]
    plane = np.rot90(_HEADING_UP, turns)
    rows, columns = (size - extent + 1 for extent in plane.shape)
    if placement == "published" and orientation == "up":
        columns -= 1
    boards = np.zeros((rows, columns, size, size), bool)
    for row in range(rows):
        for column in range(columns):
            boards[row, column, row : row + plane.shape[0], column : column + plane.shape[1]] = plane
    return boards.reshape(-1, size * size)


def _paint_cell(draw: Any, pixel: int, x: int, y: int, value: float, on_plane: bool) -> None:
    """Paints one cell whose upper left corner is at (`x`, `y`) pixels; `value` as on the board."""
    color = {1.0: _HIT, -1.0: _MISS}.get(value, _PLANE if on_plane else _UNTRIED)
    box = (x + _GAP / 2, y + _GAP / 2, x + _CELL - _GAP / 2, y + _CELL - _GAP / 2)
    draw.rounded_rectangle([pixel * edge for edge in box], radius=7 * pixel, fill=color)
    middle_x, middle_y, arm = x + _CELL / 2, y + _CELL / 2, 8
    if value == -1:
        _paint_dot(draw, pixel, middle_x, middle_y, 4, _MISS_DOT)
    if value == 1:
        for rise in (-arm, arm):
            line = (middle_x - arm, middle_y - rise, middle_x + arm, middle_y + rise)
            draw.line([pixel * place for place in line], fill=_HIT_MARK, width=4 * pixel)
            _paint_dot(draw, pixel, middle_x - arm, middle_y - rise, 2, _HIT_MARK)
            _paint_dot(draw, pixel, middle_x + arm, middle_y + rise, 2, _HIT_MARK)


def _paint_dot(draw: Any, pixel: int, x: float, y: float, radius: float, color: tuple[int, int, int]) -> None:
    edges = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse([pixel * edge for edge in edges], fill=color)
