"""Acrobot: swing the tip of two links above a line, with a motor in the joint between them alone.

Sutton, "Generalization in Reinforcement Learning: Successful Examples Using Sparse Coarse Coding", 1996, with
the numbers of Gymnasium's `Acrobot-v1` and its dynamics: those of Sutton and Barto's book, which differ by one
term from the paper's.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.environment import Environment, TimeStep
from jaxrl.envs.trigonometry import sin_cos, wrap
from jaxrl.pytree import leaf, pytree, static
from jaxrl.rendering import Color, picture
from jaxrl.spaces import Box, Discrete

_SIZE, _REACH, _WIDTH = 400, 170, 18
_PAPER, _INK, _SHADE = (250, 250, 247), (52, 64, 84), (226, 229, 233)
_UPPER, _LOWER, _GOAL = (71, 101, 150), (226, 138, 67), (112, 168, 122)

_Numbers = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
"""The two angles and the two angular velocities, or what they change by: f32[] each."""


@pytree
class AcrobotState:
    """The upper link's angle from hanging down and the lower link's from the upper one, and their velocities.

    Attributes:
      theta1, theta2: f32[], rad, between -pi and pi.
      theta1_dot, theta2_dot: f32[], rad/s.
    """

    theta1: jax.Array
    theta2: jax.Array
    theta1_dot: jax.Array
    theta2_dot: jax.Array


@pytree
class Acrobot(Environment):
    """Turn the joint one way (0), not at all (1) or the other way (2) until the tip is above the line.

    Observation: f32[6], cosine and sine of the upper angle, cosine and sine of the lower one, and both
    angular velocities. Every step costs 1 but the one that reaches the goal, where the episode terminates.
    """

    gravity: float = leaf(default=9.8)
    """Acceleration of gravity, m/s^2."""
    length: float = leaf(default=1.0, above=0)
    """Length of the upper link, m; the lower one's matters only to pictures, which draw it as long."""
    upper_mass: float = leaf(default=1.0, above=0)
    """Mass of the upper link, kg."""
    lower_mass: float = leaf(default=1.0, above=0)
    """Mass of the lower link, kg."""
    upper_centre: float = leaf(default=0.5)
    """Distance of the upper link's centre of mass from its upper end, m."""
    lower_centre: float = leaf(default=0.5)
    """Distance of the lower link's centre of mass from the joint, m."""
    inertia: float = leaf(default=1.0, above=0)
    """Moment of inertia of each link, kg m^2."""
    torque: float = leaf(default=1.0)
    """Torque of the motor, N m."""
    upper_max_speed: float = leaf(default=4 * math.pi, above=0)
    """Largest angular velocity of the upper link to either side, rad/s."""
    lower_max_speed: float = leaf(default=9 * math.pi, above=0)
    """Largest angular velocity of the lower link to either side, rad/s."""
    tau: float = leaf(default=0.2, above=0)
    """Time between two steps, s."""
    goal_height: float = leaf(default=1.0)
    """Height of the line above the fixed end, in lengths of a link."""
    start_bound: float = leaf(default=0.1)
    """Largest size of the angles (rad) and the angular velocities (rad/s) that an episode starts from."""
    max_steps: int = static(default=500, minimum=1)
    """Most steps of one episode."""
    solved_return: float | None = static(default=-100.0)
    """Return from which on the task counts as solved, as Gymnasium has it."""

    shorter_is_better = True

    @property
    def observation_space(self) -> Box:
        """f32[6]; cosines and sines between -1 and 1, the angular velocities within their largest."""
        high = jnp.stack([*[jnp.float32(1)] * 4, jnp.float32(self.upper_max_speed), jnp.float32(self.lower_max_speed)])
        return Box(-high, high, (6,), jnp.float32)

    @property
    def action_space(self) -> Discrete:
        """0 is the torque -`torque`, 1 is none, 2 is `torque`."""
        return Discrete(3)

    def reset(self, key: jax.Array) -> tuple[AcrobotState, jax.Array]:
        """Draws all four numbers of the state uniformly."""
        values = (random_bits.uniform(random_bits.bits(key, (4,))) * 2 - 1) * self.start_bound
        state = AcrobotState(values[0], values[1], values[2], values[3])
        return state, _observe(state)[0]

    def step(self, state: AcrobotState, action: Any, key: jax.Array) -> tuple[AcrobotState, TimeStep]:
        """One step of the classical Runge-Kutta method of fourth order; needs no randomness."""
        torque = (action - 1) * self.torque
        numbers = (state.theta1, state.theta2, state.theta1_dot, state.theta2_dot)
        first = self._slope(numbers, torque)
        second = self._slope(_moved(numbers, first, self.tau / 2), torque)
        third = self._slope(_moved(numbers, second, self.tau / 2), torque)
        fourth = self._slope(_moved(numbers, third, self.tau), torque)
        slopes = zip(first, second, third, fourth, strict=True)
        slope1, slope2, slope3, slope4 = (a + 2 * b + 2 * c + d for a, b, c, d in slopes)
        slope = (slope1, slope2, slope3, slope4)
        theta1, theta2, theta1_dot, theta2_dot = _moved(numbers, slope, self.tau / 6)
        after = AcrobotState(
            theta1=wrap(theta1),
            theta2=wrap(theta2),
            theta1_dot=jnp.clip(theta1_dot, -self.upper_max_speed, self.upper_max_speed),
            theta2_dot=jnp.clip(theta2_dot, -self.lower_max_speed, self.lower_max_speed),
        )
        obs, height = _observe(after)
        terminated = height > self.goal_height
        return after, TimeStep(
            obs, jnp.where(terminated, jnp.float32(0), jnp.float32(-1)), terminated, jnp.zeros((), bool)
        )

    def render(self, state: AcrobotState) -> np.ndarray:
        """Draws both links and the line, green where the tip is above it: uint8[400, 400, 3]."""
        theta1, theta2, middle = float(state.theta1), float(state.theta2), _SIZE / 2
        link = _REACH / 2
        joint = (middle + link * math.sin(theta1), middle + link * math.cos(theta1))
        tip = (joint[0] + link * math.sin(theta1 + theta2), joint[1] + link * math.cos(theta1 + theta2))
        line = middle - link * float(self.goal_height)

        def paint(draw: Any, pixel: int) -> None:
            def disc(centre: tuple[float, float], radius: float, color: Color) -> None:
                x, y = centre
                edges = (x - radius, y - radius, x + radius, y + radius)
                draw.ellipse([pixel * edge for edge in edges], fill=color)

            disc((middle, middle), _REACH, _SHADE)
            disc((middle, middle), _REACH - 2, _PAPER)
            edges = (0, line - 1.5, _SIZE, line + 1.5)
            draw.rectangle([pixel * edge for edge in edges], fill=_GOAL if tip[1] < line else _INK)
            for begin, end, color in (((middle, middle), joint, _UPPER), (joint, tip, _LOWER)):
                draw.line([pixel * place for place in (*begin, *end)], fill=color, width=_WIDTH * pixel)
                disc(begin, _WIDTH / 2, color)
                disc(end, _WIDTH / 2, color)
            disc((middle, middle), 4, _INK)
            disc(joint, 4, _INK)

        return picture(_SIZE, _SIZE, _PAPER, paint)

    def _slope(self, numbers: _Numbers, torque: jax.Array) -> _Numbers:
        """How fast the numbers change, per s, under a torque f32[]."""
        theta1, theta2, speed1, speed2 = numbers
        (sin1, cos1), (sin2, cos2) = sin_cos(theta1), sin_cos(theta2)
        lever = self.lower_mass * self.length * self.lower_centre
        lower = self.lower_mass * self.lower_centre**2 + self.inertia
        upper = self.upper_mass * self.upper_centre**2 + self.lower_mass * self.length**2 + self.inertia
        d1 = upper + lower + 2 * lever * cos2
        d2 = lower + lever * cos2
        phi2 = self.lower_mass * self.lower_centre * self.gravity * (sin1 * cos2 + cos1 * sin2)
        weight = (self.upper_mass * self.upper_centre + self.lower_mass * self.length) * self.gravity
        phi1 = weight * sin1 + phi2 - lever * sin2 * speed2 * (speed2 + 2 * speed1)
        ratio = d2 / d1
        acceleration2 = (torque + ratio * phi1 - lever * speed1**2 * sin2 - phi2) / (lower - d2 * ratio)
        acceleration1 = -ratio * acceleration2 - phi1 / d1
        return speed1, speed2, acceleration1, acceleration2


def _moved(numbers: _Numbers, slope: _Numbers, time: Any) -> _Numbers:
    a, b, c, d = (value + time * change for value, change in zip(numbers, slope, strict=True))
    return a, b, c, d


def _observe(state: AcrobotState) -> tuple[jax.Array, jax.Array]:
    """The observation f32[6], and the tip's height above the fixed end in lengths of a link, f32[]."""
    (sin1, cos1), (sin2, cos2) = sin_cos(state.theta1), sin_cos(state.theta2)
    obs = jnp.stack([cos1, sin1, cos2, sin2, state.theta1_dot, state.theta2_dot])
    return obs, sin1 * sin2 - cos1 * cos2 - cos1
