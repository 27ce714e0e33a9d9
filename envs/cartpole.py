"""CartPole: a pole balanced on a cart that is pushed left or right.

Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning
control problems", 1983, with the numbers of Gymnasium's `CartPole-v1`.
"""

import math
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

_WIDTH, _HEIGHT, _TRACK = 600, 300, 228
_MARGIN = 1.2
_PAPER, _INK, _SHADE = (250, 250, 247), (52, 64, 84), (226, 229, 233)
_CART, _POLE, _LIMIT = (71, 101, 150), (226, 138, 67), (205, 92, 92)


@pytree
class CartPoleState:
    """Position (m), velocity (m/s), the pole's angle (rad) and angular velocity (rad/s): f32[] each."""

    x: jax.Array
    x_dot: jax.Array
    theta: jax.Array
    theta_dot: jax.Array


@pytree
class CartPole(Environment):
    """Push the cart left (0) or right (1); every step earns 1, the one that ends the episode too.

    Observation: f32[4], the state. The episode terminates when the cart leaves +-`x_limit` or the
    pole leans more than `theta_limit`.
    """

    gravity: float = leaf(default=9.8)
    """Acceleration of gravity, m/s^2."""
    cart_mass: float = leaf(default=1.0, above=0)
    """Mass of the cart, kg."""
    pole_mass: float = leaf(default=0.1, above=0)
    """Mass of the pole, kg."""
    length: float = leaf(default=0.5, above=0)
    """Half the pole's length, m."""
    force: float = leaf(default=10.0)
    """Force of one push, N."""
    tau: float = leaf(default=0.02, above=0)
    """Time between two steps, s."""
    theta_limit: float = leaf(default=12 * 2 * jnp.pi / 360, above=0)
    """Angle beyond which the episode ends, rad."""
    x_limit: float = leaf(default=2.4, above=0)
    """Distance from the middle beyond which the episode ends, m."""
    max_steps: int = static(default=500, minimum=1)
    """Most steps of one episode."""
    solved_return: float | None = static(default=475.0)
    """Return from which on the task counts as solved, as Gymnasium has it."""

    @property
    def observation_space(self) -> Box:
        """f32[4]; position and angle reach at most twice their limits, as Gymnasium has it."""
        infinite = jnp.float32(jnp.inf)
        high = jnp.stack([jnp.float32(self.x_limit * 2), infinite, jnp.float32(self.theta_limit * 2), infinite])
        return Box(-high, high, (4,), jnp.float32)

    @property
    def action_space(self) -> Discrete:
        """0 pushes left, 1 pushes right."""
        return Discrete(2)

    def reset(self, key: jax.Array) -> tuple[CartPoleState, jax.Array]:
        """Draws all four numbers of the state uniformly from [-0.05, 0.05)."""
        values = (random_bits.uniform(random_bits.bits(key, (4,))) - 0.5) * 0.1
        return CartPoleState(values[0], values[1], values[2], values[3]), values

    def step(self, state: CartPoleState, action: Any, key: jax.Array) -> tuple[CartPoleState, TimeStep]:
        """One step of explicit Euler integration, the old velocities moving the positions."""
        force = jnp.where(action == 1, self.force, -self.force)
        total_mass = self.cart_mass + self.pole_mass
        pole_moment = self.pole_mass * self.length
        sin, cos = sin_cos(state.theta)
        push = (force + pole_moment * state.theta_dot**2 * sin) / total_mass
        theta_acc = (self.gravity * sin - cos * push) / (
            self.length * (4.0 / 3.0 - self.pole_mass * cos**2 / total_mass)
        )
        x_acc = push - pole_moment * theta_acc * cos / total_mass
        after = CartPoleState(
            x=state.x + self.tau * state.x_dot,
            x_dot=state.x_dot + self.tau * x_acc,
            theta=state.theta + self.tau * state.theta_dot,
            theta_dot=state.theta_dot + self.tau * theta_acc,
        )
        terminated = (jnp.abs(after.x) > self.x_limit) | (jnp.abs(after.theta) > self.theta_limit)
        obs = jnp.stack([after.x, after.x_dot, after.theta, after.theta_dot])
        return after, TimeStep(obs, jnp.ones((), jnp.float32), terminated, jnp.zeros((), bool))

    def render(self, state: CartPoleState) -> np.ndarray:
        """Draws the cart, the pole to scale and the limits of the track: uint8[300, 600, 3].

        A pole that leans beyond `theta_limit` and the limit that a cart is beyond are drawn in red.
        """
        x, theta = float(state.x), float(state.theta)
        x_limit, pole = float(self.x_limit), 2 * float(self.length)
        scale = _WIDTH / (2 * _MARGIN * x_limit)
        # A pole longer than the picture is high is drawn as long as fits.
        pole_length = min(pole * scale, _TRACK - 50)
        leaning = abs(theta) > float(self.theta_limit)

        def paint(draw: Any, pixel: int) -> None:
            _paint_track(draw, pixel, x_limit * scale, abs(x) > x_limit)
            _paint_cart(draw, pixel, _WIDTH / 2 + x * scale, theta, pole_length, leaning)

        return picture(_WIDTH, _HEIGHT, _PAPER, paint)


def _paint_track(draw: Any, pixel: int, limit: float, beyond: bool) -> None:
    """Paints the track, its middle and the posts at `limit` pixels to both sides of it."""
    draw.rectangle((0, _TRACK * pixel, _WIDTH * pixel, _HEIGHT * pixel), fill=_SHADE)
    draw.rectangle((0, (_TRACK - 1) * pixel, _WIDTH * pixel, (_TRACK + 1) * pixel), fill=_INK)
    for offset, height in ((-limit, 14), (0, 5), (limit, 14)):
        middle = _WIDTH / 2 + offset
        color = _INK if offset == 0 else (_LIMIT if beyond else (158, 166, 178))
        box = (middle - 1.5, _TRACK + 1, middle + 1.5, _TRACK + 1 + height)
        draw.rectangle([pixel * edge for edge in box], fill=color)


def _paint_cart(draw: Any, pixel: int, x: float, theta: float, pole_length: float, leaning: bool) -> None:
    """Paints the cart with its middle at `x` pixels, and the pole upon it."""
    axle = _TRACK - 36
    for wheel in (x - 20, x + 20):
        draw.ellipse([pixel * edge for edge in (wheel - 8, _TRACK - 17, wheel + 8, _TRACK - 1)], fill=_INK)
    box = [pixel * edge for edge in (x - 38, _TRACK - 42, x + 38, _TRACK - 11)]
    draw.rounded_rectangle(box, radius=7 * pixel, fill=_CART)
    tip = (x + pole_length * math.sin(theta), axle - pole_length * math.cos(theta))
    color = _LIMIT if leaning else _POLE
    draw.line([pixel * place for place in (x, axle, *tip)], fill=color, width=10 * pixel)
    for (centre_x, centre_y), radius, fill in (((x, axle), 5, color), (tip, 5, color), ((x, axle), 2.5, _INK)):
        edges = (centre_x - radius, centre_y - radius, centre_x + radius, centre_y + radius)
        draw.ellipse([pixel * edge for edge in edges], fill=fill)
