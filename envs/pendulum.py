"""Pendulum: swing a rod up and keep it there, with a motor too weak to lift it at once.

The numbers and the dynamics are those of Gymnasium's `Pendulum-v1`.
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
from jaxrl.spaces import Box

_SIZE, _ROD_LENGTH, _ROD_WIDTH = 400, 140, 30
_PAPER, _INK, _SHADE = (250, 250, 247), (52, 64, 84), (226, 229, 233)
_ROD, _AXLE, _GOAL = (226, 138, 67), (71, 101, 150), (112, 168, 122)


@pytree
class PendulumState:
    """The rod's angle from upright (rad, not wrapped) and its angular velocity (rad/s): f32[] each."""

    theta: jax.Array
    theta_dot: jax.Array


@pytree
class Pendulum(Environment):
    """Choose the torque; what a step costs depends on the angle and speed before it, and on the torque.

    Observation: f32[3], the cosine and the sine of the angle from upright, and the angular velocity.
    Reward: -(angle^2 + `speed_cost` speed^2 + `torque_cost` torque^2), the angle between -pi and pi.
    Action: f32[1], a torque in N m, clipped to +-`max_torque`. No episode terminates.
    """

    gravity: float = leaf(default=10.0)
    """Acceleration of gravity, m/s^2."""
    mass: float = leaf(default=1.0, above=0)
    """Mass of the rod, kg."""
    length: float = leaf(default=1.0, above=0)
    """Length of the rod, which turns about one end, m."""
    max_torque: float = leaf(default=2.0, above=0)
    """Largest torque to either side, N m."""
    max_speed: float = leaf(default=8.0, above=0)
    """Largest angular velocity to either side, rad/s."""
    tau: float = leaf(default=0.05, above=0)
    """Time between two steps, s."""
    speed_cost: float = leaf(default=0.1)
    """Cost of the squared angular velocity."""
    torque_cost: float = leaf(default=0.001)
    """Cost of the squared torque."""
    start_angle: float = leaf(default=math.pi)
    """Largest angle to either side that an episode starts from, rad."""
    start_speed: float = leaf(default=1.0)
    """Largest angular velocity to either side that an episode starts with, rad/s."""
    max_steps: int = static(default=200, minimum=1)
    """Most steps of one episode."""
    solved_return: float | None = static(default=-200.0)
    """Return from which on the task counts as solved; Gymnasium has none."""

    @property
    def observation_space(self) -> Box:
        """f32[3]; cosine and sine between -1 and 1, the angular velocity within `max_speed`."""
        high = jnp.stack([jnp.float32(1), jnp.float32(1), jnp.float32(self.max_speed)])
        return Box(-high, high, (3,), jnp.float32)

    @property
    def action_space(self) -> Box:
        """f32[1], a torque within `max_torque`."""
        return Box(-jnp.float32(self.max_torque), jnp.float32(self.max_torque), (1,), jnp.float32)

    def reset(self, key: jax.Array) -> tuple[PendulumState, jax.Array]:
        """Draws the angle and the angular velocity uniformly."""
        values = random_bits.uniform(random_bits.bits(key, (2,))) * 2 - 1
        state = PendulumState(values[0] * self.start_angle, values[1] * self.start_speed)
        return state, self._observe(state)

    def step(self, state: PendulumState, action: Any, key: jax.Array) -> tuple[PendulumState, TimeStep]:
        """One step of semi-implicit Euler integration, the new velocity moving the rod."""
        torque = jnp.clip(jnp.reshape(action, ()), -self.max_torque, self.max_torque)
        cost = wrap(state.theta) ** 2 + self.speed_cost * state.theta_dot**2 + self.torque_cost * torque**2
        acceleration = (
            3 * self.gravity / (2 * self.length) * sin_cos(state.theta)[0] + 3 / (self.mass * self.length**2) * torque
        )
        theta_dot = jnp.clip(state.theta_dot + acceleration * self.tau, -self.max_speed, self.max_speed)
        after = PendulumState(theta=state.theta + theta_dot * self.tau, theta_dot=theta_dot)
        return after, TimeStep(self._observe(after), -cost, jnp.zeros((), bool), jnp.zeros((), bool))

    def render(self, state: PendulumState) -> np.ndarray:
        """Draws the rod, upright where the angle is 0 and to the left where it is positive: uint8[400, 400, 3]."""
        theta, middle = float(state.theta), _SIZE / 2
        tip = (middle - _ROD_LENGTH * math.sin(theta), middle - _ROD_LENGTH * math.cos(theta))

        def paint(draw: Any, pixel: int) -> None:
            def disc(centre: tuple[float, float], radius: float, color: Color) -> None:
                x, y = centre
                edges = (x - radius, y - radius, x + radius, y + radius)
                draw.ellipse([pixel * edge for edge in edges], fill=color)

            reach = _ROD_LENGTH + _ROD_WIDTH / 2
            disc((middle, middle), reach + 3, _SHADE)
            disc((middle, middle), reach, _PAPER)
            mark = (middle - 3, middle - reach - 9, middle + 3, middle - reach + 2)
            draw.rounded_rectangle([pixel * edge for edge in mark], radius=2 * pixel, fill=_GOAL)
            draw.line([pixel * place for place in (middle, middle, *tip)], fill=_ROD, width=_ROD_WIDTH * pixel)
            disc((middle, middle), _ROD_WIDTH / 2, _ROD)
            disc(tip, _ROD_WIDTH / 2, _ROD)
            disc((middle, middle), 9, _AXLE)
            disc((middle, middle), 3, _INK)

        return picture(_SIZE, _SIZE, _PAPER, paint)

    def _observe(self, state: PendulumState) -> jax.Array:
        sin, cos = sin_cos(state.theta)
        return jnp.stack([cos, sin, state.theta_dot])
