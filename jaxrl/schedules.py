"""Schedules that accept traced numbers everywhere (optax's refuse traced lengths)."""

from typing import Any

import jax
import jax.numpy as jnp


def linear(start: Any, end: Any, fraction: Any) -> jax.Array:
    """A straight line from `start` at 0 to `end` at 1, and `end` after that: f32[]."""
    return start + (end - start) * jnp.clip(fraction, 0, 1)


def cosine(start: Any, end: Any, fraction: Any) -> jax.Array:
    """Half a cosine from `start` at 0 to `end` at 1, and `end` after that: f32[].

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5.
    """
    return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(fraction, 0, 1)))


SHAPES = {
    "constant": lambda start, end, fraction: start,
    "linear": linear,
    "cosine": cosine,
}
"""Schedule functions by name, all with the arguments (start, end, fraction)."""
