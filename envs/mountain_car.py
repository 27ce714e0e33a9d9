"""Mountain car: drive an underpowered car out of a valley, by rolling back first to gather speed.

Moore, "Efficient Memory-based Learning for Robot Control", 1990, with the numbers and the dynamics of
Gymnasium's `MountainCar-v0` and `MountainCarContinuous-v0`.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.environment import Environment, TimeStep
from jaxrl.envs.trigonometry import sin_cos
from jaxrl.pytree import leaf, pytree, static
from jaxrl.rendering import picture
from jaxrl.spaces import Box, Discrete

_WIDTH, _HEIGHT, _FOOT, _RISE = 600, 360, 60, 180
_SKY, _INK, _HILL, _ROAD = (250, 250, 247), (52, 64, 84), (226, 229, 233), (158, 166, 178)
_CAR, _WINDOW, _WALL, _FLAG = (71, 101, 150), (190, 206, 228), (205, 92, 92), (226, 138, 67)


@pytree
class MountainCarState:
    """The car's horizontal position and its velocity per step: f32[] each."""

    position: jax.Array
    velocity: jax.Array


@pytree
class _Valley(Environment):
    """The valley, the car and the goal, which both tasks share."""

    gravity: float = leaf(default=0.0025)
    """How strongly the slope pulls the car, velocity per step."""
    slope_frequency: float = leaf(default=3.0)
    """The height of the valley is the sine of so many times the position."""
    min_position: float = leaf(default=-1.2)
    """The wall on the left, where the car stops dead."""
    max_position: float = leaf(default=0.6)
    """The right end of the road."""
    max_speed: float = leaf(default=0.07, above=0)
    """Largest velocity to either side."""
    goal_position: float = leaf(default=0.5)
    """The position from which on the goal is reached."""
    goal_velocity: float = leaf(default=0.0)
    """The velocity that the car must have at the goal at least."""
    start_low: float = leaf(default=-0.6)
    """The leftmost position that an episode starts from."""
    start_high: float = leaf(default=-0.4)
    """The rightmost position that an episode starts from."""

    @property
    def observation_space(self) -> Box:
        """f32[2], position and velocity."""
        low = jnp.stack([jnp.float32(self.min_position), -jnp.float32(self.max_speed)])
        high = jnp.stack([jnp.float32(self.max_position), jnp.float32(self.max_speed)])
        return Box(low, high, (2,), jnp.float32)

    def reset(self, key: jax.Array) -> tuple[MountainCarState, jax.Array]:
        """Draws the position uniformly; the car stands still."""
        drawn = random_bits.uniform(random_bits.bits(key, ()))
        position = self.start_low + (self.start_high - self.start_low) * drawn
        state = MountainCarState(position, jnp.zeros((), jnp.float32))
        return state, _observe(state)

    def render(self, state: MountainCarState) -> np.ndarray:
        """Draws the car on its slope, the wall on the left and the flag at the goal: uint8[360, 600, 3]."""
        frequency = float(self.slope_frequency)
        left, right = float(self.min_position), float(self.max_position)
        scale = _WIDTH / (right - left)

        def place(position: float) -> tuple[float, float]:
            """The pixels of a position on the road; the hill is as high as `_RISE`, whatever its scale."""
            height = _FOOT + _RISE * (1 + math.sin(frequency * position)) / 2
            return (position - left) * scale, _HEIGHT - height

        def paint(draw: Any, pixel: int) -> None:
            road = [place(float(position)) for position in np.linspace(left, right, 301)]
            _paint_hill(draw, pixel, road)
            _paint_flag(draw, pixel, place(float(self.goal_position)))
            slope = _RISE / 2 * frequency * math.cos(frequency * float(state.position)) / scale
            _paint_car(draw, pixel, place(float(state.position)), math.atan(slope))

        return picture(_WIDTH, _HEIGHT, _SKY, paint)

    def _drive(self, state: MountainCarState, push: jax.Array) -> tuple[MountainCarState, jax.Array]:
        """One step under an acceleration f32[]: the state after it, and whether the goal is reached, bool[]."""
        slope = sin_cos(self.slope_frequency * state.position)[1]
        velocity = jnp.clip(state.velocity + push - self.gravity * slope, -self.max_speed, self.max_speed)
        position = jnp.clip(state.position + velocity, self.min_position, self.max_position)
        velocity = jnp.where((position == self.min_position) & (velocity < 0), 0.0, velocity)
        reached = (position >= self.goal_position) & (velocity >= self.goal_velocity)
        return MountainCarState(position, velocity), reached


@pytree
class MountainCar(_Valley):
    """Push left (0), not at all (1) or right (2); every step costs 1, the one that reaches the goal too.

    Observation: f32[2], position and velocity. The episode terminates at the goal.
    """

    force: float = leaf(default=0.001)
    """Acceleration by one push, velocity per step."""
    max_steps: int = static(default=200, minimum=1)
    """Most steps of one episode."""
    solved_return: float | None = static(default=-110.0)
    """Return from which on the task counts as solved, as Gymnasium has it."""

    shorter_is_better = True

    @property
    def action_space(self) -> Discrete:
        """0 pushes left, 1 does not push, 2 pushes right."""
        return Discrete(3)

    def step(self, state: MountainCarState, action: Any, key: jax.Array) -> tuple[MountainCarState, TimeStep]:
        """One step of semi-implicit Euler integration; needs no randomness."""
        after, reached = self._drive(state, (action - 1) * self.force)
        return after, TimeStep(_observe(after), jnp.full((), -1.0, jnp.float32), reached, jnp.zeros((), bool))


@pytree
class MountainCarContinuous(_Valley):
    """Choose the push; it costs by its square, and the goal earns `goal_reward`.

    Observation: f32[2], position and velocity. Action: f32[1], clipped to +-`max_action` for the push,
    but not for its cost. The episode terminates at the goal.
    """

    goal_position: float = leaf(default=0.45)
    """The position from which on the goal is reached."""
    power: float = leaf(default=0.0015)
    """Acceleration by an action of 1, velocity per step."""
    max_action: float = leaf(default=1.0, above=0)
    """Largest action to either side."""
    goal_reward: float = leaf(default=100.0)
    """What reaching the goal earns."""
    action_cost: float = leaf(default=0.1)
    """Cost of the squared action."""
    max_steps: int = static(default=999, minimum=1)
    """Most steps of one episode."""
    solved_return: float | None = static(default=90.0)
    """Return from which on the task counts as solved, as Gymnasium has it."""

    @property
    def action_space(self) -> Box:
        """f32[1], within `max_action`."""
        return Box(-jnp.float32(self.max_action), jnp.float32(self.max_action), (1,), jnp.float32)

    def step(self, state: MountainCarState, action: Any, key: jax.Array) -> tuple[MountainCarState, TimeStep]:
        """One step of semi-implicit Euler integration; needs no randomness."""
        action = jnp.reshape(action, ())
        push = jnp.clip(action, -self.max_action, self.max_action) * self.power
        after, reached = self._drive(state, push)
        reward = jnp.where(reached, self.goal_reward, 0.0) - self.action_cost * action**2
        return after, TimeStep(_observe(after), reward, reached, jnp.zeros((), bool))


def _observe(state: MountainCarState) -> jax.Array:
    return jnp.stack([state.position, state.velocity])


def _paint_hill(draw: Any, pixel: int, road: list[tuple[float, float]]) -> None:
    """Paints the ground under the points of `road`, in pixels, and the wall at its left end."""
    outline = [(0.0, float(_HEIGHT)), *road, (float(_WIDTH), float(_HEIGHT))]
    draw.polygon([(x * pixel, y * pixel) for x, y in outline], fill=_HILL)
    draw.line([(x * pixel, y * pixel) for x, y in road], fill=_ROAD, width=4 * pixel, joint="curve")
    draw.rectangle([0, (road[0][1] - 70) * pixel, 5 * pixel, road[0][1] * pixel], fill=_WALL)


def _paint_flag(draw: Any, pixel: int, foot: tuple[float, float]) -> None:
    x, y = foot
    draw.rectangle([edge * pixel for edge in (x - 1.5, y - 62, x + 1.5, y)], fill=_INK)
    flag = ((x + 1.5, y - 62), (x + 33, y - 51), (x + 1.5, y - 40))
    draw.polygon([(a * pixel, b * pixel) for a, b in flag], fill=_FLAG)


def _paint_car(draw: Any, pixel: int, foot: tuple[float, float], lean: float) -> None:
    """Paints the car, leaning by `lean` radians, above the point `foot` of the road, in pixels."""
    cos, sin = math.cos(lean), math.sin(lean)

    def turned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Points along the road and above it, as pixels of the large picture."""
        return [((foot[0] + a * cos - b * sin) * pixel, (foot[1] - a * sin - b * cos) * pixel) for a, b in points]

    body = [(-27, 8), (27, 8), (27, 17), (24, 20), (16, 21), (9, 31), (-13, 31), (-20, 21), (-25, 20), (-27, 17)]
    draw.polygon(turned(body), fill=_CAR)
    draw.polygon(turned([(10, 21), (5, 28), (-1, 28), (-1, 21)]), fill=_WINDOW)
    draw.polygon(turned([(-4, 21), (-4, 28), (-11, 28), (-15, 21)]), fill=_WINDOW)
    for wheel in (-16, 16):
        for radius, color in ((8, _INK), (3, _HILL)):
            ((x, y),) = turned([(wheel, 8)])
            draw.ellipse([x - radius * pixel, y - radius * pixel, x + radius * pixel, y + radius * pixel], fill=color)
